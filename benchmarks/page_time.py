"""How long ten thousand records take to become a page, without and with their predictions.

    python benchmarks/page_time.py [--records 10000] [--rows 400]

Ten methods at five ratios on four tasks, as many seeds as make up the number; medians of three.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.leaderboard.page import make_page
from bench.results.predictions import Predictions
from bench.results.record import Record

METHODS, RATIOS, TASKS = 10, (2.0, 4.0, 10.0, 20.0, 50.0), ("one", "two", "three", "four")


def main() -> None:
    """Makes the page three times each way."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=400)
    arguments = parser.parse_args()
    seeds = arguments.records // (METHODS * len(RATIOS) * len(TASKS))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, arguments.rows).astype(np.float32)
    found, answers = [], {}
    for method in range(METHODS):
        for ratio in RATIOS:
            for task in TASKS:
                for seed in range(seeds):
                    given = np.where(rng.random(len(labels)) < 0.8, labels, 1 - labels)
                    record = one(
                        f"method-{method}", task, ratio, seed, 100 * (given == labels).mean()
                    )
                    found.append(record)
                    answers[record.id] = Predictions(labels, given)
    cells = {r.id: [r.cell[k] for k in ("method", "task", "ratio", "seed")] for r in found}
    settings = {"epochs": 1, "trials": 0, "precision": "fp32", "max_train_samples": None,
                "batch_size": 32, "dropout": 0.1}  # fmt: skip
    suite = {"name": "many", "model": "m", "axis": "weights", "protocol": "p",
             "settings": settings, "commands": ["bench run"], "cells": cells}  # fmt: skip
    for what, lookup in (("without", lambda cell: None), ("with", answers.get)):
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            make_page(suite, found, Path("out"), lookup)
            times.append(time.perf_counter() - begin)
        print(f"{len(found):,} records {what} predictions: {statistics.median(times):.1f} s")


def one(method: str, task: str, ratio: float, seed: int, score: float) -> Record:
    """A record with what a page needs."""
    axes: Any = {
        a: {"dense": 100, "actual": 5, "ratio": ratio} for a in ("weights", "params", "flops")
    }
    cell = {"method": method, "task": task, "axis": "weights", "ratio": ratio, "seed": seed,
            "model": "m", "protocol": "p"}  # fmt: skip
    facts = {"kind": "unstructured", "control": False, "starts_from": "pretrained",
             "teacher": "none"}  # fmt: skip
    return Record(id=f"{method}-{task}-{ratio}-{seed}", status="ok", cell=cell, method=facts,
                  params={"learning_rate": 1e-4}, score=score, scores={"accuracy": score},
                  footprint=axes, cost={"train_flops": 1e12, "parts": {}})  # fmt: skip


if __name__ == "__main__":
    main()
