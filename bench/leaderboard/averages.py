"""What stands beside a mean over tasks: a share of what dense is above chance, and a win rate.

A point means something else on each task: the majority class scores 0 on one and 80 on another.
docs/scores.md says what each figure can say and what it cannot.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.leaderboard.markdown import escape
from bench.leaderboard.ranking import MAJORITY
from bench.metrics import metric_of
from bench.results.record import DENSE, dense_of

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

LEAST_ROOM = 5.0
"""Points that dense has to be above the majority class, or a share of them says nothing."""


def above_chance(result: Standings, row: Row, task: str) -> float | None:
    """A score between the majority class, 0, and the row's own dense model, 100.

    Returns:
        `None` where one of the three is not known, or where dense is not `LEAST_ROOM` points above
        the majority class.
    """
    mean, room = row.mean(task), _room(result, task, dense_of(row.method))
    if mean is None or room is None or room[1] - room[0] < LEAST_ROOM:
        return None
    return 100 * (mean - room[0]) / (room[1] - room[0])


def average_above_chance(result: Standings, row: Row) -> float | None:
    """The mean of `above_chance` over the averaged tasks but for those without room."""
    narrow = tasks_without_room(result)
    shares = [above_chance(result, row, task) for task in result.averaged if task not in narrow]
    known = [share for share in shares if share is not None]
    return statistics.fmean(known) if known and len(known) == len(shares) else None


def tasks_without_room(result: Standings) -> list[str]:
    """The averaged tasks on which dense is not `LEAST_ROOM` points above the majority class."""
    rooms = {task: _room(result, task, DENSE) for task in result.averaged}
    return [task for task, room in rooms.items() if room and room[1] - room[0] < LEAST_ROOM]


def chance_note(result: Standings) -> str:
    """Which tasks are no part of what is above chance, or nothing."""
    if not (tasks := tasks_without_room(result)):
        return ""
    return (
        f"{', '.join(map(escape, tasks))}: {DENSE} is less than {LEAST_ROOM:g} points above the "
        "majority class. So what is above chance leaves this out."
    )


def win_rate(result: Standings, row: Row) -> float | None:
    """In how many % of all pairs of an averaged task and another competitor the row is higher.

    A tie is half a win. `None` where the row lacks a task, or where there is nobody else.
    """
    others = [one for one in result.rows if not one.facts["control"] and one is not row]
    wins = []
    for task in result.averaged:
        mine = row.mean(task)
        if mine is None:
            return None
        means = [mean for other in others if (mean := other.mean(task)) is not None]
        wins += [0.5 if mine == theirs else float(mine > theirs) for theirs in means]
    return 100 * statistics.fmean(wins) if wins else None


def _room(result: Standings, task: str, name: str) -> tuple[float, float] | None:
    """What the majority class and a dense model score; `None` where one of them is not known."""
    dense, majority = result.row(name), result.row(MAJORITY)
    top = dense.mean(task) if dense else None
    floor = majority.mean(task) if majority else None
    if floor is None and dense is not None and _scores_no_constant(dense, task):
        floor = 0.0
    return None if top is None or floor is None else (floor, top)


def _scores_no_constant(row: Row, task: str) -> bool:
    """Whether every constant answer to a task has the score 0, as with a correlation."""
    named: Sequence[str] = next(
        (list(r.scores) for r in row.records if r.cell["task"] == task and r.scores), []
    )
    metric = metric_of(named)
    return metric is not None and metric.correlates
