"""One ratio's table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.leaderboard.markdown import rounded
from bench.results.record import AXES, DENSE

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

TIMED_BATCH = 1
"""Rows of the call that a page shows the measured speed of."""

NAME_COLUMNS = 4
"""Columns of a table that hold names, before those that hold figures."""

HYPHENATED = {"pretrained": "pre-trained", "finetuned": "fine-tuned"}
"""How a page writes what a record stores."""


def make_table(
    result: Standings,
    metrics: dict[str, str],
    planned: Mapping[tuple[str, str, float], int],
    length: int,
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of one ratio's table.

    Args:
        result: What stands at the ratio.
        metrics: Figures of each task.
        planned: How many seeds a row should have, by method, task and ratio.
        length: Tokens of the example that FLOPs and speed are shown for.
    """
    tasks, dense = result.tasks, result.row(DENSE)
    dense_average = dense.average(result.averaged) if dense else None
    timed = any(_speed(row, length) != "–" for row in result.rows)
    marks = {task: " †" if task in result.uninformative else "" for task in tasks}
    heads = ["rank", "method", "starts from", "teacher",
             *(f"{task}{marks[task]} ({metrics.get(task, '?')})" for task in tasks),
             f"average{', ± 95 %' if result.averages else ''}", "% of dense", "weights ×",
             "parameters × (with embeddings)", f"FLOPs × (S = {length})",
             *([f"measured speed-up over the best dense engine (S = {length}, batch {TIMED_BATCH})"]
               if timed else []), "TFLOP per seed, final run",
             "TFLOP per seed, with tuning"]  # fmt: skip
    cells = []
    for row in result.rows:
        if not any(row.scores.values()):
            continue
        average, method = row.average(result.averaged), row.method
        share = None  # of a dense model that is no better than chance a share says nothing
        if average is not None and dense_average is not None and dense_average > 0:
            share = 100 * average / dense_average
        interval = result.averages.get(method)
        cells.append(
            [str(result.overall.get(method, "–")),
             f"{method} (control)" if row.facts["control"] else method,
             *(HYPHENATED.get(name, name) for name in (row.facts["starts_from"],
                                                       row.facts["teacher"])),
             *(_score(result, row, task, planned) for task in tasks),
             rounded(average, 1) + (f" ± {interval.half_width:.1f}" if interval else ""),
             rounded(share, 1),
             *(rounded(row.ratio(axis, result.sized), 2) for axis in AXES),
             *([_speed(row, length)] if timed else []),
             *(_teraflops(row.train_flops(tuning=all_of_it)) for all_of_it in (False, True))]
        )  # fmt: skip
    return heads, cells


def _teraflops(flops: float | None) -> str:
    return "–" if flops is None else f"{flops / 1e12:.3g}"


def _speed(row: Row, length: int) -> str:
    """How much faster than the fastest dense engine the row's models ran, each on its best."""
    best = []
    for record in row.records:
        rows = (record.latency or {}).get("rows", [])
        own = [r for r in rows if r["model"] == "given" and r["agrees"]]
        if own := [r for r in own if (r["batch"], r["seq_len"]) == (TIMED_BATCH, length)]:
            best.append(max(own, key=lambda r: r["gain"]))
    if not best:
        return "–"
    engines = dict.fromkeys(r["engine"] for r in best)
    return f"{statistics.median(r['gain'] for r in best):.2f} {'/'.join(engines)}"


def _score(
    result: Standings, row: Row, task: str, planned: Mapping[tuple[str, str, float], int]
) -> str:
    """Mean ± sample standard deviation, and the rank on the task where there are several.

    Where some of the planned seeds have no score, it says how many have.
    """
    scores = row.scores[task]
    if not scores:
        return "–"
    mean = rounded(statistics.fmean(scores), 1)
    spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    rank = result.ranks[task].get(row.method) if len(result.tasks) > 1 else None
    wanted = planned.get((row.method, task, row.records[0].cell["ratio"]), 0)
    lacking = f" ({len(scores)} of {wanted} seeds)" if len(scores) < wanted else ""
    return mean + spread + (f" <sup>{rank}</sup>" if rank else "") + lacking
