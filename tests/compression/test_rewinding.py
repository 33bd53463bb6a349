"""Learning rate rewinding against a plain loop over the steps."""

from __future__ import annotations

import pytest
import torch
from tiny_models import tiny_classifier

import bench
from bench.compression.callbacks import Training


def rates(schedule: bench.CubicSchedule, total: int, warmup: float) -> list[float]:
    """What the optimizer's rate is at each step, from a peak of 2."""
    model = tiny_classifier("bert")
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    training, rewinding = Training(model, optimizer, total), bench.Rewinding(schedule, warmup)
    rewinding.start(training)
    found = []
    for step in range(total):
        training.step = step
        rewinding.before_step(training)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_the_rate_falls_from_its_peak_after_each_cut_and_to_zero_after_the_last() -> None:
    """Cuts after 10, 20, 30, 40 and 50 of 100 steps; 50 are left after the last."""
    expected = [2.0 * (1 - (step % 10) / 50) for step in range(50)]
    expected += [2.0 * (100 - step) / 50 for step in range(50, 100)]
    found = rates(bench.CubicSchedule(end=0.5, events=5), 100, warmup=0.0)
    assert found == pytest.approx(expected)


def test_the_first_steps_warm_up() -> None:
    schedule = bench.CubicSchedule(end=0.5, events=5)
    plain, warm = rates(schedule, 100, 0.0), rates(schedule, 100, 0.1)
    assert warm[:9] == pytest.approx([2 * (step + 1) / 11 for step in range(9)])
    assert warm[10:] == plain[10:]


def test_no_rate_is_below_zero_where_hardly_a_step_follows() -> None:
    found = rates(bench.CubicSchedule(end=1.0, events=2), 20, warmup=0.0)
    assert min(found) == 0.0
    assert found[10] == 2.0
