"""A page's figures as CSV and JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.leaderboard.averages import above_chance, average_above_chance, win_rate
from bench.leaderboard.costs import COST_FIGURES, cost_figures
from bench.leaderboard.spreadsheet import as_csv as spreadsheet
from bench.leaderboard.spreadsheet import text_cell
from bench.results.predictions import predictions_hash
from bench.results.record import record_hash

if TYPE_CHECKING:
    from bench.leaderboard.challenges import Challenges
    from bench.leaderboard.loyalty import Loyalties
    from bench.leaderboard.ranking import Row, Standings
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record


def each_row(results: Mapping[float, Standings]) -> Iterator[tuple[float, Standings, Row]]:
    """Every row once, the references at ratio 1."""
    for place, (ratio, result) in enumerate(results.items()):
        for row in result.rows:
            if row.facts["kind"] != "reference":
                yield ratio, result, row
            elif place == 0:
                yield 1.0, result, row


def as_csv(results: Mapping[float, Standings], loyal: Loyalties) -> str:
    """A row a method, ratio and task that there is a score of."""
    heads = ["ratio", "method", "task", "seeds", "mean", "sd", "half_width_95", *COST_FIGURES,
             "above_chance", "label_loyalty", "probability_loyalty"]  # fmt: skip
    return spreadsheet(
        [
            heads,
            *(
                _csv_row(ratio, result, row, task, loyal)
                for ratio, result, row in each_row(results)
                for task in result.tasks
                if row.scores[task]
            ),
        ]
    )


def _csv_row(
    ratio: float, result: Standings, row: Row, task: str, loyal: Loyalties
) -> list[str | int]:
    scores, interval = row.scores[task], result.means.get((row.method, task))
    return [
        f"{ratio:g}",
        text_cell(row.method),
        text_cell(task),
        len(scores),
        repr(row.mean(task)),
        f"{statistics.stdev(scores):.12g}" if len(scores) > 1 else "",
        f"{interval.half_width:.6g}" if interval else "",
        *map(_plain, cost_figures(row, [task]).values()),
        _short(above_chance(result, row, task)),
        *(_short(figure) for figure in loyal.figures(row, task)),
    ]


def _plain(value: float | str | None) -> str:
    return text_cell(value) if isinstance(value, str) else "" if value is None else repr(value)


def _short(value: float | None) -> str:
    """Six digits, which every machine has in common; nothing where there is no figure."""
    return "" if value is None else f"{value:.6g}"


def as_json(
    suite: dict[str, Any],
    results: Mapping[float, Standings],
    loyal: Loyalties,
    challenges: Challenges,
    records: Sequence[Record],
    answers: PredictionsOf,
) -> str:
    """The page's figures, and a hash of every record behind them and of its predictions."""
    rows = [
        {
            "ratio": ratio,
            "method": row.method,
            "scores": row.scores,
            "average": row.average(result.averaged),
            "above_chance": average_above_chance(result, row),
            "win_rate": win_rate(result, row),
            "loyalty": {
                task: [None if figure is None else float(_short(figure)) for figure in figures]
                for task in result.tasks
                if (figures := loyal.figures(row, task))[0] is not None
            },
            "half_width_95": {
                key: float(f"{interval.half_width:.6g}")
                for key, interval in [
                    *((task, result.means.get((row.method, task))) for task in result.tasks),
                    ("average", result.averages.get(row.method)),
                ]
                if interval is not None
            },
            "rank": result.overall.get(row.method),
            **cost_figures(row, result.sized),
            "train_flops": row.train_flops(tuning=True),
            **challenges.described(ratio, row.method),
        }
        for ratio, result, row in each_row(results)
    ]
    described = {key: value for key, value in suite.items() if key not in ("cells", "studies")}
    behind = {
        "records": {record.id: record_hash(record) for record in records},
        "predictions": {
            record.id: predictions_hash(found)
            for record in records
            if (found := answers(record.id)) is not None
        },
    }
    if challenged := challenges.hashes(records):
        behind["challenged"] = challenged
    return json.dumps({**described, "rows": rows, **behind}, indent=1, sort_keys=True) + "\n"
