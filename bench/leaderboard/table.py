"""One ratio's table of scores."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.leaderboard.averages import average_above_chance, win_rate
from bench.leaderboard.markdown import rounded
from bench.leaderboard.seeds import in_two_groups

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

ABOVE_CHANCE, WIN_RATE = "above chance, % of dense", "win rate, %"
"""Heads of what stands beside the average."""

UNTUNED = " ‡"
"""What marks figures of parameters that no trial has found to work."""

TWO_GROUPS = " §"
"""What marks a score whose seeds fall into two groups."""

HYPHENATED = {"pretrained": "pre-trained", "finetuned": "fine-tuned"}
"""How a page writes what a record stores."""


def make_table(
    result: Standings,
    metrics: dict[str, str],
    planned: Mapping[tuple[str, str, float], int],
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of one ratio's scores; how many seeds a row should have is `planned`."""
    tasks = result.tasks
    marks = {task: " †" if task in result.uninformative else "" for task in tasks}
    heads = ["rank", "method", "starts from", "teacher",
             *(f"{task}{marks[task]} ({metrics.get(task, '?')})" for task in tasks),
             f"average{', ± 95 %' if result.averages else ''}", ABOVE_CHANCE, WIN_RATE]  # fmt: skip
    cells = []
    for row in result.rows:
        if not any(row.scores.values()):
            continue
        average, method = row.average(result.averaged), row.method
        interval = result.averages.get(method)
        cells.append(
            [str(result.overall.get(method, "–")),
             row.label,
             *(HYPHENATED.get(name, name) for name in (row.facts["starts_from"],
                                                       row.facts["teacher"])),
             *(_score(result, row, task, planned) for task in tasks),
             rounded(average, 1) + (f" ± {interval.half_width:.1f}" if interval else "")
             + (UNTUNED if row.not_tuned(result.averaged) else ""),
             rounded(average_above_chance(result, row), 1),
             rounded(win_rate(result, row), 0)]
        )  # fmt: skip
    return heads, cells


def _score(
    result: Standings, row: Row, task: str, planned: Mapping[tuple[str, str, float], int]
) -> str:
    """Mean ± half its interval, marked where seeds fall into two groups.

    Where some of the planned seeds have no score, it says how many have.
    """
    scores = row.scores[task]
    if not scores:
        return "–"
    interval = result.means.get((row.method, task))
    spread = f" ± {interval.half_width:.1f}" if interval else ""
    wanted = planned.get((row.method, task, row.records[0].cell["ratio"]), 0)
    lacking = f" ({len(scores)} of {wanted} seeds)" if len(scores) < wanted else ""
    marks = (TWO_GROUPS if in_two_groups(row, task) else "") + (
        UNTUNED if row.not_tuned([task]) else ""
    )
    return rounded(statistics.fmean(scores), 1) + spread + marks + lacking
