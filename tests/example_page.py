"""Records of two tasks and four methods, and the suite that they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.results.record import Record

FOLDER = Path("out")
SCORES = {
    ("dense", 1.0): {"cola": [50.0, 52.0], "wnli": [10.0, 10.0]},
    ("magnitude", 20.0): {"cola": [40.0, 44.0], "wnli": [90.0, 90.0]},
    ("random-mask", 20.0): {"cola": [5.0, 6.0], "wnli": [50.0, 50.0]},
    ("movement", 20.0): {"cola": [41.0, 41.0], "wnli": []},
}


def record(
    method: str, task: str, ratio: float, seed: int, score: float | None, **known: Any
) -> Record:
    axes = ("weights", "params", "flops")
    facts = {"kind": "unstructured", "control": method in ("dense", "random-mask"),
             "starts_from": "pretrained", "teacher": "none"}  # fmt: skip
    return Record(
        **{
            "id": f"{method}-{task}-{ratio}-{seed}",
            "status": "ok",
            "cell": {"method": method, "task": task, "axis": "weights", "ratio": ratio,
                     "seed": seed, "model": "m", "protocol": "p"},
            "method": facts,
            "params": {"learning_rate": 1e-4},
            "score": score,
            "scores": {"matthews": score},
            "footprint": {a: {"dense": 100, "actual": 100 / ratio, "ratio": ratio} for a in axes},
            "cost": {"train_flops": 2e12, "wall_s": 1.0},
        }
        | known
    )  # fmt: skip


def records() -> list[Record]:
    return [
        record(method, task, ratio, seed, score)
        for (method, ratio), tasks in SCORES.items()
        for task, scores in tasks.items()
        for seed, score in enumerate(scores)
    ]


def suite(found: list[Record], **changes: Any) -> dict[str, Any]:
    cells = {
        r.id: [r.cell["method"], r.cell["task"], r.cell["ratio"], r.cell["seed"]] for r in found
    }
    settings = {"epochs": 3, "trials": 0, "precision": "fp32", "max_train_samples": None,
                "batch_size": 32, "dropout": 0.1}  # fmt: skip
    return {
        "name": "example", "model": "m", "axis": "weights", "protocol": "p", "settings": settings,
        "commands": ["bench run"], "weights": "w", "data": {}, "workers": 1, "cells": cells,
    } | changes  # fmt: skip


def rows(page_table: tuple[list[str], list[list[str]]]) -> dict[str, dict[str, str]]:
    heads, cells = page_table
    name = heads.index("method")
    return {row[name]: dict(zip(heads, row, strict=True)) for row in cells}
