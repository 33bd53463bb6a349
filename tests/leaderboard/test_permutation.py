"""The exact permutation test against plain enumeration, and against scipy's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from bench.leaderboard.permutation import STEPS, least_p, permutation_p


def by_hand(strata: list[tuple[list[float], list[float]]]) -> float:
    """All shuffles of all tasks, one after the other."""
    per_task = []
    for first, second in strata:
        pooled, half = [*first, *second], len(first)
        per_task.append(
            [
                sum(pooled[i] for i in chosen) / half
                - sum(pooled[i] for i in range(2 * half) if i not in chosen) / half
                for chosen in itertools.combinations(range(2 * half), half)
            ]
        )
    found = [sum(each) for each in itertools.product(*per_task)]
    observed = sum(leads[0] for leads in per_task)  # the first choice is the first method's
    return float(np.mean([abs(lead) >= abs(observed) - 1e-9 for lead in found]))


@pytest.mark.parametrize("seeds", [(3,), (5,), (3, 3), (4, 2), (3, 3, 3)])
def test_all_shuffles_are_counted(seeds: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(seeds))
    for _ in range(5):
        # Whole numbers of the steps that scores are rounded to, so that nothing is lost by it.
        strata = [(rng.integers(0, 40, count), 8 + rng.integers(0, 40, count)) for count in seeds]
        scale = max(float(np.ptp(np.concatenate(pair))) / len(pair[0]) for pair in strata)
        exact = [
            tuple(np.rint(side / len(side) / scale * STEPS) * scale / STEPS * len(side)
                  for side in pair)
            for pair in strata
        ]  # fmt: skip
        wanted = by_hand([(list(a), list(b)) for a, b in exact])
        assert permutation_p(exact) == pytest.approx(wanted, abs=1e-12)


def test_one_task_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        first, second = rng.integers(0, STEPS + 1, 5), rng.integers(0, STEPS + 1, 5)
        first[0], second[0] = 0, STEPS
        found = stats.permutation_test(
            (first.astype(float), second.astype(float)), lambda x, y: np.mean(x) - np.mean(y)
        )
        strata = [(first.astype(float), second.astype(float))]
        assert permutation_p(strata) == pytest.approx(found.pvalue)


def test_a_whole_separation_has_the_least_p() -> None:
    apart = (np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([61.0, 62.0, 63.0, 64.0, 65.0]))
    assert permutation_p([apart]) == pytest.approx(2 / 252) == pytest.approx(least_p([5]))
    assert permutation_p([apart] * 4) == pytest.approx(2 / 252**4, rel=1e-3)
    assert least_p([5, 3]) == 2 / (252 * 20)


def test_what_stands_first_decides_nothing_and_equal_scores_are_no_difference() -> None:
    rng = np.random.default_rng(1)
    strata = [(rng.normal(size=5), rng.normal(size=5)) for _ in range(3)]
    turned = [(b, a) for a, b in strata]
    assert permutation_p(strata) == pytest.approx(permutation_p(turned), abs=1e-12)
    assert permutation_p([(np.full(5, 7.0), np.full(5, 7.0))]) == 1.0


def test_many_seeds_are_as_good_as_normal() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=60), 0.4 + rng.normal(size=60)
    drawn = stats.permutation_test(
        (first, second), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True,
        n_resamples=20_000, rng=np.random.default_rng(3),
    )  # fmt: skip
    assert permutation_p([(first, second)]) == pytest.approx(drawn.pvalue, abs=0.01)
