"""What a row's models cost: size, FLOPs, milliseconds and training, beside its scores."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.leaderboard.markdown import escape, rounded, significant
from bench.leaderboard.prose import processor
from bench.leaderboard.ranking import rows_of
from bench.results.record import SIZES
from bench.results.settings import threads_words

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings
    from bench.results.record import Record

COST_FIGURES = (
    *(f"{axis}_ratio" for axis in SIZES),
    "bytes",
    "parameter_count",
    "ms",
    "ms_ratio",
    "engine",
)
"""What CSV and JSON call them."""

SAME_SHAPE = 0.01
"""Models whose counts differ by a smaller share differ in their heads and by rounding alone."""


@dataclass(frozen=True)
class Speed:
    """How fast a row's models answer one example, each on its fastest engine; means over tasks.

    Attributes:
        ms: Milliseconds.
        gain: Those of the fastest dense engine ÷ these.
        engines: The fastest engines' names.
        lengths: Tokens of the example, by task.
    """

    ms: float
    gain: float
    engines: list[str]
    lengths: dict[str, int]


def speed(row: Row, tasks: Sequence[str]) -> Speed | None:
    """How fast a row's models of some tasks answer; `None` where one was not timed."""
    found = {
        record.cell["task"]: record.timing
        for record in row.records
        if record.status == "ok" and record.cell["task"] in tasks and record.timing
    }
    if not found or any(row.scores.get(task) and task not in found for task in tasks):
        return None
    return Speed(
        ms=statistics.fmean(timing["median_ms"] for timing in found.values()),
        gain=statistics.fmean(timing["gain"] for timing in found.values()),
        engines=list(dict.fromkeys(timing["engine"] for timing in found.values())),
        lengths={task: timing["seq_len"] for task, timing in found.items()},
    )


def cost_figures(row: Row, tasks: Sequence[str]) -> dict[str, float | str | None]:
    """What a row's models of some tasks cost, under `COST_FIGURES`; means over models."""
    found = speed(row, tasks)
    timed = (found.ms, found.gain, "/".join(found.engines)) if found else (None, None, None)
    ratios = (row.ratio(axis, tasks) for axis in SIZES)
    counts = (row.size(axis, tasks) for axis in ("bytes", "params"))
    return dict(zip(COST_FIGURES, (*ratios, *counts, *timed), strict=True))


def size_heads(sequence_length: int) -> list[str]:
    """The heads of `size_cells`."""
    return ["weights ×", "MB", "MB ×", "parameters, M", "parameters ×",
            f"FLOPs ×, S = {sequence_length}", "FLOPs ×, task's lengths"]  # fmt: skip


def size_cells(row: Row, tasks: Sequence[str]) -> list[str]:
    """The sizes of a row's models, as text; a dash where one is not known."""
    ratios = {axis: rounded(row.ratio(axis, tasks), 2) for axis in SIZES}
    return [
        ratios["weights"],
        _millions(row.size("bytes", tasks)),
        ratios["bytes"],
        _millions(row.size("params", tasks)),
        ratios["params"],
        ratios["flops"],
        ratios["flops_task"],
    ]


def cost_table(result: Standings, sequence_length: int) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of what the rows of a ratio cost.

    Args:
        result: The ratio's standings.
        sequence_length: Tokens of the one example that FLOPs are counted for.
    """
    heads = ["method", *size_heads(sequence_length), "ms", "ms ×", "TFLOP per seed, final run",
             "TFLOP per seed, with tuning"]  # fmt: skip
    cells = [
        [
            row.label,
            *size_cells(row, result.sized),
            *_speed_cells(speed(row, result.sized)),
            *(_teraflops(row.train_flops(tuning=all_of_it)) for all_of_it in (False, True)),
        ]
        for row in result.rows
        if any(row.scores.values())
    ]
    return heads, cells


def _speed_cells(found: Speed | None) -> list[str]:
    if found is None:
        return ["–", "–"]
    return [f"{significant(found.ms)} {'/'.join(found.engines)}", f"{found.gain:.2f}"]


def _millions(value: float | None) -> str:
    return significant(None if value is None else value / 1e6)


def _teraflops(flops: float | None) -> str:
    return "–" if flops is None else f"{flops / 1e12:.3g}"


def cost_notes(result: Standings) -> list[str]:
    """What stands under it: tasks left out, how it was timed, and shapes that differ."""
    lines = []
    if left_out := [task for task in result.tasks if task not in result.sized]:
        names = ", ".join(map(escape, left_out))
        lines.append(f"Sizes are means over the tasks of the average, without {names}.")
    return [*lines, *_timing_notes(result), *_shape_notes(result)]


def _timing_notes(result: Standings) -> list[str]:
    """How milliseconds were measured, if any were."""
    lengths: dict[str, int] = {}
    machines: dict[str, None] = {}
    for row in result.rows:
        if found := speed(row, result.sized):
            lengths |= found.lengths
            for timed in (record.latency for record in row.records if record.timing):
                if timed:
                    on = f"{processor(timed)}, {threads_words(timed['threads'])}"
                    machines[f"{on}; engines: {escape(', '.join(timed['engines']))}"] = None
    if not lengths:
        return []
    at = ", ".join(f"{escape(task)} {length}" for task, length in lengths.items())
    lines = [
        f"ms: one example of the task's median length ({at} tokens), on the fastest engine that "
        "answers right. ms ×: the dense model's on its own fastest engine / this.",
        *(f"Timed on {machine}." for machine in machines),
    ]
    if len(machines) > 1:
        lines.append("**Timed on different machines or engines**: compare ms ×, not ms.")
    return lines


def _shape_notes(result: Standings) -> list[str]:
    """Rows whose models have other shapes on other tasks."""
    lines = []
    for row in result.rows:
        first = {
            record.cell["task"]: record.footprint
            for record in reversed(row.records)
            if record.status == "ok" and record.has_model and record.cell["task"] in result.sized
            if all("actual" in record.footprint[axis] for axis in ("params", "flops"))
        }
        if any(_differ([found[axis]["actual"] for found in first.values()])
               for axis in ("params", "flops")):  # fmt: skip
            sizes = ", ".join(
                f"{escape(task)} {_millions(first[task]['params']['actual'])} M parameters"
                for task in result.sized
                if task in first
            )
            lines.append(f"{escape(row.method)}: shapes differ from task to task: {sizes}.")
    return lines


def _differ(counts: Sequence[float]) -> bool:
    return bool(counts) and max(counts) - min(counts) > SAME_SHAPE * min(counts)


def external_table(
    records: Sequence[Record], sequence_length: int
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of checkpoints that were made elsewhere, by scores and sizes."""
    heads = ["checkpoint", "task", "score", *size_heads(sequence_length)]
    rows = []
    for record in records:
        task = record.cell["task"]
        (row,) = rows_of([replace(record, status="ok")], [task])  # sizes are those of `ok` cells
        rows.append([row.method, task, rounded(record.score, 1), *size_cells(row, [task])])
    return heads, rows
