"""Seeds that fall into two groups, and the share of them that is above what needs no learning."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.leaderboard.ranking import Row, Standings
from bench.leaderboard.seeds import seeds_table
from bench.leaderboard.statistics import Sample, mean, share_interval, upper_group


@pytest.mark.parametrize(
    ("scores", "upper"),
    [
        ([20.0, 71.0, 72.0, 19.0, 70.0], [False, True, True, False, True]),
        ([20.0, 20.0, 20.0, 60.0, 20.0], [False, False, False, True, False]),
        ([70.0, 71.0, 72.0, 73.0, 74.0], None),  # close together
        ([70.0, 70.1, 74.9, 74.8], None),  # two groups, but by less than 5 points
        ([10.0, 25.0, 40.0, 60.0], None),  # spread out
        ([50.0], None),
    ],
)
def test_two_groups_are_told_from_one(scores: list[float], upper: list[bool] | None) -> None:
    found = upper_group(np.asarray(scores))
    assert (None if found is None else found.tolist()) == upper


@pytest.mark.parametrize(("count", "of"), [(0, 5), (1, 5), (3, 5), (5, 5), (7, 10)])
def test_the_interval_of_a_share_is_clopper_and_pearsons(count: int, of: int) -> None:
    exact = stats.binomtest(count, of).proportion_ci(0.95, "exact")
    assert share_interval(count, of) == pytest.approx((exact.low, exact.high))


def test_a_mean_of_two_groups_is_as_wide_as_the_share_of_the_upper_one() -> None:
    """One of ten seeds learnt: Student's t would have 0 to 12.6 points, the share up to 44.5 %."""
    scores = dict(enumerate([0.0] * 9 + [60.0]))
    found = mean(Sample(scores, dict.fromkeys(range(10), np.zeros(20))))
    assert found is not None
    assert found.value == 6.0
    assert found.half_width == pytest.approx(60 * (stats.beta.ppf(0.975, 2, 9) - 0.1))


def test_every_seed_is_shown_with_the_share_above_each_threshold() -> None:
    def row(method: str, *scores: float) -> Row:
        return Row(method, {"kind": "x", "control": method != "a|b"}, {"rte": list(scores)}, [])

    rows = [row("a|b", 50.0, 70.0, 53.0, 71.0), row("majority", 53.0, 53.0)]
    table = seeds_table(Standings(rows, ["rte"], ["rte"], []))
    low, high = (100 * end for end in share_interval(2, 4))
    assert r"a\|b" in table
    assert "50.0 70.0 53.0 71.0" in table
    assert " 61.5 " in table  # the median
    assert f"2 of 4 ({low:.0f} to {high:.0f} %)" in table  # 53.0 is not above 53.0
    assert "text floor" not in table
    assert "majority |" not in table  # it is what the others are counted above
    assert seeds_table(Standings(rows[1:], ["rte"], ["rte"], [])) == ""
