"""Score against what training took, for rows that differ in one option of the run alone.

Of perturbations the question is that of Takase and Kiyono (2021, arXiv:2104.01853): are the cheap
ones as good as the dear ones? Of intermediate tasks it is that of Chang and Lu (2021,
arXiv:2108.11696): do they help, and if so by their content, or by their form alone?
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.leaderboard import seed_plots
from bench.leaderboard.markdown import escape, pipe, rounded, significant
from bench.leaderboard.spread import seed_averages
from bench.leaderboard.statistics import difference
from bench.protocol import NONE, SYNTHETIC
from bench.results.record import without_option

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings


@dataclass(frozen=True)
class Compared:
    """An option of the run by which a page compares rows.

    Attributes:
        name: The protocol's name for it.
        noun: What a page calls a value of it.
        cost: What the costs of a row are, as a note under the table.
    """

    name: str
    noun: str
    cost: str

    def of_suite(self, suite: Mapping[str, Any]) -> str:
        """What holds for the rows of a suite that are pinned to nothing else."""
        return suite["settings"].get(self.name) or NONE


PERTURB = Compared(
    "perturb",
    "perturbation",
    "Training: of one seed on all tasks, without tuning. What a row starts or learns from counts.",
)
INTERMEDIATE = Compared(
    "intermediate",
    "intermediate task",
    "Training: of one seed on all tasks, without tuning. What a row starts or learns from counts: "
    "the intermediate training and the writing of fake endings are charged to each row in full.",
)
COMPARED = (PERTURB, INTERMEDIATE)

NOTES = (
    "Average score over the tasks of the average, or over all where none is in it, and its "
    "difference to the same method with none, ± half of the 95 % interval of the difference.",
    "Seconds are as measured, with whatever else the machine had to do. A dash: not known.",
)


def option_section(option: Compared, result: Standings, suite: Mapping[str, Any]) -> str:
    """A ratio's table as Markdown; nothing where no two rows differ in the option alone.

    Args:
        option: The option.
        result: The ratio's standings.
        suite: What the page's suite was asked for.
    """
    rows: list[list[str]] = []
    contents: list[str] = []
    for method, alike in _alike(option, result, suite).items():
        plain = alike.get(NONE)
        for value, row in alike.items():
            rows.append([method, value, *_cells(result, row, plain)])
        contents += _content(result, method, alike)
    if not rows:
        return ""
    first, last = NOTES
    notes = "\n".join(f"- {note}" for note in (first, *contents, option.cost, last))
    heads = ("method", option.noun, "average", f"− {NONE}", "training, s", f"÷ {NONE}", "TFLOP",
             f"÷ {NONE}")  # fmt: skip
    title = f"### Score against training, by {option.noun}"
    return f"{title}\n\n{pipe(heads, rows)}\n\n{notes}"


def _content(result: Standings, method: str, alike: Mapping[str, Row]) -> Iterator[str]:
    """What an intermediate task with content is ahead of one without, row by row."""
    made = [value for value in alike if value in SYNTHETIC]
    real = [value for value in alike if value not in (*SYNTHETIC, NONE)]
    for one, other in itertools.product(real, made):
        found = difference(result.average_pairs, alike[one].method, alike[other].method)
        if found:
            yield (
                f"Content: {escape(method)} after {escape(one)} − after {escape(other)}: "
                f"{found.value:+.1f} ± {found.half_width:.1f}."
            )


def option_svg(
    option: Compared, suite: Mapping[str, Any], results: Mapping[float, Standings]
) -> str:
    """Average score against the seconds and FLOPs of training, a colour a value of the option.

    Args:
        option: The option.
        suite: What the page's suite was asked for.
        results: Standings by ratio; the dense models are drawn once.

    Returns:
        An SVG file's text; empty where no two rows differ in the option alone.
    """
    curves: dict[str, dict[str, seed_plots.Point]] = {}
    for ratio, result in results.items():
        for method, alike in _alike(option, result, suite).items():
            for value, row in alike.items():
                average, costs = row.average(result.sized), _costs(row)
                if average is not None and costs:
                    seeds = seed_averages(row, result.sized)
                    place = method if row.facts["kind"] == "reference" else f"{method} {ratio:g}"
                    point = seed_plots.Point(costs, average, seeds)
                    curves.setdefault(value, {})[place] = point
    points = {name: list(found.values()) for name, found in curves.items()}
    return seed_plots.tradeoff_svg(points, {}, joined=False)


def _alike(
    option: Compared, result: Standings, suite: Mapping[str, Any]
) -> dict[str, dict[str, Row]]:
    """Rows by method and the option's value, as far as a method has several; none first."""
    found: dict[str, dict[str, Row]] = {}
    for row in result.rows:
        method, said = without_option(row.method, option.name)
        if any(row.scores.values()):
            found.setdefault(method, {})[said or option.of_suite(suite)] = row
    return {
        method: dict(sorted(rows.items(), key=lambda item: (item[0] != NONE, item[0])))
        for method, rows in sorted(found.items())
        if len(rows) > 1
    }


def _cells(result: Standings, row: Row, plain: Row | None) -> list[str]:
    """A row's figures as text, each set against those of the row with none."""
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
