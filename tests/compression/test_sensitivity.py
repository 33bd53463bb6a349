"""PLATON's scores and masks, against a plain replay of what a training showed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import bench
from bench.compression.callbacks import Callback, Training
from bench.compression.losses import task_loss
from bench.compression.masks import CubicSchedule
from bench.compression.params import TrainParams
from bench.compression.sensitivity import SensitivityPruner
from bench.protocol import Protocol
from bench.toys import toy_config, toy_rows
from bench.training.loop import train

DENSITY, WINDOW, BETA1, BETA2 = 0.1, 4, 0.7, 0.6


class Recorder(Callback):
    """What the optimizer left after each step: all prunable weights and gradients, in a row."""

    def __init__(self) -> None:
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def after_step(self, training: Training) -> None:
        linears = bench.prunable(training.model).values()
        weights = torch.cat([linear.weight.detach().flatten() for linear in linears])
        gradients = torch.cat([linear.weight.grad.flatten() for linear in linears])
        self.seen.append((weights.double().numpy(), gradients.double().numpy()))


def trained(schedule: CubicSchedule, epochs: int = 8, window: int = WINDOW):
    """A pruner that has been trained, what it saw at each step, and what it made of it."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(toy_config())
    pruner = SensitivityPruner(
        model, density=DENSITY, window=window, beta1=BETA1, beta2=BETA2, schedule=schedule
    )
    before, after = Recorder(), Recorder()
    training = train(
        model,
        toy_rows(0),
        loss=task_loss,
        params=TrainParams(learning_rate=1e-2),
        protocol=Protocol(epochs=epochs, trials=0, precision="fp32", batch_size=8),
        device="cpu",
        seed=(0, 0),
        callbacks=[before, pruner, after],
    )
    return pruner, training.total_steps, before.seen, after.seen


@pytest.fixture(scope="module")
def replayed():
    return trained(CubicSchedule(begin=0.2, end=0.6))


def test_weights_go_as_in_a_plain_replay_of_the_algorithm(replayed) -> None:
    """Step by step as the authors write it, in double precision, with a threshold by sorting."""
    _, total, before, after = replayed
    begin, end = round(0.2 * total), round(0.6 * total)
    assert total > 40
    mean = uncertainty = total_of_window = np.zeros(before[0][0].size)
    steps_of_window = held = 0
    for step, ((weights, gradients), (left, _)) in enumerate(zip(before, after, strict=True), 1):
        if step % WINDOW == 0:
            sensitivity = total_of_window / steps_of_window
            mean = BETA1 * mean + (1 - BETA1) * sensitivity
            uncertainty = BETA2 * uncertainty + (1 - BETA2) * abs(sensitivity - mean)
            total_of_window, steps_of_window = np.zeros_like(mean), 0
        total_of_window = total_of_window + abs(weights * gradients)
        steps_of_window += 1
        if step < begin or (step < end and step % WINDOW):
            wanted = weights
        else:
            x = min(1.0, (step - begin) / (end - begin))
            keep = round((DENSITY + (1 - DENSITY) * (1 - x) ** 3) * weights.size)
            threshold = np.sort(mean * uncertainty)[-keep]
            wanted = np.where(mean * uncertainty >= threshold, weights, 0.0)
            held += step % WINDOW != 0
        different = (wanted != left).sum()
        assert different <= 2, step  # two scores that single precision cannot tell apart
    assert held > 5  # steps of the last phase between two windows


def test_what_is_gone_may_come_back_until_the_last_phase_and_even_in_it(replayed) -> None:
    _, total, _, after = replayed
    begin, end = round(0.2 * total), round(0.6 * total)
    gone = [left == 0 for left, _ in after]
    assert not any(mask.any() for mask in gone[: begin - 1])
    cuts = [step for step in range(begin, total + 1) if step % WINDOW == 0]
    returned = {b: (gone[a - 1] & ~gone[b - 1]).sum() for a, b in itertools.pairwise(cuts)}
    assert any(count > 0 for step, count in returned.items() if step < end)
    assert any(count > 0 for step, count in returned.items() if step > end)
    free = next(step for step in cuts if step + 1 < end)
    assert (gone[free - 1] & ~gone[free]).any()  # the optimizer moves them the very next step
    for step in range(end, total):
        assert gone[step - 1].sum() == gone[-1].sum()


def test_the_end_is_exact_and_biases_are_left_alone(replayed) -> None:
    pruner, *_ = replayed
    model = pruner.finish()
    linears = bench.prunable(model).values()
    kept = sum(int(linear.weight.count_nonzero()) for linear in linears)
    assert kept == round(DENSITY * sum(linear.weight.numel() for linear in linears))
    assert all((linear.bias != 0).all() for linear in linears)


def test_a_training_shorter_than_a_window_is_one() -> None:
    pruner, total, before, _ = trained(CubicSchedule(), epochs=1, window=1000)
    model = pruner.finish()
    kept = torch.cat([linear.weight.flatten() for linear in bench.prunable(model).values()]) != 0
    sensitivity = sum(abs(weights * gradients) for weights, gradients in before[:-1]) / (total - 1)
    count = round(DENSITY * kept.numel())
    wanted = np.zeros(kept.numel(), dtype=bool)
    wanted[np.argsort(sensitivity)[-count:]] = True
    assert int(kept.sum()) == count
    assert (wanted != kept.numpy()).sum() <= 2


def test_a_loss_that_does_not_reach_a_matrix_is_refused() -> None:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(toy_config())
    pruner = SensitivityPruner(model, density=0.5)
    training = Training(model, torch.optim.SGD(model.parameters()), 10, step=1)
    pruner.start(training)
    with pytest.raises(ValueError, match="does not depend on"):
        pruner.after_step(training)
