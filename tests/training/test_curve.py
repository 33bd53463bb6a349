"""What is recorded of a training: nothing of it changes, and the figures are those of its model."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from bench.compression.callbacks import Callback, Training
from bench.compression.losses import task_loss
from bench.compression.movement import MovementPruner
from bench.compression.params import TrainParams
from bench.protocol import Protocol
from bench.toys import ToyTask, toy_rows
from bench.training.curve import Curve
from bench.training.evaluate import predict
from bench.training.loop import train

EPOCHS, STEPS = 4, 4 * 6
TEN = [2, 5, 7, 10, 12, 14, 17, 19, 22, 24]
"""Tenths of 24 steps, rounded to even."""


class Watch(Callback):
    """Keeps a copy of the model after every step, and every loss that was computed."""

    def __init__(self) -> None:
        self.models = []
        self.losses: list[float] = []

    def after_step(self, training: Training) -> None:
        self.models.append(copy.deepcopy(training.model))

    def loss(self, model, batch):
        value = task_loss(model, batch)
        self.losses.append(value.item())
        return value


def run(model, *callbacks: Callback, loss=task_loss, steps: int = STEPS):
    protocol = Protocol(epochs=EPOCHS, trials=0, precision="fp32", batch_size=8)
    return train(model, toy_rows(0), loss=loss, params=TrainParams(learning_rate=3e-3),
                 protocol=protocol, device="cpu", seed=(3, 1), callbacks=callbacks,
                 steps=steps)  # fmt: skip


@pytest.mark.parametrize("masked", [False, True])
def test_a_recorded_training_is_the_same_to_the_bit(model, masked: bool) -> None:
    twin = copy.deepcopy(model)
    assert model.config.hidden_dropout_prob > 0  # so that a number drawn in between would show
    run(twin, *([MovementPruner(twin, density=0.25)] if masked else []))
    drawn = torch.rand(3)
    curve = Curve(STEPS, ToyTask(), toy_rows(1))
    run(model, *([MovementPruner(model, density=0.25)] if masked else []), curve)
    assert torch.equal(torch.rand(3), drawn)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert curve.steps == TEN


@pytest.mark.parametrize("masked", [False, True])
def test_scores_are_those_of_the_model_as_it_stands(model, masked: bool) -> None:
    """Against copies of it, of which scikit-learn says how often they are right."""
    rows, watch = toy_rows(1), Watch()
    curve = Curve(STEPS, ToyTask(), rows)
    run(model, *([MovementPruner(model, density=0.25)] if masked else []), watch, curve)
    assert len(set(curve.score)) > 2
    for step, score in zip(curve.steps, curve.score, strict=True):
        stopped = watch.models[step - 1]
        right = accuracy_score(rows.labels, predict(stopped, rows, "cpu").argmax(axis=1))
        assert score == pytest.approx(100 * right)
    if masked:  # a quarter is left of the encoder that was scored last
        matrices = [p for name, p in stopped.named_parameters() if "layer." in name and p.ndim == 2]
        left = sum(int(p.count_nonzero()) for p in matrices) / sum(p.numel() for p in matrices)
        assert left == pytest.approx(0.25, abs=0.01)


def test_losses_are_means_of_those_since_the_point_before(model) -> None:
    watch = Watch()
    curve = Curve(STEPS, ToyTask())
    run(model, curve, loss=watch.loss)
    ends = itertools.pairwise([0, *TEN])
    assert curve.loss == pytest.approx([np.mean(watch.losses[a:b]) for a, b in ends], rel=1e-6)
    assert curve.described() == {"steps": TEN, "loss": curve.loss}  # no rows, and so no score


def test_phases_stand_one_after_the_other(model) -> None:
    curve = Curve(STEPS, ToyTask(), toy_rows(1))
    run(model, curve, steps=9)
    run(model, curve, steps=STEPS - 9)
    assert curve.steps == sorted([*TEN, 9])
    assert len(curve.score) == len(curve.loss) == 11


def test_the_gain_is_that_over_the_last_fifth(model) -> None:
    curve = Curve(STEPS, ToyTask(), toy_rows(1))
    run(model, curve)
    described = curve.described()
    assert described is not None
    assert described["gain"]["points"] == pytest.approx(
        curve.score[-1] - curve.score[TEN.index(19)]
    )
    assert described["gain"]["half_width"] >= 0
    right = [answers == curve.rows.labels for answers in (curve.answers[-1], curve.answers[7])]
    changed = right[0].astype(float) - right[1]
    error = 100 * changed.std() / np.sqrt(len(changed))  # the plain paired standard error
    assert described["gain"]["half_width"] == pytest.approx(1.959964 * error)


def test_nothing_trained_is_no_curve() -> None:
    assert Curve(STEPS, ToyTask()).described() is None
