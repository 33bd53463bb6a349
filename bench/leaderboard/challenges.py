"""Challenge sets on a page: a table a ratio, a figure, and the groups of their rows.

They rank nobody: a set is a question of its own, and none was held out for the next one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.leaderboard import seed_plots
from bench.leaderboard import statistics as inference
from bench.leaderboard.markdown import pipe, rounded
from bench.leaderboard.ranking import Standings, rows_of, sample
from bench.leaderboard.spreadsheet import as_csv, text_cell
from bench.results.challenges import column_of, groups_of, is_target, scored_on
from bench.results.predictions import predictions_hash

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record

Table = tuple[list[str], list[list[str]]]
"""Heads and cells."""

TARGET = " ¶"
"""What marks a score on rows that were written against the model itself."""

CSV_HEADS = ("ratio", "method", "task", "challenge", "group", "seeds", "mean", "half_width_95")


class Challenges:
    """What is known of challenge sets on a page.

    Args:
        suite: What the page's suite was asked for.
        results: The standings of every ratio.
        answers: Where answers to challenge sets are found, by `challenge_key`.
    """

    def __init__(
        self, suite: Mapping[str, Any], results: Mapping[float, Standings], answers: PredictionsOf
    ) -> None:
        self._sets: Mapping[str, Mapping[str, str]] = suite.get("challenges", {})
        self._answers = answers
        self._report = results
        found = {ratio: self._standings(result) for ratio, result in results.items()}
        self._found = {ratio: one for ratio, one in found.items() if one is not None}

    def _standings(self, result: Standings) -> Standings | None:
        """A ratio's rows, with challenge sets in the place of tasks."""
        columns = [column for task in result.tasks for column, _ in self._columns(task)]
        scored = [
            one
            for row in result.rows
            for record in row.records
            for one in scored_on(record, self._sets)
        ]
        rows = {row.method: row for row in rows_of(scored, columns)}
        if not rows:
            return None
        means = {
            (row.method, column): estimate
            for row in rows.values()
            for column in columns
            if (estimate := inference.mean(sample(row, column, self._answers))) is not None
        }
        ordered = [rows[row.method] for row in result.rows if row.method in rows]
        return Standings(ordered, columns, averaged=[], uninformative=[], means=means)

    def _columns(self, task: str) -> Iterator[tuple[str, str]]:
        """A task's sets: what each is called as a column, and its name."""
        return ((column_of(task, name), name) for name in sorted(self._sets.get(task, {})))

    def of(self, ratio: float) -> dict[str, Any] | None:
        """What a page shows at a ratio, if any score is known.

        Returns:
            The `table` of scores, heads and cells, those of the `groups` of rows by title, and
            whether a score is of rows that were written against its model (`targets`).
        """
        if (found := self._found.get(ratio)) is None:
            return None
        groups = {f"{column}, by group": self._groups(found, column) for column in found.tasks}
        shown = [(title, table) for title, table in groups.items() if table[1]]
        targets = any(_is_target(row, column) for row in found.rows for column in found.tasks)
        return {"table": self._table(ratio, found), "groups": shown, "targets": targets}

    def average(self, ratio: float, method: str) -> float | None:
        """A row's mean score over all sets; `None` where one is not known."""
        found = self._found.get(ratio)
        row = found.row(method) if found else None
        return row.average(found.tasks) if found and row else None

    def _table(self, ratio: float, found: Standings) -> Table:
        """Heads and cells of a ratio's scores."""
        report = self._report[ratio]
        metrics = {
            record.cell["task"]: "/".join(record.scores)
            for row in [*report.rows, *found.rows]
            for record in row.records
            if record.scores
        }
        heads, sources = ["method"], []
        for task in report.tasks:
            own = [column for column, _ in self._columns(task)]
            for column in [task, *own] if own else []:
                heads.append(f"{column} ({metrics.get(column, '?')})")
                sources.append((column, report if column == task else found))
        cells = [
            [row.label, *(_cell(result, row.method, column) for column, result in sources)]
            for row in found.rows
        ]
        return heads, cells

    def _groups(self, found: Standings, column: str) -> Table:
        """Heads and cells of a set's groups of rows, a row a group."""
        by_method = {row.label: _by_group(row, column) for row in found.rows}
        names = sorted({name for groups in by_method.values() for name in groups})
        cells = [
            [name, *(rounded(_mean(groups.get(name)), 1) for groups in by_method.values())]
            for name in names
        ]
        return ["group of rows", *by_method], cells

    def data_table(self) -> str:
        """Where each set's rows came from, and how many there are."""
        records = (
            record
            for result in self._found.values()
            for row in result.rows
            for record in row.records
        )
        facts = {record.cell["task"]: next(iter((record.challenges or {}).values()))
                 for record in records}  # fmt: skip
        heads = ["challenge set", "source", "rows", "with a training row's text", "cut to fit",
                 "unreadable"]  # fmt: skip
        rows = [
            [
                column,
                " ".join(str(known[key]) for key in ("source", "revision") if key in known),
                *(f"{known.get(key, 0):,}" for key in ("rows", "seen", "cut", "skipped_rows")),
            ]
            for column, known in sorted(facts.items())
        ]
        return pipe(heads, rows)

    def svg(self) -> str:
        """A forest of report splits and challenge sets at the hardest ratio; empty without any."""
        if not self._found:
            return ""
        ratio = max(self._found)
        found, report = self._found[ratio], self._report[ratio]
        panels = {}
        for task in report.tasks:
            if own := [column for column, _ in self._columns(task)]:
                panels[task] = _panel(report, [row.method for row in found.rows], task)
                panels |= {
                    column: _panel(found, [row.method for row in found.rows], column)
                    for column in own
                }
        controls = {row.method for row in found.rows if row.facts["control"]}
        targets = {
            column: {row.method for row in found.rows if _is_target(row, column)}
            for column in found.tasks
        }
        return seed_plots.forest_svg(panels, (), controls, targets)

    def csv(self) -> str:
        """Every score and every group's, a row each; empty without any."""
        lines: list[list[str | int]] = [
            [f"{ratio:g}", text_cell(row.method), text_cell(task), name, text_cell(group),
             len(values), repr(statistics.fmean(values)),
             f"{interval.half_width:.6g}" if interval else ""]
            for ratio, result in self._found.items()
            for row in result.rows
            for task in self._sets
            for column, name in self._columns(task)
            for group, values, interval in [
                ("", row.scores[column], result.means.get((row.method, column))),
                *((group, values, None) for group, values in _by_group(row, column).items()),
            ]
            if values
        ]  # fmt: skip
        return as_csv([list(CSV_HEADS), *lines]) if lines else ""

    def described(self, ratio: float, method: str) -> dict[str, Any]:
        """What a page's JSON says of a row: scores by column, one a seed; empty without any."""
        found = self._found.get(ratio)
        row = None if found is None else found.row(method)
        scores = {} if row is None else {c: s for c, s in row.scores.items() if s}
        return {"challenges": scores} if scores else {}

    def hashes(self, records: Iterable[Record]) -> dict[str, str]:
        """A hash of the answers behind each score, by `challenge_key`."""
        keys = [one.id for record in records for one in scored_on(record)]
        held = {key: self._answers(key) for key in keys}
        return {key: predictions_hash(one) for key, one in held.items() if one is not None}


def _cell(result: Standings, method: str, column: str) -> str:
    row = result.row(method)
    if row is None or (mean := row.mean(column)) is None:
        return "–"
    interval = result.means.get((method, column))
    spread = f" ± {interval.half_width:.1f}" if interval else ""
    return rounded(mean, 1) + spread + (TARGET if _is_target(row, column) else "")


def _is_target(row: Row, column: str) -> bool:
    """Whether a set's rows were written against one of a row's models."""
    return any(is_target(record) for record in row.records if record.cell["task"] == column)


def _panel(result: Standings, methods: Sequence[str], column: str) -> seed_plots.Panel:
    """What methods scored in a column, one of each."""
    spreads = {}
    for method in methods:
        row, interval = result.row(method), result.means.get((method, column))
        spreads[method] = seed_plots.Spread(
            row.scores[column] if row else [],
            row.mean(column) if row else None,
            interval.half_width if interval else None,
        )
    return spreads


def _by_group(row: Row, column: str) -> dict[str, list[float]]:
    """Scores of each group of a set's rows, one a seed."""
    found: dict[str, list[float]] = {}
    for record in row.records:
        if record.cell["task"] == column and record.status == "ok":
            for group, score in groups_of(record).items():
                found.setdefault(group, []).append(score)
    return dict(sorted(found.items()))


def _mean(values: Sequence[float] | None) -> float | None:
    return statistics.fmean(values) if values else None
