"""Standings of given scores, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from example_record import COUNTED, RECORD

from bench.leaderboard.ranking import Row, Standings
from bench.metrics import METRICS

CONTROLS = ("dense", "majority", "random-mask", "small-dense")


def standings_of(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    metrics: Mapping[str, str] | None = None,
    **known: Any,
) -> Standings:
    """One ratio's rows, in the given order.

    Args:
        scores: Scores, one a seed, by method and task.
        metrics: Metric by task; accuracy where none is named.
        known: Fields of `Standings`; all tasks are averaged where nothing else is said.
    """
    tasks = list(dict.fromkeys(task for by_task in scores.values() for task in by_task))
    rows = [
        Row(
            method,
            {"control": method in CONTROLS, "kind": "?"},
            {task: list(by_task.get(task, ())) for task in tasks},
            [
                replace(
                    RECORD,
                    id=f"{method} {task} {seed}",
                    cell={"method": method, "task": task, "seed": seed, "ratio": 4.0},
                    score=score,
                    scores=dict.fromkeys(
                        METRICS[(metrics or {}).get(task, "accuracy")].figures, score
                    ),
                    footprint=COUNTED,
                )
                for task, by_seed in by_task.items()
                for seed, score in enumerate(by_seed)
            ],
        )
        for method, by_task in scores.items()
    ]
    filled = {"tasks": tasks, "averaged": tasks, "uninformative": []} | known
    return Standings(rows=rows, **filled)
