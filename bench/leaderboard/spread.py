"""Every seed of every row, as the first figure of a page shows them.

With one ratio, all methods stand below each other, a panel a task; with several, the average is a
curve against what a model costs.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.leaderboard import seed_plots
from bench.leaderboard.costs import speed
from bench.leaderboard.ranking import MAJORITY
from bench.results.record import DENSE

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

LEVELS = (DENSE, MAJORITY, "text-floor", "encoder-floor")
"""The controls whose mean is a line through a panel."""

AVERAGE = "average"


def spread_svg(results: Mapping[float, Standings], sequence_length: int) -> tuple[str, str]:
    """A page's first figure, and its caption.

    Args:
        results: The standings by ratio.
        sequence_length: Tokens of the one example that FLOPs are counted for.

    Returns:
        An SVG file's text, empty where nothing was compressed, and a line.
    """
    compressed = {ratio: result for ratio, result in results.items() if ratio != 1}
    if len(compressed) == 1:
        ((_, result),) = compressed.items()
        controls = {row.method for row in result.rows if row.facts["control"]}
        caption = (
            "Every seed is a dot, and the black bar their median. Below, a diamond is the mean, "
            "with its 95 % interval where there is one. Controls are grey"
        )
        return seed_plots.forest_svg(forest(result), LEVELS, controls), caption
    caption = "Average score against what a model costs; every seed is a dot, a curve joins means"
    return seed_plots.tradeoff_svg(*tradeoff(compressed, sequence_length)), caption


def forest(result: Standings) -> dict[str, seed_plots.Panel]:
    """What each method scored, by the average and every task, then by method, in table order."""
    rows = [row for row in result.rows if any(row.scores.values())]
    panels: dict[str, seed_plots.Panel] = {}
    if result.averaged and len(result.tasks) > 1:
        panels[AVERAGE] = {
            row.method: seed_plots.Spread(
                seed_averages(row, result.averaged),
                row.average(result.averaged),
                interval.half_width if (interval := result.averages.get(row.method)) else None,
            )
            for row in rows
        }
    for task in result.tasks:
        panels[task] = {
            row.method: seed_plots.Spread(
                row.scores[task],
                row.mean(task),
                interval.half_width if (interval := result.means.get((row.method, task))) else None,
            )
            for row in rows
        }
    return panels


def tradeoff(
    results: Mapping[float, Standings], sequence_length: int
) -> tuple[dict[str, list[seed_plots.Point]], dict[str, float]]:
    """Points by method, and the averages of `LEVELS`.

    A control that compresses nothing is one point. Costs that a row does not know are left out.
    """
    sized = [(row, result.sized) for result in results.values() for row in result.rows]
    size = _first_known(sized, ("bytes", "params"))
    flops = _first_known(sized, ("flops_task", "flops"))
    names = {
        size: "MB" if size == "bytes" else "parameters, M",
        flops: f"GFLOPs, {'S = ' + str(sequence_length) if flops == 'flops' else 'own lengths'}",
    }
    scales = {size: 1e6, flops: 1e9}
    curves: dict[str, dict[float, seed_plots.Point]] = {}
    levels: dict[str, float] = {}
    for ratio, result in results.items():
        for row in result.rows:
            average, timed = row.average(result.averaged), speed(row, result.sized)
            if average is None:
                continue
            if row.method in LEVELS:
                levels[row.method] = average
            if row.method in LEVELS and row.method != DENSE:  # whose size is not what they need
                continue
            found = {axis: row.size(axis, result.sized) for axis in names}
            costs = {names[axis]: n / scales[axis] for axis, n in found.items() if n}
            if timed:
                costs["milliseconds"] = timed.ms
            alone = row.facts["kind"] == "reference" or row.method == DENSE
            point = seed_plots.Point(costs, average, seed_averages(row, result.averaged))
            curves.setdefault(row.method, {})[1.0 if alone else ratio] = point
    ordered = {name: levels[name] for name in LEVELS if name in levels}
    return {name: list(points.values()) for name, points in curves.items()}, ordered


def _first_known(rows: Sequence[tuple[Row, Sequence[str]]], axes: Sequence[str]) -> str:
    """The first axis that all rows know that have a size at all; the last otherwise."""
    models = [(row, tasks) for row, tasks in rows if row.size("params", tasks)]
    known = (axis for axis in axes if all(row.size(axis, tasks) for row, tasks in models))
    return next(known, axes[-1])


def seed_averages(row: Row, tasks: Sequence[str]) -> list[float]:
    """The mean over tasks of every seed that has a score on each, in the order of seeds."""
    by_seed: dict[int, list[float]] = {}
    for record in row.records:
        if record.status == "ok" and record.score is not None and record.cell["task"] in tasks:
            by_seed.setdefault(record.cell["seed"], []).append(record.score)
    whole = [scores for _, scores in sorted(by_seed.items()) if len(scores) == len(tasks)]
    return [statistics.fmean(scores) for scores in whole]
