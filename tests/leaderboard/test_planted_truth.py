"""Intervals and tests on many simulated results whose truth is known.

`benchmarks/planted_truth.py` draws more kinds of tables, and more of each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from planted import Planted, Smooth, TwoGroups, draw, expected, quality_of, truth
from scipy import stats

from bench.leaderboard.statistics import pairwise

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from planted_truth import figures, settings

DRAWS = 400
KINDS = {
    "smooth, three seeds": Planted((Smooth(), Smooth("matthews")), 4, 3),
    "smooth, one varies more": Planted((Smooth("accuracy", 6.0),), 4, 5),
    "smooth, beside constants": Planted((Smooth("pearson_spearman"),), 8, 5, 5),
    "two groups, two methods": Planted((TwoGroups(0.5, 30.0),), 2, 5),
    "two groups, four tasks": Planted((TwoGroups(0.5, 40.0),) * 3 + (Smooth(),), 4, 5),
    "two groups, three seeds": Planted((TwoGroups(0.7, 60.0, 10.0, "matthews"),) * 4, 4, 3),
    "two groups, close": Planted((TwoGroups(0.3, 5.0), TwoGroups(0.9, 10.0)), 4, 5, 1),
    "two groups, ten seeds": Planted((TwoGroups(0.1, 60.0), TwoGroups(0.5, 15.0)), 2, 10),
}


def test_planted_gaps_are_as_wide_as_they_say() -> None:
    """The expected score of a group, by quadrature, and by drawing it."""
    for metric, low in (("accuracy", 30.0), ("matthews", 10.0), ("pearson_spearman", 30.0)):
        group = TwoGroups(0.25, 40.0, low, metric)
        assert truth(metric, quality_of(metric, low)) == pytest.approx(low)
        assert expected(group) == pytest.approx(low + 10.0)
        drawn, learnt = Planted((group,), 40, 10).draw(np.random.default_rng(0))
        scores = np.array([list(sample.scores.values()) for sample in drawn[0].values()])
        assert scores[learnt[0]].mean() == pytest.approx(low + 40.0, abs=4)
        assert scores[~learnt[0]].mean() == pytest.approx(low, abs=4)


def test_there_are_as_many_kinds_of_tables_as_the_documentation_says() -> None:
    kinds = list(settings())
    assert len(set(kinds)) == len(kinds) >= 40
    groups = [p for p in kinds if isinstance(p.tasks[0], TwoGroups)]
    assert {p.seeds for p in kinds} == {3, 5, 10}
    assert {p.methods for p in kinds} == {2, 4, 8, 12}
    assert {p.tasks[0].learns for p in groups} == {0.1, 0.3, 0.5, 0.7, 0.9}
    assert min(p.tasks[0].gap for p in groups) == 5
    assert max(p.tasks[0].gap for p in groups) == 60
    assert any(p.constant for p in groups)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_planted_truth(kind: str) -> None:
    """Equal methods are rarely told apart, and intervals cover where any interval can know."""
    planted = KINDS[kind]
    found = figures(planted, DRAWS)
    three_errors = 3 * (0.05 * 0.95 / DRAWS) ** 0.5
    assert found["apart"] / DRAWS <= 0.05 + three_errors
    assert found["tail"] / DRAWS <= 0.002 + 3 * (0.002 / DRAWS) ** 0.5
    if all(isinstance(task, Smooth) for task in planted.tasks):
        assert found["cover"] / found["means"] >= 0.93
    elif found["both"] > 200:
        assert found["both cover"] / found["both"] >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_a_difference_of_three_errors_is_found_as_often_as_theory_says(seeds: int) -> None:
    """Theory: Student's non-central t, at the degrees of freedom that were estimated."""
    rng = np.random.default_rng(seeds)
    better = {3: 0.31, 5: 0.26}[seeds]
    draws = [pairwise(draw(rng, "accuracy", [better, 0.0], seeds))["m0", "m1"] for _ in range(800)]
    lead = truth("accuracy", better) - truth("accuracy", 0.0)
    distance = lead / float(np.std([e.value for e in draws]))
    assert distance == pytest.approx(3, abs=0.3)
    freedom = float(np.median([e.estimate.freedom for e in draws]))
    theory = float(stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, distance))
    found = float(np.mean([e.p_examples < 0.05 for e in draws]))
    assert found == pytest.approx(theory, abs=0.08)
