"""How long commands take over a run folder of ten thousand records, checksums and all.

    python benchmarks/big_folder.py [--records 10000] [--rows 400] [--keep FOLDER]

Ten methods at five ratios on four tasks, as many seeds as make up the number; each record has its
predictions, with logits. Then `bench status`, a page in Markdown and in HTML, and the plan of some
15,000 cells are timed as commands of their own, start-up included: the fastest of three, since
others may work here.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import short_hash, write_json
from bench.results.predictions import as_table
from bench.results.record import Record
from bench.results.store import Store

METHODS, RATIOS, TASKS = 10, (2.0, 4.0, 10.0, 20.0, 50.0), ("one", "two", "three", "four")

MAIN = "import sys; from bench.cli.main import main; sys.exit(main())"

PLAN = ("--methods", "all", "--tasks", "demo", "--trials", "0", "--dry-run", "--seeds", "22",
        "--ratios", "2,3,4,5,6,7,8,9,10,12,14,16,18,20,25,30")  # fmt: skip


def main() -> None:
    """Makes the folder and times the commands."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = given.keep or Path(folder) / "runs"
        if not runs.exists():
            fill(runs, given.records, given.rows)
        timed("status", "status", "--runs", runs)
        timed("page", "leaderboard", "--runs", runs, "--out", Path(folder) / "pages")
        timed("HTML page", "leaderboard", "--runs", runs, "--html", Path(folder) / "many.html")
        timed("plan", "run", *PLAN, "--runs", Path(folder) / "new")


def timed(what: str, *words: object) -> None:
    """Runs a command three times and prints its wall and processor seconds."""
    wall, busy = [], []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", MAIN, *map(str, words)], check=False,
                              capture_output=True, text=True)  # fmt: skip
        wall.append(time.perf_counter() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode != 0:
            sys.exit(f"{what}: {done.stderr}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{what}: {min(wall):.1f} s, {min(busy):.1f} s of processor, "
          f"at most {peak:.0f} MB so far", flush=True)  # fmt: skip


def fill(runs: Path, count: int, rows: int) -> None:
    """Makes a run folder of one suite."""
    seeds = count // (METHODS * len(RATIOS) * len(TASKS))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    ids = [str(number) for number in range(rows)]
    store, cells = Store(runs), {}
    for method, ratio, task, seed in itertools.product(range(METHODS), RATIOS, TASKS, range(seeds)):
        answers = np.where(rng.random(rows) < 0.8, labels, 1 - labels)
        logits = (
            rng.normal(size=(rows, 2)).astype(np.float32) + 3 * np.eye(2, dtype=np.float32)[answers]
        )
        answers = logits.argmax(axis=1)
        record = one(f"method-{method}", task, ratio, seed, 100 * float((answers == labels).mean()))
        store.put(record, as_table(ids, labels, answers, None, logits))
        cells[record.id] = [f"method-{method}", task, ratio, seed]
    settings = {"epochs": 1, "trials": 0, "precision": "fp32", "max_train_samples": None,
                "batch_size": 32, "dropout": 0.1}  # fmt: skip
    suite = {"name": "many", "model": "m", "weights": "0" * 16, "axis": "weights", "protocol": "p",
             "settings": settings, "data": dict.fromkeys(TASKS, "f" * 16), "workers": 1,
             "commands": ["bench run"], "cells": cells}  # fmt: skip
    write_json(runs / "suites" / "many.json", suite)


def one(method: str, task: str, ratio: float, seed: int, score: float) -> Record:
    """A record as a run writes it."""
    sizes: Any = {
        axis: {"dense": 1000 * ratio, "actual": 1000, "ratio": ratio}
        for axis in ("weights", "params", "flops", "flops_task", "bytes")
    }
    cell = {"method": method, "task": task, "axis": "weights", "ratio": ratio, "seed": seed,
            "model": "m", "protocol": "p"}  # fmt: skip
    facts = {
        "kind": "unstructured",
        "control": False,
        "starts_from": "pretrained",
        "teacher": "none",
        "version": 1,
    }
    data = {"source": "made up", "fingerprint": "f" * 16, "train": 800, "train_available": 800,
            "fit": 700, "tune": 100, "report": 400, "skipped_rows": 0, "notes": [],
            "cut_to_fit": {"pieces": 64, "train": 0, "report": 0}, "median_length": 20}  # fmt: skip
    machine = {"python": "3.11", "packages": {"torch": "2"}, "processor": "p", "device": "cpu",
               "vector_extensions": ["avx2"], "threads": 1, "precision": "fp32"}  # fmt: skip
    cost = {"train_flops": 1e12, "parts": {"training": 1e12}, "wall_s": 1.0, "steps": 9}
    return Record(id=short_hash([method, task, ratio, seed]), status="ok", cell=cell, method=facts,
                  params={"learning_rate": 1e-4}, tuning={"parameters": "default", "trials": 0},
                  score=score, scores={"accuracy": score}, footprint=sizes, cost=cost, data=data,
                  environment=machine)  # fmt: skip


if __name__ == "__main__":
    main()
