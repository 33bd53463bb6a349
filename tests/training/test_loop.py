"""The one training loop."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from bench.compression.callbacks import Callback, Training
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.errors import DivergedError
from bench.protocol import Protocol
from bench.toys import toy_rows
from bench.training import loop
from bench.training.batches import collate
from bench.training.evaluate import predict
from bench.training.loop import optimizer_for, rate_at

PROTOCOL = Protocol(epochs=2, trials=0, precision="fp32", batch_size=8)


def train(model, **changes):
    settings = {"loss": task_loss, "params": TrainParams(), "protocol": PROTOCOL, "device": "cpu",
                "seed": (3, 1)} | changes  # fmt: skip
    return loop.train(model, toy_rows(0), **settings).step


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.2])
def test_the_rate_rises_and_falls_as_the_librarys_linear_schedule(warmup: float) -> None:
    """transformers begins at a rate of zero, which wastes a step; otherwise they agree."""
    total = 100
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, round(warmup * total), total)
    theirs = []
    for _ in range(total):
        theirs.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    ours = [rate_at(step, total, TrainParams(warmup=warmup)) for step in range(total)]
    assert ours == pytest.approx(theirs, abs=0.1 if warmup else 1e-9)
    assert max(ours) == 1.0
    assert min(ours) > 0
    after = round(warmup * total)
    assert ours[after:] == pytest.approx(theirs[after:])


def test_a_constant_rate_stays_at_its_peak() -> None:
    params = TrainParams(warmup=0.0, decay="constant")
    assert {rate_at(step, 10, params) for step in range(10)} == {1.0}


def test_matrices_decay_and_biases_do_not(model) -> None:
    decayed, spared = optimizer_for(model, TrainParams(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert all(p.ndim == 2 for p in decayed["params"])
    names = {id(p): name for name, p in model.named_parameters()}
    spared_names = {names[id(p)] for p in spared["params"]}
    assert all(name.endswith("bias") or "LayerNorm" in name for name in spared_names)
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_one_step_is_that_of_a_plain_loop(model) -> None:
    """Against torch written out: forward, clip to norm 1, AdamW at the scheduled rate."""
    data = toy_rows(0)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    twin = copy.deepcopy(model)
    protocol = Protocol(epochs=1, trials=0, precision="fp32", batch_size=len(data))
    train(model, protocol=protocol, params=TrainParams(learning_rate=1e-2, warmup=0.0))

    everything = np.argsort(data.lengths, kind="stable")
    batch = collate(data, everything, twin, torch.device("cpu"))
    twin.train()
    logits = twin(**batch.inputs).logits
    (-logits.log_softmax(1)[range(len(data)), batch.labels].mean()).backward()
    gradients = [p.grad for p in twin.parameters() if p.grad is not None]
    norm = torch.sqrt(sum((g**2).sum() for g in gradients))
    for p in twin.parameters():
        if p.grad is not None:
            g = p.grad / max(1.0, float(norm))
            decay = 1e-2 * 0.01 if p.ndim > 1 else 0.0
            # AdamW's first step moves by the rate times the gradient's sign (up to epsilon)
            p.data = p.data * (1 - decay) - 1e-2 * g / (g.abs() + 1e-8)
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3, msg=name)


def test_a_training_on_some_rows_is_one_on_these_alone(model) -> None:
    twin, data = copy.deepcopy(model), toy_rows(0)
    rows = np.arange(1, len(data), 3)
    protocol = Protocol(epochs=1, trials=0, precision="fp32", batch_size=8)
    given = {"loss": task_loss, "params": TrainParams(), "protocol": protocol, "device": "cpu",
             "seed": (0,), "steps": 5}  # fmt: skip
    training = loop.train(model, data, rows=rows, **given)
    alone = loop.train(twin, data.select(rows.tolist()), **given)
    assert training.visits[rows].tolist() == alone.visits.tolist()
    assert training.visits.sum() == alone.visits.sum()
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_training_repeats_to_the_bit_whatever_was_drawn_before(model) -> None:
    twin, other = copy.deepcopy(model), copy.deepcopy(model)
    train(model)
    torch.rand(17)
    train(twin)
    train(other, seed=(4, 1))
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert any(
        not torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_training_learns(model) -> None:
    data = toy_rows(0)
    before = (predict(model, data, "cpu").argmax(1) == data.labels).mean()
    protocol = Protocol(epochs=30, trials=0, precision="fp32", batch_size=8)
    train(model, protocol=protocol, params=TrainParams(learning_rate=2e-3))
    assert (predict(model, data, "cpu").argmax(1) == data.labels).mean() > max(0.95, before)


def test_callbacks_see_every_step_in_order(model) -> None:
    seen: list[tuple[str, int]] = []

    class Listen(Callback):
        def start(self, training: Training) -> None:
            seen.append(("start", training.total_steps))

        def before_step(self, training: Training) -> None:
            assert any(p.grad is not None for p in training.model.parameters())
            seen.append(("before", training.step))

        def after_step(self, training: Training) -> None:
            seen.append(("after", training.step))

    progress: list[tuple[int, int]] = []
    steps = train(model, callbacks=[Listen()], progress=lambda *at: progress.append(at))
    assert steps == 2 * math.ceil(48 / 8)
    assert seen[0] == ("start", steps)
    wanted = [pair for i in range(steps) for pair in (("before", i), ("after", i + 1))]
    assert seen[1:] == wanted
    assert progress == [(i + 1, steps) for i in range(steps)]
    assert not model.training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_training(model, value: float) -> None:
    def loss(model, batch):
        return task_loss(model, batch) * value

    with pytest.raises(DivergedError, match="step 1"):
        train(model, loss=loss)


def test_bf16_trains_in_another_arithmetic_but_keeps_fp32_weights(model) -> None:
    twin = copy.deepcopy(model)
    train(model)
    train(twin, protocol=Protocol(epochs=2, trials=0, precision="bf16", batch_size=8))
    assert all(p.dtype == torch.float32 for p in twin.parameters())
    a, b = (predict(m, toy_rows(0), "cpu") for m in (model, twin))
    assert 0 < np.abs(a - b).max() < 0.1


def test_a_callback_may_read_the_gradient_before_and_after_the_clip(model) -> None:
    class Watch(Callback):
        def before_step(self, training: Training) -> None:
            self.raw = [p.grad.clone() for p in training.model.parameters()]

        def after_step(self, training: Training) -> None:
            norm = torch.cat([grad.flatten() for grad in self.raw]).norm()
            assert norm > PROTOCOL.clip_norm / 100
            for grad, parameter in zip(self.raw, training.model.parameters(), strict=True):
                torch.testing.assert_close(parameter.grad, grad * (clip / norm).clamp(max=1))
            norms.append(float(norm))

    norms: list[float] = []
    clip = 0.01
    train(model, callbacks=[Watch()], protocol=dataclasses.replace(PROTOCOL, clip_norm=clip))
    assert min(norms) > clip  # else nothing was clipped


def test_the_gradients_of_a_step_do_not_enter_the_next(model) -> None:
    class Watch(Callback):
        def after_step(self, training: Training) -> None:
            for parameter in training.model.parameters():
                parameter.grad.fill_(math.nan)

    train(model, callbacks=[Watch()])
    assert all(parameter.isfinite().all() for parameter in model.parameters())
