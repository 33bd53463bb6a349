"""What the script of an HTML page knows: figures of rows, curves, trials, records."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.leaderboard.averages import above_chance
from bench.leaderboard.convergence import trainings
from bench.leaderboard.costs import speed
from bench.leaderboard.dynascore import exchanged
from bench.leaderboard.spread import LEVELS
from bench.leaderboard.tuning import trial_points
from bench.metrics import metric_of
from bench.results.record import DENSE, FIELDS, SIZES, dense_of, is_dense, slim

if TYPE_CHECKING:
    from bench.leaderboard.html.board import BoardRow
    from bench.leaderboard.page import Page
    from bench.results.predictions import Predictions
    from bench.results.record import Record

AVERAGE = "average"

METRICS = {
    "score": "score",
    "bytes": "MB",
    "flops": "FLOPs",
    "ms": "latency",
    "loyalty": "loyalty",
    "robustness": "challenge sets",
}
"""What a reader can weigh, and what it is called."""

COSTS = ("bytes", "flops", "ms")
"""Of these, what is better where it is smaller."""

SCALES = {"bytes": 1e6, "flops": 1e9, "flops_task": 1e9}

LEFT_OUT = "There are too many records for one page. They lie in the folder that it was made from."


ReportTexts = Mapping[str, Sequence[Sequence[str]]]
"""By task, the texts of its report rows, in the order of predictions."""


def page_data(
    page: Page, rows: Sequence[BoardRow], room: int, texts: ReportTexts = MappingProxyType({})
) -> str:
    """JSON that may stand in a page.

    Args:
        page: The suite's page.
        rows: The rows of its table.
        room: Bytes that it may take. Where all is more, records and what differs are left out.
        texts: Of tasks whose texts may be shown.
    """
    figures = [_figures(page, number, row) for number, row in enumerate(rows)]
    _add_exchanged(figures, rows)
    data: dict[str, Any] = {
        "tasks": list(rows[0].result.tasks) if rows else [],
        "averaged": rows[0].result.averaged if rows else [],
        "exchanged": {"metrics": METRICS},
        "left_out": LEFT_OUT,
        "rows": figures,
        "curves": [],
        "trials": [],
    }
    differs = functools.cache(lambda: _differs(page))
    places = {record.id: number for number, one in enumerate(rows) for record in one.row.records}
    more: dict[str, Callable[[], Any]] = {
        "curves": lambda: _curves(page),
        "trials": lambda: trial_points(page.studies),
        "records": lambda: _records(page.records, places),
        "differs": differs,
    }
    if texts:
        more["texts"] = lambda: _texts(page.records, differs(), texts)
    text = _dumped(data)
    for key, make in more.items():
        data = {**data, key: make()}
        if len(longer := _dumped(data)) > room:
            break
        text = longer
    return text


def _dumped(data: Any) -> str:
    """JSON in which nothing can end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _six(value: float | None) -> float | None:
    """Six digits, which every machine has in common."""
    return None if value is None else float(f"{value:.6g}")


def _figures(page: Page, number: int, one: BoardRow) -> dict[str, Any]:
    """What figures are drawn from of a row."""
    row, result = one.row, one.result
    widths = {task: result.means.get((row.method, task)) for task in result.tasks}
    widths[AVERAGE] = result.averages.get(row.method)
    above = {task: above_chance(result, row, task) for task in result.tasks}
    loyal = {task: page.loyal.figures(row, task)[0] for task in result.tasks}
    return {
        "number": number,
        "method": row.method,
        "ratio": one.ratio,
        "kind": row.facts["kind"],
        "reference": one.ratio == 1,
        "control": row.facts["control"],
        "answers": row.method in LEVELS and row.method != DENSE,  # no model that it needs
        "scores": _scores(row.records),
        "half_width": {key: _six(width.half_width) for key, width in widths.items() if width},
        "costs": {key: _six(cost) for key, cost in costs_of(one).items()},
        "above": {task: _six(share) for task, share in above.items() if share is not None},
        "robustness": _six(page.challenges.average(one.ratio, row.method)),
        "loyalty": {task: _six(share) for task, share in loyal.items() if share is not None},
    }


def costs_of(one: BoardRow) -> dict[str, float]:
    """What a row's models cost, by axis: MB, GFLOPs, milliseconds."""
    sizes = {axis: one.row.size(axis, one.result.sized) for axis in SIZES}
    costs = {axis: size / SCALES.get(axis, 1) for axis, size in sizes.items() if size}
    timed = speed(one.row, one.result.sized)
    return costs | {"ms": timed.ms} if timed else costs


def _scores(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Scores by task, then by seed."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        if record.status == "ok" and record.score is not None:
            by_seed = found.setdefault(record.cell["task"], {})
            by_seed[str(record.cell["seed"])] = float(f"{record.score:.6g}")
    return found


def _add_exchanged(figures: Sequence[dict[str, Any]], rows: Sequence[BoardRow]) -> None:
    """Gives the competitors of each ratio their metrics in points, see `dynascore`."""
    for _, at_ratio in itertools.groupby(zip(figures, rows, strict=True), lambda p: p[1].ratio):
        known = [
            (figure, one, average)
            for figure, one in at_ratio
            if not one.row.facts["control"]
            and (average := one.row.average(one.result.averaged)) is not None
        ]
        if not known:
            continue
        performance = [average for _, _, average in known]
        metrics = {name: [_metric(name, figure, one, average) for figure, one, average in known]
                   for name in METRICS}  # fmt: skip
        found = exchanged(performance, metrics)
        for place, (figure, _, _) in enumerate(known):
            mine = {name: _six(values[place]) for name, values in found.items()}
            figure["exchanged"] = {name: one for name, one in mine.items() if one is not None}


def _metric(name: str, figure: Mapping[str, Any], one: BoardRow, average: float) -> float | None:
    """A row's metric, higher being better."""
    if name == "score":
        return average
    if name in COSTS:
        cost = figure["costs"].get(name)
        return None if cost is None else -cost
    if name == "robustness":
        robustness: float | None = figure[name]
        return robustness
    shares = [figure[name].get(task) for task in one.result.averaged]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known and len(known) == len(shares) else None


def _curves(page: Page) -> list[dict[str, Any]]:
    """The trainings that show how methods converged; losses over the first, for want of a unit."""
    return [
        {
            "method": one.method,
            "task": one.task,
            "ratio": one.ratio,
            "shares": [*map(_six, one.shares)],
            "scores": [*map(_six, one.scores)],
            "losses": [_six(loss / (abs(one.losses[0]) or 1.0)) for loss in one.losses],
        }
        for one in trainings(page.studies)
    ]


def _records(records: Sequence[Record], places: Mapping[str, int]) -> dict[str, Any]:
    """Records in which a value that several have stands once: a list names its place in a pool."""
    pool: dict[str, int] = {}

    def pooled(value: Any) -> Any:
        if not isinstance(value, dict | list):
            return value
        return [pool.setdefault(json.dumps(value), len(pool))]

    shown = [(places[one.id], slim(one)) for one in records if one.id in places]
    fields = list(dict.fromkeys([*FIELDS, *(key for _, held in shown for key in held)]))
    fields = [name for name in fields if any(name in held for _, held in shown)]
    cells = [
        {"row": place, "values": [pooled(held.get(name)) for name in fields]}
        for place, held in shown
    ]
    return {"fields": fields, "cells": cells, "pool": [json.loads(text) for text in pool]}


def _differs(page: Page) -> dict[str, dict[str, list[int]]]:
    """By a cell's id, where it answers otherwise than the dense model of its task and seed."""
    dense = {_place(r, r.cell["method"]): r for r in page.records
             if is_dense(r.cell["method"]) and r.status == "ok"}  # fmt: skip
    found = {}
    for record in page.records:
        other = dense.get(_place(record, dense_of(record.cell["method"])))
        if other is None or other is record or (metric := metric_of(record.scores)) is None:
            continue
        mine, theirs = page.answers(record.id), page.answers(other.id)
        if mine and theirs and not metric.regression and len(mine.labels) == len(theirs.labels):
            found[record.id] = differing(mine, theirs)
    return found


def _texts(
    records: Iterable[Record], differs: Mapping[str, Mapping[str, list[int]]], texts: ReportTexts
) -> dict[str, dict[str, Any]]:
    """By task, its licence and the texts of the rows that some model answers otherwise."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        task = record.cell["task"]
        if task not in texts or record.id not in differs:
            continue
        shown = found.setdefault(task, {"licence": record.data.get("licence", ""), "rows": {}})
        for rows in differs[record.id].values():
            shown["rows"] |= {str(row): list(texts[task][row]) for row in rows}
    return found


def _place(record: Record, method: str) -> tuple[str, str, int]:
    return method, record.cell["task"], record.cell["seed"]


def differing(mine: Predictions, theirs: Predictions) -> dict[str, list[int]]:
    """The report rows on which two models answer differently.

    Args:
        mine: The answers of a compressed model.
        theirs: Those of dense, of the same rows.

    Returns:
        Row numbers from 0: `lost`, where dense alone is right; `won`, where dense alone is wrong;
        and `other`, where neither is right, or both are.
    """
    differ = mine.answers != theirs.answers
    right, was_right = _is_right(mine), _is_right(theirs)
    found = {
        "lost": differ & was_right & ~right,
        "won": differ & right & ~was_right,
        "other": differ & (right == was_right),
    }
    return {key: np.flatnonzero(rows).tolist() for key, rows in found.items() if rows.any()}


def _is_right(found: Predictions) -> Any:
    if not found.are_texts:
        return found.answers == found.labels
    pairs = zip(found.answers, found.labels, strict=True)
    return np.array([answer in right if right else not answer for answer, right in pairs], bool)
