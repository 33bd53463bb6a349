"""Every seed's score, the median, and how many seeds are above what needs no learning."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bench.leaderboard.markdown import pipe, rounded
from bench.leaderboard.ranking import MAJORITY
from bench.leaderboard.statistics import share_interval, upper_group
from bench.results.record import TEXT_FLOOR

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

THRESHOLDS = {MAJORITY: "the majority class", TEXT_FLOOR: "the text floor"}
"""The controls whose score no method of a table has a part in, and what they stand for."""


def in_two_groups(row: Row, task: str) -> bool:
    """Whether the seeds of a row fall into two groups on a task."""
    return upper_group(np.asarray(row.scores[task])) is not None


def seeds_table(result: Standings) -> str:
    """One line for each task and method, as Markdown; nothing where no method has two seeds."""
    known = {name: row for name in THRESHOLDS if (row := result.row(name)) is not None}
    rows = [
        [
            task,
            row.method,
            " ".join(rounded(score, 1) for score in row.scores[task]),
            rounded(statistics.median(row.scores[task]), 1),
            *(_share(row, threshold, task) for threshold in known.values()),
        ]
        for task in result.tasks
        for row in _with_seeds(result, task)
    ]
    heads = ["task", "method", "each seed", "median",
             *(f"seeds above {THRESHOLDS[name]}" for name in known)]  # fmt: skip
    if not rows:
        return ""
    said = "In brackets: the exact 95 % interval of the share of all seeds that would be above."
    return f"{said}\n\n{pipe(heads, rows)}" if known else pipe(heads, rows)


def _with_seeds(result: Standings, task: str) -> Iterator[Row]:
    """The rows that have at least two seeds, but for those that are a threshold."""
    for row in result.rows:
        if len(row.scores[task]) > 1 and row.method not in THRESHOLDS:
            yield row


def _share(row: Row, threshold: Row, task: str) -> str:
    """How many seeds are above the highest score of a control, and the share's interval."""
    if not threshold.scores[task]:
        return "–"
    highest = max(threshold.scores[task])
    scores = row.scores[task]
    count = sum(score > highest for score in scores)
    low, high = (100 * end for end in share_interval(count, len(scores)))
    return f"{count} of {len(scores)} ({low:.0f} to {high:.0f} %)"
