"""The permutation test against plain enumeration, and against scipy's."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from scipy import stats

from bench.leaderboard.permutation import (
    SHUFFLES,
    Stratum,
    _shuffles,
    least_p,
    permutation_p,
    permutation_ps,
)


def by_hand(strata: list[Stratum]) -> float:
    """All shuffles of all tasks, one after the other, by Welch's t of the sum over tasks."""

    def distance(shuffle: list[tuple[list[float], list[float]]]) -> float:
        lead = sum(statistics.fmean(a) - statistics.fmean(b) for a, b in shuffle)
        squares = sum(
            statistics.variance(a) / len(a) + statistics.variance(b) / len(b) for a, b in shuffle
        )
        return abs(lead) / squares**0.5

    per_task = []
    for first, second in strata:
        pooled, half = [*first.tolist(), *second.tolist()], len(first)
        per_task.append(
            [
                (
                    [pooled[i] for i in chosen],
                    [pooled[i] for i in range(2 * half) if i not in chosen],
                )
                for chosen in itertools.combinations(range(2 * half), half)
            ]
        )
    found = [distance(list(shuffle)) for shuffle in itertools.product(*per_task)]
    return float(np.mean([one >= found[0] * (1 - 1e-9) for one in found]))


@pytest.mark.parametrize("seeds", [(3,), (5,), (3, 3), (4, 2), (3, 3, 2)])
def test_all_shuffles_are_counted(seeds: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(seeds))
    for _ in range(3):
        strata = [(rng.normal(size=n), 0.8 + rng.normal(size=n)) for n in seeds]
        assert permutation_p(strata) == pytest.approx(by_hand(strata))


@pytest.mark.parametrize("seeds", [(3, 3), (5, 12), (12,)])
def test_many_pairs_together_have_the_ps_of_each_alone(seeds: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    pairs = [[(rng.normal(size=n), gap + rng.normal(size=n)) for n in seeds] for gap in (0, 0.5, 9)]
    together = permutation_ps(pairs)
    assert together == [permutation_p(strata) for strata in pairs]
    assert together[0] > together[2]


def test_one_task_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        first, second = rng.normal(size=5), 1 + rng.normal(size=5)
        found = stats.permutation_test((first, second), lambda x, y: np.mean(x) - np.mean(y))
        assert permutation_p([(first, second)]) == pytest.approx(found.pvalue)


def test_a_whole_separation_has_the_least_p() -> None:
    apart = (np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([61.0, 62.0, 63.0, 64.0, 65.0]))
    assert permutation_p([apart]) == pytest.approx(2 / 252) == pytest.approx(least_p([5]))
    assert permutation_p([apart] * 2) == pytest.approx(2 / 252**2) == pytest.approx(least_p([5, 5]))
    assert permutation_p([apart] * 4) == pytest.approx(1 / (SHUFFLES + 1)) == least_p([5] * 4)
    assert least_p([5, 3]) == 2 / (252 * 20)


def test_scores_without_any_spread_are_apart_or_equal() -> None:
    high, low = np.full(5, 70.0), np.full(5, 50.0)
    assert permutation_p([(high, low)]) == pytest.approx(2 / 252)
    assert permutation_p([(high, high)]) == 1.0
    assert permutation_p([(high, high), (high, low)]) == pytest.approx(2 / 252)


def test_opposite_leads_on_two_tasks_are_no_noise_to_each_other() -> None:
    """Their standard error comes from within: 20 points on one task, -10 on the other."""
    jitter = np.array([0.1, -0.2, 0.0, 0.3, -0.1])
    strata = [(80 + jitter, 60 + jitter[::-1]), (60 + jitter, 70 - jitter)]
    assert permutation_p(strata) < 1e-3


def test_what_stands_first_decides_nothing() -> None:
    rng = np.random.default_rng(1)
    strata = [(rng.normal(size=4), rng.normal(size=4)) for _ in range(2)]
    assert permutation_p(strata) == permutation_p([(b, a) for a, b in strata])


def test_drawn_shuffles_are_random_orders_of_all_seeds() -> None:
    seeds = 12
    ((splits, places),) = _shuffles((seeds,))
    order = np.random.RandomState(0).random_sample((SHUFFLES, 2 * seeds)).argsort(axis=1)
    first = np.argsort(order, axis=1) < seeds
    assert (splits[places[1:]] == np.where(first, 1, -1)).all()
    assert splits[places[0]].tolist() == [1] * seeds + [-1] * seeds


def test_drawn_shuffles_are_as_good_as_all() -> None:
    """Of 252⁴ shuffles: Student's t is right where seeds are normal."""
    rng = np.random.default_rng(2)
    ps = []
    for _ in range(300):
        strata = [(rng.normal(size=5), rng.normal(size=5)) for _ in range(4)]
        ps.append(permutation_p(strata))
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert stats.kstest(ps, "uniform").pvalue > 0.01
