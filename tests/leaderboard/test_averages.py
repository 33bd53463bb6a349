"""Averages that take chance off, and how often a method is ahead."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from standing_rows import standings_of

from bench.leaderboard.averages import (
    above_chance,
    average_above_chance,
    tasks_without_room,
    win_rate,
)

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Standings


def of(result: Standings, method: str, task: str | None = None) -> float | None:
    row = result.row(method)
    assert row is not None
    return average_above_chance(result, row) if task is None else above_chance(result, row, task)


def test_a_score_lies_between_the_majority_class_and_dense() -> None:
    """By hand: of 30 points between 60 and 90 the method has 15; of 50 between 0 and 50, 55."""
    result = standings_of(
        {
            "mine": {"sst2": [70.0, 80.0], "cola": [55.0]},
            "dense": {"sst2": [88.0, 92.0], "cola": [50.0]},
            "majority": {"sst2": [60.0, 60.0], "cola": [0.0]},
        }
    )
    assert of(result, "mine", "sst2") == pytest.approx(50.0)
    assert of(result, "mine", "cola") == pytest.approx(110.0)
    assert of(result, "mine") == pytest.approx(80.0)
    assert (of(result, "majority"), of(result, "dense")) == (0.0, 100.0)


def test_what_every_constant_answer_scores_moves_no_figure() -> None:
    """Unlike a share of the score itself, of which 80 is 89 % where chance gives 60."""
    shares = []
    for chance in (0.0, 30.0, 60.0):
        scores = {"mine": chance + 20.0, "dense": chance + 40.0, "majority": chance}
        result = standings_of({name: {"t": [score]} for name, score in scores.items()})
        shares.append(of(result, "mine"))
    assert shares == pytest.approx([50.0] * 3)


@pytest.mark.parametrize(("dense", "counts"), [(64.9, False), (65.0, True), (40.0, False)])
def test_a_task_without_room_above_chance_is_left_out(dense: float, counts: bool) -> None:
    result = standings_of(
        {
            "mine": {"rte": [62.5], "sst2": [80.0]},
            "dense": {"rte": [dense], "sst2": [100.0]},
            "majority": {"rte": [60.0], "sst2": [60.0]},
        }
    )
    assert tasks_without_room(result) == ([] if counts else ["rte"])
    assert of(result, "mine", "rte") == (pytest.approx(50.0) if counts else None)
    assert of(result, "mine") == pytest.approx(50.0)


def test_without_the_majority_class_only_correlations_know_where_chance_is() -> None:
    scores = {"mine": {"stsb": [40.0], "sst2": [75.0]}, "dense": {"stsb": [80.0], "sst2": [90.0]}}
    metrics = {"stsb": "pearson_spearman", "sst2": "accuracy"}
    result = standings_of(scores, metrics)
    assert of(result, "mine", "stsb") == pytest.approx(50.0)
    assert of(result, "mine", "sst2") is None
    assert of(result, "mine") is None
    assert tasks_without_room(result) == []
    alone = standings_of(scores, metrics, averaged=["stsb"])
    assert of(alone, "mine") == pytest.approx(50.0)
    assert of(standings_of({"mine": {"stsb": [40.0]}}, metrics), "mine") is None


def test_a_row_that_lacks_a_task_has_neither_figure() -> None:
    result = standings_of(
        {
            "mine": {"a": [70.0]},
            "other": {"a": [60.0], "b": [60.0]},
            "dense": {"a": [90.0], "b": [90.0]},
            "majority": {"a": [50.0], "b": [50.0]},
        }
    )
    mine, other = result.row("mine"), result.row("other")
    assert mine is not None
    assert other is not None
    assert of(result, "mine") is None
    assert win_rate(result, mine) is None
    assert win_rate(result, other) == 0.0  # mine has nothing on b to be compared with


def test_win_rates_are_those_of_counting_every_pair() -> None:
    rng = np.random.default_rng(1)
    methods, tasks = ["m1", "m2", "m3", "m4"], ["a", "b", "c"]
    # Few values, so that there are ties.
    table = {(m, t): float(rng.integers(0, 4)) for m in [*methods, "dense"] for t in tasks}
    scores = {m: {t: [table[m, t]] for t in tasks} for m in [*methods, "dense"]}
    result = standings_of(scores)
    ties = 0
    for name in [*methods, "dense"]:
        wins, pairs = 0.0, 0
        for task, other in itertools.product(tasks, methods):
            if other != name:
                pairs += 1
                wins += (table[name, task] > table[other, task]) * 1.0
                wins += (table[name, task] == table[other, task]) * 0.5
                ties += table[name, task] == table[other, task]
        row = result.row(name)
        assert row is not None
        assert win_rate(result, row) == pytest.approx(100 * wins / pairs)
    assert ties
    rates = [win_rate(result, row) for row in result.rows if row.method != "dense"]
    assert np.mean([rate for rate in rates if rate is not None]) == pytest.approx(50.0)


def test_a_lone_competitor_wins_over_nobody() -> None:
    result = standings_of({"mine": {"a": [70.0]}, "dense": {"a": [90.0]}})
    mine, dense = result.rows
    assert win_rate(result, mine) is None
    assert win_rate(result, dense) == 100.0
