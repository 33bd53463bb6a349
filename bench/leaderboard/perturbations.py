"""Score against what training took, for rows that differ in how their input was perturbed.

The question is that of Takase and Kiyono (2021, arXiv:2104.01853): are cheap perturbations as good
as dear ones?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.leaderboard import seed_plots
from bench.leaderboard.markdown import pipe, rounded, significant
from bench.leaderboard.spread import seed_averages
from bench.leaderboard.statistics import difference
from bench.protocol import NONE
from bench.results.record import without_option

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

OPTION = "perturb"

HEADS = ("method", "perturbation", "average", f"− {NONE}", "training, s", f"÷ {NONE}", "TFLOP",
         f"÷ {NONE}")  # fmt: skip
"""Of the table; what stands beside a figure sets it against that of the row without any."""

NOTES = (
    "Average score over the tasks of the average, or over all where none is in it, and its "
    "difference to the same method without perturbation, ± half of the 95 % interval of the "
    "difference.",
    "Training: of one seed on all tasks, without tuning. What a row starts or learns from counts.",
    "Seconds are as measured, with whatever else the machine had to do. A dash: not known.",
)


def perturbation_section(result: Standings, suites_own: str) -> str:
    """A ratio's table as Markdown; nothing where no two rows differ in their perturbation alone.

    Args:
        result: The ratio's standings.
        suites_own: What rows are perturbed by that are pinned to nothing else.
    """
    rows = []
    for method, alike in _alike(result, suites_own).items():
        plain = alike.get(NONE)
        for perturbation, row in alike.items():
            rows.append([method, perturbation, *_cells(result, row, plain)])
    if not rows:
        return ""
    notes = "\n".join(f"- {note}" for note in NOTES)
    return f"### Score against training, by perturbation\n\n{pipe(HEADS, rows)}\n\n{notes}"


def perturbation_svg(suite: Mapping[str, Any], results: Mapping[float, Standings]) -> str:
    """Average score against the seconds and FLOPs of training, a colour a perturbation.

    Args:
        suite: What the page's suite was asked for.
        results: Standings by ratio; the dense models are drawn once.

    Returns:
        An SVG file's text; empty where no two rows differ in their perturbation alone.
    """
    curves: dict[str, dict[str, seed_plots.Point]] = {}
    for ratio, result in results.items():
        for method, alike in _alike(result, perturbation_of_suite(suite)).items():
            for perturbation, row in alike.items():
                average, costs = row.average(result.sized), _costs(row)
                if average is not None and costs:
                    seeds = seed_averages(row, result.sized)
                    place = method if row.facts["kind"] == "reference" else f"{method} {ratio:g}"
                    point = seed_plots.Point(costs, average, seeds)
                    curves.setdefault(perturbation, {})[place] = point
    points = {name: list(found.values()) for name, found in curves.items()}
    return seed_plots.tradeoff_svg(points, {}, joined=False)


def perturbation_of_suite(suite: Mapping[str, Any]) -> str:
    """What the rows of a suite are perturbed by that are pinned to nothing else."""
    return suite["settings"].get(OPTION) or NONE


def _alike(result: Standings, suites_own: str) -> dict[str, dict[str, Row]]:
    """Rows by method and perturbation, as far as a method has several; the plain one first."""
    found: dict[str, dict[str, Row]] = {}
    for row in result.rows:
        method, said = without_option(row.method, OPTION)
        if any(row.scores.values()):
            found.setdefault(method, {})[said or suites_own] = row
    return {
        method: dict(sorted(rows.items(), key=lambda item: (item[0] != NONE, item[0])))
        for method, rows in sorted(found.items())
        if len(rows) > 1
    }


def _cells(result: Standings, row: Row, plain: Row | None) -> list[str]:
    """A row's figures as text, each set against those of the row without perturbation."""
    other = None if plain in (None, row) else plain
    average, lead = row.average(result.sized), None
    found = other and difference(result.average_pairs, row.method, other.method)
    if found:
        lead = f"{found.value:+.1f} ± {found.half_width:.1f}"
    elif other and average is not None and (base := other.average(result.sized)) is not None:
        lead = f"{average - base:+.1f}"
    cells = [rounded(average, 1), lead or "–"]
    for figure, scale in ((_seconds, 1.0), (_flops, 1e12)):
        mine, theirs = figure(row), other and figure(other)
        cells.append(significant(None if mine is None else mine / scale))
        cells.append(rounded(mine / theirs if mine and theirs else None, 2))
    return cells


def _costs(row: Row) -> dict[str, float]:
    known = {"training, s": _seconds(row), "training, TFLOP": _flops(row)}
    scales = {"training, s": 1.0, "training, TFLOP": 1e12}
    return {name: value / scales[name] for name, value in known.items() if value}


def _seconds(row: Row) -> float | None:
    return row.train_seconds()


def _flops(row: Row) -> float | None:
    return row.train_flops(tuning=False)
