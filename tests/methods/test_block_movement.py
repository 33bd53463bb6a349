"""Block movement pruning: when blocks go, and that what is filled has the target's size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

import bench
from bench import registry
from bench.compression.callbacks import Callback, Training
from bench.runs.cells.parameters import resolve_params
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path


class Trace(Callback):
    """Notes how many weights are not masked after each step."""

    def __init__(self) -> None:
        self.weights: list[int] = []

    def after_step(self, training: Training) -> None:
        linears = bench.prunable(training.model).values()
        self.weights.append(sum(int(linear.weight.count_nonzero()) for linear in linears))


@pytest.mark.parametrize(("axis", "ratio"), [("weights", 4.0), ("flops", 3.0)])
def test_masks_end_sparser_than_what_is_filled(tmp_path: Path, axis: str, ratio: float) -> None:
    toy = Toy(tmp_path, registry.methods.get("block-movement"), ratio, {}, epochs=4)
    run = toy.run()
    run.target = bench.Target(axis, ratio, 16)
    train, phases = run.train, []

    def watched(model, *, callbacks=(), **options) -> None:
        phases.append(Trace())
        train(model, callbacks=[*callbacks, phases[-1]], **options)

    run.train = watched  # type: ignore[method-assign]
    params = resolve_params(toy.method, {}, run.context.protocol)
    params = dataclasses.replace(params, first_phase=0.25, final_phase=0.5)
    model = toy.method().compress(run, params)

    masked, filled = (phase.weights for phase in phases)
    whole = bench.count_dense(run.pretrained()).weights
    assert (len(masked), len(filled)) == (12, 12)  # of 24 steps
    assert [weights == whole for weights in masked] == [True] * 6 + [False] * 6
    assert masked == sorted(masked, reverse=True)
    if axis == "weights":  # by FLOPs, whole heads count for more than their blocks
        assert masked[-1] < filled[0]
    heads, neurons = run.target.heads_and_neurons(run.pretrained().config)
    assert set(filled) == {heads * 4 * 8 * 32 + neurons * 2 * 32}
    assert bench.count(model).weights == filled[0]
