"""Tuned gradual magnitude pruning: cuts, rate and loss against plain calculations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import bench
from bench import registry
from bench.testing import Toy, toy_rows
from bench.training.batches import collate

if TYPE_CHECKING:
    from pathlib import Path

    from bench.compression.callbacks import Training
    from bench.runs.cells.cell_run import CellRun

STEPS = 24  # the toy's four epochs of six
RATIO = 20.0


class Watch(bench.Callback):
    """Notes rate and weights at every step: the optimizer's, and those that are left of them."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.moved: list[torch.Tensor] = []
        self.left: list[torch.Tensor] = []

    def before(self) -> bench.Callback:
        """A callback that looks before those that cut."""
        watch = self

        class Before(bench.Callback):
            def after_step(self, training: Training) -> None:
                watch.moved.append(flat(training.model))

        return Before()

    def before_step(self, training: Training) -> None:
        self.rates.append(training.optimizer.param_groups[0]["lr"])

    def after_step(self, training: Training) -> None:
        self.left.append(flat(training.model))


def flat(model: Any) -> torch.Tensor:
    return torch.cat([lin.weight.detach().flatten() for lin in bench.prunable(model).values()])


def watched(folder: Path, **params: Any) -> tuple[CellRun, torch.Tensor, Watch]:
    """What the method makes of the toy, and each step of it."""
    method = registry.methods.get("gmp")
    run, watch = Toy(folder, method, RATIO, {}).run(), Watch()
    train = run.train

    def watching(model: Any, *, callbacks: Any, **options: Any) -> None:
        train(model, callbacks=[watch.before(), *callbacks, watch], **options)

    run.train = watching  # type: ignore[method-assign]
    model = method().compress(run, method.Params(learning_rate=1e-2, **params))
    return run, flat(model), watch


@pytest.mark.parametrize("first_cut", [0.0, 0.5])
def test_masks_are_those_of_a_plain_calculation(tmp_path: Path, first_cut: float) -> None:
    """Of all matrices together the largest stay, fewer after each step of the first phase."""
    run, last, watch = watched(tmp_path, first_cut=first_cut, final_phase=0.25)
    total, cuts = last.numel(), 18
    left, wanted = 1 - first_cut, math.floor(total / RATIO) / total
    alive = set(range(total))
    if first_cut:
        start = flat(run.pretrained()).abs()
        alive = set(start.argsort(descending=True)[: round(left * total)].tolist())
    for step in range(STEPS):
        if step < cuts:
            density = wanted + (left - wanted) * (1 - (step + 1) / cuts) ** 3
            size = watch.moved[step].abs()
            order = [place for place in size.argsort(descending=True).tolist() if place in alive]
            alive = set(order[: round(density * total)])
        expected = torch.zeros(total)
        kept = torch.tensor(sorted(alive))
        expected[kept] = watch.moved[step][kept]
        assert torch.equal(watch.left[step], expected), step
    assert torch.equal(last, watch.left[-1])
    assert len(alive) == math.floor(total / RATIO)


def test_the_rate_is_steady_while_weights_go_and_falls_after_it(tmp_path: Path) -> None:
    _, _, watch = watched(tmp_path, warmup=1 / 9, final_phase=0.25)
    rising = [1e-2 / 3, 2e-2 / 3]
    falling = [1e-2 * (6 - step) / 6 for step in range(6)]
    assert watch.rates == pytest.approx([*rising, *[1e-2] * 16, *falling])


def test_without_a_final_phase_weights_go_until_the_last_step(tmp_path: Path) -> None:
    _, last, watch = watched(tmp_path, warmup=0.0, final_phase=0.0)
    assert watch.rates == [1e-2] * STEPS
    alive = [int(weights.count_nonzero()) for weights in watch.left]
    assert alive[-4] > alive[-1] == int(last.count_nonzero()) == last.numel() // RATIO


@pytest.mark.parametrize("is_regression", [False, True])
@pytest.mark.parametrize("teacher", ["finetuned", "none"])
def test_the_loss_is_the_teachers_alone_or_the_tasks(
    tmp_path: Path, teacher: str, is_regression: bool
) -> None:
    method = registry.methods.get("gmp")
    run = Toy(tmp_path, method, 4.0, {}).run(kind="regression" if is_regression else "classes")
    taken: list[dict[str, Any]] = []
    run.train = lambda model, **options: taken.append({"model": model, **options})  # type: ignore[method-assign]
    method().compress(run, method.Params(teacher=teacher, temperature=3.0))
    assert [phase["share"] for phase in taken] == pytest.approx([0.7, 0.3])
    student, dense = taken[0]["model"].eval(), run.finetuned().eval()
    with torch.no_grad():
        student.classifier.weight.mul_(100)  # so that it does not answer as its teacher does
    data = toy_rows(0, "regression" if is_regression else "classes")
    batch = collate(data, np.arange(3), student, torch.device("cpu"))
    own, known = (m(**batch.inputs).logits.tolist() for m in (student, dense))
    if is_regression:
        goal = [row[0] for row in known] if teacher == "finetuned" else data.labels[:3].tolist()
        wanted = sum((row[0] - one) ** 2 for row, one in zip(own, goal, strict=True)) / 3
    elif teacher == "none":
        wanted = (
            -sum(
                math.log(soft(row, 1)[label])
                for row, label in zip(own, data.labels[:3], strict=True)
            )
            / 3
        )
    else:
        wanted = 0.0
        for row, goal in zip(own, known, strict=True):
            pairs = zip(soft(goal, 3), soft(row, 3), strict=True)
            wanted += 9 * sum(p * math.log(p / q) for p, q in pairs) / 3
    for phase in taken:
        assert phase["loss"](student, batch).item() == pytest.approx(wanted, rel=1e-4)


def soft(logits: list[float], temperature: float) -> list[float]:
    """Probabilities at a temperature."""
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]
