"""Intervals, tests and ranks against closed forms and second implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import SEED, answers, collapse, draw, lead, score
from scipy import stats

from bench.leaderboard.statistics import (
    LEAST_SEEDS,
    Difference,
    Estimate,
    Sample,
    average,
    average_pairs,
    difference,
    holm,
    mean,
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


def test_holm_agrees_with_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_ranks_are_shared_by_what_cannot_be_told_apart() -> None:
    def apart(value: float) -> Difference:
        return lead(Estimate(value, 1.0, 100.0, 1.0))

    pairs = {("a", "b"): apart(0.5), ("a", "c"): apart(9.0), ("b", "c"): apart(8.0)}
    assert ranks(pairs, "abc") == {"a": 1, "b": 1, "c": 3}
    assert ranks(pairs, "ac") == {"a": 1, "c": 2}
    wide = {
        (name, "w"): lead(Estimate(value, 1e4, 2.0, 1e4))
        for name, value in (("a", 9.0), ("b", 8.5), ("c", 1.0))
    }
    # Nothing is significantly above `w`, which yet scores lowest: not before `c`.
    assert ranks(pairs | wide, "abcw") == {"a": 1, "b": 1, "c": 3, "w": 3}
    assert ranks(pairs | wide, "abw") == {"a": 1, "b": 1, "w": 1}
    turned = difference(pairs, "c", "a")
    assert turned is not None
    assert (turned.value, turned.p) == (-9.0, pytest.approx(pairs["a", "c"].p))
    assert difference(pairs, "c", "x") is None


def test_few_seeds_have_no_rank() -> None:
    sure = Estimate(50.0, 1e-4, 100.0, 1e-4)
    for seeds, ranked in ((LEAST_SEEDS - 1, {}), (LEAST_SEEDS, {"a": 1, "b": 2})):
        assert ranks({("a", "b"): lead(sure, seeds)}, "ab") == ranked


def test_a_difference_has_to_pass_for_other_seeds_and_for_other_examples() -> None:
    """One seed in five that did not learn: by Student's t it may be chance, and by shuffles."""
    rng = np.random.default_rng(0)
    quiet = rng.normal(size=(5, 400)) * 0.01
    quiet -= quiet.mean(axis=1, keepdims=True)
    noisy = 9000 * quiet

    def found(first: list[float], influence_: np.ndarray) -> Difference:
        still = Sample(dict(enumerate(np.full(5, 50.0))), dict(enumerate(np.zeros((5, 400)))))
        moved = Sample(dict(enumerate(first)), dict(enumerate(influence_)))
        return pairwise({"a": moved, "b": still})["a", "b"]

    apart = found([52.0, 52.1, 52.2, 51.9, 52.0], quiet)
    assert apart.p == apart.p_seeds == pytest.approx(2 / 252)
    assert apart.p_examples < 1e-4
    by_examples = found([52.0, 52.1, 52.2, 51.9, 52.0], noisy)
    assert by_examples.p == by_examples.p_examples > 0.05
    two_groups = found([70.0, 70.0, 50.0, 50.0, 50.0], quiet)
    assert two_groups.p_seeds == pytest.approx(
        112 / 252
    )  # both of five: C(8, 3) of C(10, 5), twice
    assert apart.least_p == pytest.approx(2 / 252)


def test_a_lead_beyond_some_points_is_tested_as_one_that_is_so_much_smaller() -> None:
    samples = draw(np.random.default_rng(4), "accuracy", [1.2, 0.8], 5)
    found = pairwise(samples)["m0", "m1"]
    lower = Sample({s: v - 5 for s, v in samples["m0"].scores.items()}, samples["m0"].influence)
    less = pairwise({"m0": lower, "m1": samples["m1"]})["m0", "m1"]
    assert found.beyond(5.0).value == pytest.approx(less.value)
    assert found.beyond(5.0).p_examples == pytest.approx(less.p_examples)
    assert found.beyond(5.0).p_seeds == pytest.approx(less.p_seeds)


def test_the_smallest_difference_that_could_be_seen_is_the_one_with_p_at_the_level() -> None:
    found = lead(Estimate(3.0, 2.0, 7.0, 2.0))
    for level in (0.05, 0.05 / 36):
        at = lead(Estimate(found.smallest_seen(level), 2.0, 7.0, 2.0))
        assert at.p_examples == pytest.approx(level)


def test_averages_add_the_variances_of_independent_tasks() -> None:
    found = average([Estimate(10.0, 4.0, 8.0, 4.0), Estimate(20.0, 16.0, 8.0, 16.0)])
    assert (found.value, found.variance) == (15.0, 5.0)
    assert found.freedom == pytest.approx(5.0**2 / (1.0**2 / 8 + 4.0**2 / 8))
    weighed = average([Estimate(10.0, 4.0, 8.0, 8.0), Estimate(20.0, 16.0, 8.0, 20.0)])
    assert (weighed.variance, weighed.weighed) == (5.0, 7.0)
    assert weighed.freedom == pytest.approx(7.0**2 / (2.0**2 / 8 + 5.0**2 / 8))
    one, other = lead(Estimate(10.0, 4.0, 8.0, 8.0)), lead(Estimate(20.0, 16.0, 8.0, 20.0))
    tables = [{("a", "b"): one, ("a", "c"): one}, {("a", "b"): other}]
    pairs = average_pairs(tables)
    assert list(pairs) == [("a", "b")]
    assert pairs["a", "b"].estimate == weighed
    assert pairs["a", "b"].strata == (*one.strata, *other.strata)


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
        assert found["wide", name].p_examples == pytest.approx(paired.pvalue)
        assert found["wide", name].half_width == pytest.approx(
            (paired.confidence_interval().high - paired.confidence_interval().low) / 2
        )
    assert (
        found["b", "c"].p_examples < found["wide", "b"].p_examples
    )  # though "wide" is farther away


def test_a_difference_to_a_constant_has_the_variance_of_the_other() -> None:
    rng = np.random.default_rng(1)
    samples = collapse(draw(rng, "accuracy", [1.0] * 3, 4), ["m0"])
    found = pairwise(samples)
    alone = mean(samples["m0"])
    assert alone is not None
    assert found["m0", "m1"].estimate.variance == pytest.approx(alone.variance)
    assert found["m0", "m1"].estimate.freedom == pytest.approx(alone.freedom)
    assert (found["m1", "m2"].value, found["m1", "m2"].p) == (0.0, 1.0)
