"""Intervals, tests and ranks against closed forms and second implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import SEED, answers, collapse, draw, score
from scipy import stats

from bench.leaderboard.statistics import (
    Estimate,
    Sample,
    average,
    average_pairs,
    difference,
    holm,
    mean,
    moderate,
    pairwise,
    ranks,
)
from bench.training import scoring


def test_planted_scores_agree_with_the_metrics() -> None:
    for metric in SEED:
        given, labels = answers(metric)
        given, labels = (given, labels) if metric == "pearson_spearman" else (given % 2, labels % 2)
        assert score(metric, given, labels) == pytest.approx(
            scoring.score(metric, given, labels).main
        )


def test_the_variance_is_that_of_a_two_way_layout() -> None:
    """On accuracy the three parts are the mean squares of seeds × examples."""
    rng = np.random.default_rng(0)
    seeds, n = 4, 50
    right = 100.0 * (rng.random((seeds, n)) < 0.6 + 0.3 * rng.random(n))
    scores = {s: float(right[s].mean()) for s in range(seeds)}
    found = mean(Sample(scores, {s: right[s] - right[s].mean() for s in range(seeds)}))
    grand, rows, columns = right.mean(), right.mean(axis=1), right.mean(axis=0)
    ms_seeds = n * np.sum((rows - grand) ** 2) / (seeds - 1)
    ms_examples = seeds * np.sum((columns - grand) ** 2) / (n - 1)
    rest = right - rows[:, None] - columns + grand
    ms_rest = np.sum(rest**2) / ((seeds - 1) * (n - 1))
    wanted = max(ms_seeds + ms_examples - ms_rest, ms_seeds, ms_examples) / (seeds * n)
    assert found is not None
    assert found.value == pytest.approx(grand)
    assert found.variance == pytest.approx(wanted)


def test_without_sampling_error_it_is_students_t() -> None:
    sample = Sample({0: 1.0, 1: 2.0, 2: 4.5}, dict.fromkeys(range(3), np.zeros(10)))
    found = mean(sample)
    assert found is not None
    interval = stats.t.interval(0.95, 2, np.mean([1, 2, 4.5]), stats.sem([1, 2, 4.5]))
    assert (found.value - found.half_width, found.value + found.half_width) == pytest.approx(
        interval
    )
    assert found.p == pytest.approx(stats.ttest_1samp([1, 2, 4.5], 0).pvalue)


def test_one_report_row_has_no_test() -> None:
    one = Sample({0: 50.0, 1: 60.0}, {0: np.zeros(1), 1: np.zeros(1)})
    assert mean(one) is None
    assert pairwise({"a": one, "b": one}) == {}


def test_one_seed_has_no_test() -> None:
    one = Sample({0: 50.0}, {0: np.zeros(10)})
    assert mean(one) is None
    assert pairwise({"a": one, "b": one}) == {}
    assert ranks({}, ["a", "b"]) == {}


def test_equal_variances_are_pooled_and_unequal_ones_are_not() -> None:
    assert moderate([2.0, 2.1, 1.9, 2.0], [2, 2, 2, 2], 6.0) == ([2.0] * 4, [6.0] * 4)
    variances, freedom = moderate([0.001, 0.01, 1.0, 100.0], [4] * 4, 12.0)
    assert variances == sorted(variances)
    assert variances[3] > 50  # no longer taken for the mean of 25
    assert all(4 < d < 12 for d in freedom)


def test_moderation_finds_the_prior_that_was_drawn_from() -> None:
    rng = np.random.default_rng(3)
    d0, s0, d = 6.0, 2.0, 4
    true = s0 * d0 / rng.chisquare(d0, 20_000)
    estimates = true * rng.chisquare(d, 20_000) / d
    variances, freedom = moderate(estimates.tolist(), [d] * 20_000, 1e9)
    assert freedom[0] - d == pytest.approx(d0, rel=0.05)
    recovered = np.polyfit(estimates, variances, 1)  # slope d / (d0 + d), offset d0 s0 / (d0 + d)
    assert recovered == pytest.approx([d / (d0 + d), d0 * s0 / (d0 + d)], rel=0.05)


@pytest.mark.parametrize(("seeds", "together"), [([3] * 6, 10), ([5, 5, 2, 2, 2, 2, 2, 2], 10)])
def test_no_difference_is_surer_than_all_methods_together(seeds: list[int], together: int) -> None:
    """A layout of methods × seeds has Σ(seeds − 1), less one method's, degrees of freedom."""
    rng = np.random.default_rng(1)
    most = 0.0
    for _ in range(30):
        samples = {
            f"method {i}": Sample(
                dict(enumerate(rng.normal(size=count))), dict(enumerate(np.zeros((count, 9))))
            )
            for i, count in enumerate(seeds)
        }
        most = max(most, *(found.freedom for found in pairwise(samples).values()))
    assert most == pytest.approx(together)


def test_holm_agrees_with_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_ranks_are_shared_by_what_cannot_be_told_apart() -> None:
    def apart(value: float) -> Estimate:
        return Estimate(value, 1.0, 100.0, 1.0)

    pairs = {("a", "b"): apart(0.5), ("a", "c"): apart(9.0), ("b", "c"): apart(8.0)}
    assert ranks(pairs, "abc") == {"a": 1, "b": 1, "c": 3}
    assert ranks(pairs, "ac") == {"a": 1, "c": 2}
    wide = {("a", "w"): Estimate(9.0, 1e4, 2.0, 1e4), ("b", "w"): Estimate(8.5, 1e4, 2.0, 1e4),
            ("c", "w"): Estimate(1.0, 1e4, 2.0, 1e4)}  # fmt: skip
    # Nothing is significantly above `w`, which yet scores lowest: not before `c`.
    assert ranks(pairs | wide, "abcw") == {"a": 1, "b": 1, "c": 3, "w": 3}
    assert ranks(pairs | wide, "abw") == {"a": 1, "b": 1, "w": 1}
    assert difference(pairs, "c", "a") == Estimate(-9.0, 1.0, 100.0, 1.0)
    assert difference(pairs, "c", "x") is None


def test_averages_add_the_variances_of_independent_tasks() -> None:
    found = average([Estimate(10.0, 4.0, 8.0, 4.0), Estimate(20.0, 16.0, 8.0, 16.0)])
    assert (found.value, found.variance) == (15.0, 5.0)
    assert found.freedom == pytest.approx(5.0**2 / (1.0**2 / 8 + 4.0**2 / 8))
    weighed = average([Estimate(10.0, 4.0, 8.0, 8.0), Estimate(20.0, 16.0, 8.0, 20.0)])
    assert (weighed.variance, weighed.weighed) == (5.0, 7.0)
    assert weighed.freedom == pytest.approx(7.0**2 / (2.0**2 / 8 + 5.0**2 / 8))
    tables = [{("a", "b"): found, ("a", "c"): found}, {("a", "b"): found}]
    assert list(average_pairs(tables)) == [("a", "b")]


def gaussian(rng: np.random.Generator, seeds: int, share: float, scale: float = 1.0) -> Estimate:
    """The mean of results around 0, of whose variance this share is the seeds'."""
    rows = 60
    examples = scale * math.sqrt((1 - share) * rows) * rng.normal(size=rows)
    scores = scale * math.sqrt(share * seeds) * rng.normal(size=seeds) + examples.mean()
    influence_ = dict.fromkeys(range(seeds), examples - examples.mean())
    estimate = mean(Sample(dict(enumerate(scores.tolist())), influence_))
    assert estimate is not None
    return estimate


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_cover_where_nine_tenths_of_the_variance_are_the_seeds(seeds: int) -> None:
    """The worst case for Satterthwaite's degrees."""
    rng = np.random.default_rng(seeds)
    found = [gaussian(rng, seeds, 0.9) for _ in range(4000)]
    covered = np.mean([abs(estimate.value) <= estimate.half_width for estimate in found])
    assert covered >= 0.93  # 0.91 at two seeds where T is weighed by 1 + 2/d alone


@pytest.mark.parametrize("seeds", [2, 3])
def test_an_average_covers_where_one_task_scatters(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    found = [
        average([gaussian(rng, seeds, 0.98, 5.0), *(gaussian(rng, seeds, 0.5) for _ in range(3))])
        for _ in range(4000)
    ]
    covered = np.mean([abs(estimate.value) <= estimate.half_width for estimate in found])
    assert covered >= 0.935  # 0.92 at two seeds where an average takes T as it is estimated


def test_a_method_that_scatters_is_not_made_to_look_sure_by_the_others() -> None:
    """Its differences have at least the interval of a paired t test of its own."""
    quiet = {"b": (7.0, 7.9, 8.9), "c": (14.2, 14.4, 14.6), "d": (18.0, 20.4, 18.3)}
    scores = {"wide": (24.5, 55.3, 66.0), **quiet}
    samples = {
        name: Sample(dict(enumerate(values)), dict.fromkeys(range(3), np.zeros(10)))
        for name, values in scores.items()
    }
    found = pairwise(samples)
    for name, values in quiet.items():
        paired = stats.ttest_rel(scores["wide"], values)
        assert found["wide", name].p == pytest.approx(paired.pvalue)
        assert found["wide", name].half_width == pytest.approx(
            (paired.confidence_interval().high - paired.confidence_interval().low) / 2
        )
    assert found["b", "c"].p < found["wide", "b"].p  # though "wide" is farther away


def test_a_difference_to_a_constant_has_the_variance_of_the_other() -> None:
    rng = np.random.default_rng(1)
    samples = collapse(draw(rng, "accuracy", [1.0] * 3, 4), ["m0"])
    found = pairwise(samples)
    alone = mean(samples["m0"])
    assert alone is not None
    assert found["m0", "m1"].variance == pytest.approx(alone.variance)
    assert found["m0", "m1"].freedom == pytest.approx(alone.freedom)
    assert (found["m1", "m2"].value, found["m1", "m2"].p) == (0.0, 1.0)
