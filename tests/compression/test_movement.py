"""Movement pruning: gradients, regulariser, thresholds, and the density that comes out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import bench
from bench.compression.callbacks import Callback, Training
from bench.compression.losses import task_loss
from bench.compression.masks import CubicSchedule
from bench.compression.movement import MovementPruner, SoftMovementPruner
from bench.compression.params import TrainParams
from bench.protocol import Protocol
from bench.toys import toy_config, toy_rows
from bench.training.batches import collate
from bench.training.loop import train


@pytest.fixture
def model():
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(toy_config())


def mask_gradients(model, batch, kept) -> dict[str, torch.Tensor]:
    """∂L/∂M of the masks M in W' = W ∘ M, by autograd, the model holding W."""
    masks = {name: mask.float().requires_grad_() for name, mask in kept.items()}
    linears = bench.prunable(model)
    masked = {f"{name}.weight": linears[name].weight.detach() * masks[name] for name in masks}
    logits = torch.func.functional_call(model, masked, kwargs=batch.inputs).logits
    loss = torch.nn.functional.cross_entropy(logits, batch.labels)
    return dict(zip(masks, torch.autograd.grad(loss, list(masks.values())), strict=True))


def test_movements_gradients_are_the_straight_through_ones(model) -> None:
    """By autograd, with the mask as a variable: also where a weight is removed."""
    pruner = MovementPruner(model, density=0.25, schedule=CubicSchedule(end=0.01))
    data = toy_rows(0)
    batch = collate(data, np.arange(8), model, torch.device("cpu"))
    training = Training(model, torch.optim.AdamW(model.parameters(), lr=1e-3), 100)
    pruner.start(training)
    model.eval()
    for step in range(3):  # the second and third pass run with removed weights
        model.zero_grad()
        task_loss(model, batch).backward()
        before = {n: lin.weight.grad.clone() for n, lin in bench.prunable(model).items()}
        pruner.before_step(training)
        by_autograd = mask_gradients(model, batch, pruner._masks.kept)
        for name, linear in bench.prunable(model).items():
            dense, kept = linear.weight.detach(), pruner._masks.kept[name]
            torch.testing.assert_close(pruner.scores[name].grad, by_autograd[name])
            assert torch.equal(linear.weight.grad, before[name] * kept)
            if step:
                assert pruner.scores[name].grad[~kept].count_nonzero() > 0
                assert dense[~kept].count_nonzero() > 0
        training.optimizer.step()
        training.step += 1
        pruner.after_step(training)
        for name, linear in bench.prunable(model).items():
            scores, kept = pruner.scores[name], pruner._masks.kept[name]
            assert int(kept.sum()) == kept.numel() // 4
            assert scores[kept].min() >= scores[~kept].max()
            assert (linear.weight[~kept] == 0).all()


def test_with_plain_descent_scores_sum_up_the_movements(model) -> None:
    """S = −α Σ ∂L/∂W' · W, the paper's equation for stochastic gradient descent."""
    pruner = MovementPruner(model, density=1.0, score_learning_rate=0.5)
    training = Training(model, torch.optim.SGD(model.parameters(), lr=0.1), 10)
    pruner.start(training)
    wanted = {name: torch.zeros_like(lin.weight) for name, lin in bench.prunable(model).items()}
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        for name, linear in bench.prunable(model).items():
            linear.weight.grad = torch.randn(linear.weight.shape, generator=generator)
            wanted[name] -= 0.5 * linear.weight.grad * linear.weight.detach()
        pruner.before_step(training)
        training.optimizer.step()
        training.step += 1
        pruner.after_step(training)
    for name, scores in pruner.scores.items():
        torch.testing.assert_close(scores.detach(), wanted[name])


def test_the_soft_regulariser_is_lambda_times_the_mean_of_the_sigmoids(model) -> None:
    """By autograd of λ/n · Σ over matrices of mean σ(S), beside the straight-through part.

    λ is such that the regulariser's mean gradient is `pull` times that of the loss.
    """
    pruner = SoftMovementPruner(model, density=0.1)
    training = Training(model, torch.optim.AdamW(model.parameters(), lr=1e-3), 100)
    pruner.start(training)
    pruner.pull = 2.0
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for scores in pruner.scores.values():
            scores.copy_(torch.randn(scores.shape, generator=generator))
    model.eval()
    batch = collate(toy_rows(0), np.arange(8), model, torch.device("cpu"))
    task_loss(model, batch).backward()
    straight = {n: lin.weight.grad * lin.weight for n, lin in bench.prunable(model).items()}
    copies = {n: s.detach().clone().requires_grad_() for n, s in pruner.scores.items()}
    torch.stack([c.sigmoid().mean() for c in copies.values()]).mean().backward()
    of_loss = torch.cat([g.abs().flatten() for g in straight.values()]).mean()
    of_regulariser = torch.cat([c.grad.flatten() for c in copies.values()]).mean()
    penalty = 2.0 * of_loss / of_regulariser
    pruner.before_step(training)
    for name, scores in pruner.scores.items():
        wanted = straight[name] + penalty * copies[name].grad
        torch.testing.assert_close(scores.grad, wanted, rtol=1e-4, atol=1e-9)


def test_the_threshold_rises_along_the_cubic_schedule(model) -> None:
    """τ = 0.1 · (1 − (1 − x)³): scores on either side of it are kept or not."""
    pruner = SoftMovementPruner(model, density=0.1, schedule=CubicSchedule(events=1000))
    training = Training(model, torch.optim.AdamW(model.parameters(), lr=1e-3), 100)
    pruner.start(training)
    for step in (1, 10, 50, 99):
        training.step = step
        tau = 0.1 * (1 - (1 - step / 100) ** 3)
        level = math.log(tau / (1 - tau))
        with torch.no_grad():
            for scores in pruner.scores.values():
                scores.copy_(torch.where(torch.arange(scores.shape[1]) % 2 == 0, level + 1e-3,
                                         level - 1e-3).expand_as(scores))  # fmt: skip
        pruner._now = pruner._cuts[step]
        pruner._choose(training)
        for kept in pruner._masks.kept.values():
            assert kept[:, ::2].all()
            assert not kept[:, 1::2].any()


def masks_where_low_scores_are(model, schedule: CubicSchedule, low: slice) -> list[torch.Tensor]:
    """The masks half-way through a training in which the scores of some matrices are far down."""
    pruner = SoftMovementPruner(model, density=0.1, schedule=schedule)
    training = Training(model, torch.optim.AdamW(model.parameters(), lr=1e-3), 100, step=50)
    pruner.start(training)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for scores in pruner.scores.values():
            scores.copy_(torch.rand(scores.shape, generator=generator))
        for scores in list(pruner.scores.values())[low]:
            scores.sub_(50)
    pruner._choose(training)
    return list(pruner._masks.kept.values())


def test_the_best_of_all_matrices_leave_a_little_of_each(model) -> None:
    """As in the authors' code, whose global threshold keeps 0.5 % of a matrix at least."""
    pruner = MovementPruner(model, density=0.05, scope="global", schedule=CubicSchedule(end=0.5))
    training = Training(model, torch.optim.AdamW(model.parameters(), lr=1e-3), 100, step=50)
    pruner.start(training)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for number, scores in enumerate(pruner.scores.values()):
            scores.copy_(torch.rand(scores.shape, generator=generator) - number % 2)
    pruner._choose(training)
    kept = pruner._masks.kept
    for name, mask in kept.items():
        least = int(0.005 * mask.numel())
        assert int(mask.sum()) >= least
        best = pruner.scores[name].detach().flatten().topk(least).indices
        assert mask.flatten()[best].all()
    total = sum(mask.numel() for mask in kept.values())
    assert sum(int(mask.sum()) for mask in kept.values()) == round(0.05 * total)


def test_scores_are_clipped_together_with_the_weights(model) -> None:
    """As parameters of the model, which they are in the authors' code."""
    pruner = MovementPruner(model, density=0.5)
    found: list[tuple[float, float]] = []

    class Watch(Callback):
        def start(self, training: Training) -> None:
            training.optimizer.register_step_pre_hook(lambda *_: found.append(self.norms(training)))

        def before_step(self, training: Training) -> None:
            self.raw = self.norms(training)

        def norms(self, training: Training) -> tuple[float, float]:
            everything = [p for group in training.optimizer.param_groups for p in group["params"]]
            parts = [[p for p in everything if any(p is s for s in pruner.scores.values())]]
            parts.append(everything)
            return tuple(
                float(torch.stack([p.grad.norm() for p in part if p.grad is not None]).norm())
                for part in parts
            )

    watch = Watch()
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.mul_(50)  # gradients far above the norm that they are clipped to
    protocol = Protocol(epochs=1, trials=0, precision="fp32", batch_size=64)
    train(model, toy_rows(0), loss=task_loss, params=TrainParams(), protocol=protocol,
        device="cpu", seed=(0,), callbacks=[pruner, watch], steps=1)  # fmt: skip
    ((scores, everything),) = found
    assert watch.raw[1] > 1
    assert everything == pytest.approx(1, rel=1e-4)
    assert scores == pytest.approx(watch.raw[0] / watch.raw[1], rel=1e-4)


def test_a_threshold_never_empties_a_matrix(model) -> None:
    everywhere = slice(None)
    for kept in masks_where_low_scores_are(model, CubicSchedule(events=1000), everywhere):
        assert int(kept.sum()) == pytest.approx(0.005 * kept.numel(), abs=1)


def test_the_last_cut_of_soft_movement_leaves_a_share_of_each_matrix_too(model) -> None:
    every_other = slice(1, None, 2)
    kept = masks_where_low_scores_are(model, CubicSchedule(end=0.5), every_other)
    assert all(int(mask.sum()) >= 0.005 * mask.numel() - 1 for mask in kept)
    assert all(mask.any() for mask in kept)
    total = sum(mask.numel() for mask in kept)
    assert sum(int(mask.sum()) for mask in kept) == round(0.1 * total)


class Trace(Callback):
    """Notes the density after each step."""

    def __init__(self) -> None:
        self.densities: list[float] = []

    def after_step(self, training: Training) -> None:
        linears = bench.prunable(training.model).values()
        alive = sum(int(linear.weight.count_nonzero()) for linear in linears)
        self.densities.append(alive / sum(linear.weight.numel() for linear in linears))


@pytest.mark.parametrize("density", [0.25, 0.05])
def test_soft_movement_follows_the_cubic_density_and_ends_exactly(model, density: float) -> None:
    trace, schedule = Trace(), CubicSchedule(end=0.7)
    pruner = SoftMovementPruner(model, density=density, schedule=schedule)
    protocol = Protocol(epochs=40, trials=0, precision="fp32", batch_size=8)
    params = TrainParams(learning_rate=1e-3)
    steps = train(model, toy_rows(0), loss=task_loss, params=params, protocol=protocol,
                device="cpu", seed=(0,), callbacks=[pruner, trace]).step  # fmt: skip
    cuts = schedule.densities(steps, density)
    end = max(cuts)
    apart = [abs(trace.densities[step - 1] - cuts[step]) for step in cuts if step > end // 3]
    assert max(apart) < 0.12
    total = sum(linear.weight.numel() for linear in bench.prunable(model).values())
    assert {round(d * total) for d in trace.densities[end - 1 :]} == {round(density * total)}
    assert bench.count(pruner.finish()).weights == round(density * total)
