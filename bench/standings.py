"""Records to rows: what stands in one table, and in which order."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.records import Record

OUTSIDE_AVERAGE = ("wnli",)
"""Tasks whose dev set says nothing: shown, but no part of an average."""


@dataclass(frozen=True)
class Row:
    """One method at one ratio.

    Attributes:
        method: The variant's name.
        facts: What its records say of the method: kind, control, what it starts from, teacher.
        scores: Scores by task, one a seed, in the order of seeds; `ok` cells only.
        records: All its records at this ratio.
    """

    method: str
    facts: dict[str, Any]
    scores: dict[str, list[float]]
    records: list[Record]

    def mean(self, task: str) -> float | None:
        """Mean over seeds, `None` where there is no score."""
        values = self.scores.get(task)
        return statistics.fmean(values) if values else None

    def average(self, tasks: Sequence[str]) -> float | None:
        """Mean over tasks, `None` where one is missing."""
        means = [self.mean(task) for task in tasks if task not in OUTSIDE_AVERAGE]
        known = [value for value in means if value is not None]
        return statistics.fmean(known) if known and len(known) == len(means) else None

    def ratio(self, axis: str) -> float | None:
        """Mean achieved ratio on an axis of the footprint."""
        found = [r.footprint[axis]["ratio"] for r in self.records if r.status == "ok"]
        return statistics.fmean(found) if found else None

    def train_flops(self) -> float:
        """Training FLOPs of one seed on all tasks: the mean over seeds, summed over tasks."""
        by_task: dict[str, list[float]] = {}
        for record in self.records:
            if "train_flops" in record.cost:
                by_task.setdefault(record.cell["task"], []).append(record.cost["train_flops"])
        return sum(map(statistics.fmean, by_task.values()))


def rows_of(records: Sequence[Record], tasks: Sequence[str]) -> list[Row]:
    """A row a method, in the order in which the records name them."""
    rows = {}
    for method in dict.fromkeys(record.cell["method"] for record in records):
        mine = [record for record in records if record.cell["method"] == method]
        scores = {
            task: [
                record.score
                for record in mine
                if record.cell["task"] == task and record.status == "ok"
                and record.score is not None
            ]
            for task in tasks
        }  # fmt: skip
        facts = next((record.method for record in mine if record.method), {})
        known = {"kind": "?", "control": False, "starts_from": "?", "teacher": "?", **facts}
        rows[method] = Row(method, known, scores, mine)
    return list(rows.values())


def table(
    rows: Sequence[Row], tasks: Sequence[str], metrics: dict[str, str]
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of one ratio's table: competitors by their average, then the controls."""
    dense = next((row for row in rows if row.method == "dense"), None)
    dense_average = dense.average(tasks) if dense else None
    heads = ["method", "starts from", "teacher", *(f"{t} ({metrics.get(t, '?')})" for t in tasks),
             "average", "of dense, %", "weights ×", "parameters × (with embeddings)",
             "FLOPs × (S = 128)", "training, TFLOP a seed"]  # fmt: skip

    def key(row: Row) -> tuple[bool, float, str]:
        average = row.average(tasks)
        return (row.facts["control"], -(average if average is not None else -1000.0), row.method)

    cells = []
    for row in sorted((r for r in rows if any(r.scores.values())), key=key):
        average = row.average(tasks)
        share = 100 * average / dense_average if average is not None and dense_average else None
        name = f"{row.method} (control)" if row.facts["control"] else row.method
        cells.append(
            [name, row.facts["starts_from"], row.facts["teacher"],
             *(_mean_sd(row.scores.get(task, [])) for task in tasks),
             number(average, 1), number(share, 1),
             *(number(row.ratio(axis), 2) for axis in ("weights", "params", "flops")),
             number(row.train_flops() / 1e12, 2)]
        )  # fmt: skip
    return heads, cells


def _mean_sd(scores: Sequence[float]) -> str:
    if not scores:
        return "–"
    mean = f"{statistics.fmean(scores):.1f}"
    return f"{mean} ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else mean


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"
