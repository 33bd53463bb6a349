"""How long a command takes before it does anything, and how the harness bears large plans.

    python benchmarks/startup.py

Prints the median of seven runs of each command beside that of importing torch and transformers in
the same rounds, which is what a command would pay that imported them; then plans 100,000 cells,
without torch, and looks at the status of 10,000 records.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench.protocol import Protocol
from bench.results.layout import AXES
from bench.results.record import Record
from bench.results.status import suite_state
from bench.results.store import Store
from bench.runs.cells.cell import Cell, Variant
from bench.runs.plan import Selection, plan
from bench.runs.schedule import select

ROUNDS = 7
COMMANDS = (["--help"], ["methods"], ["tasks"], ["status", "--runs", "."])
HEAVY = [sys.executable, "-c", "import torch, transformers.models.bert.modeling_bert"]
BENCH = [sys.executable, "-c", "import sys; from bench.cli.main import main; sys.exit(main())"]


CELL = {"method": "m", "task": "t", "axis": "weights", "ratio": 4.0, "seed": 0}
NO_TRIALS = Protocol(epochs=1, trials=0, precision="fp32")


@dataclass(frozen=True)
class _Ids:
    """What choosing the cells to run needs of a context: a folder, no trials, and ids."""

    runs: Path
    protocol: Protocol = NO_TRIALS

    def bind(self, cell: Cell) -> SimpleNamespace:
        """A cell of no registered method, for which nothing is searched."""
        bound = SimpleNamespace(
            id=cell.id(version=1, data="data", weights="weights"),
            context=self, searched=False, space={}, trials=0,
        )  # fmt: skip
        bound.trial = lambda: bound
        return bound


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Prints the tables."""
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):  # interleaved, so that a busy moment hits all alike
        for words in COMMANDS:
            times.setdefault(f"bench {words[0]}", []).append(seconds([*BENCH, *words]))
        times.setdefault("import torch, transformers", []).append(seconds(HEAVY))
    heavy = statistics.median(times["import torch, transformers"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<28} {median:6.3f} s   {heavy / median:5.1f}× sooner than the imports")

    selection = Selection(
        variants={Variant(f"method{i}"): False for i in range(100)},
        tasks=[f"task{i}" for i in range(20)],
        ratios=range(2, 12),
        seeds=range(5),
    )
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        cells = plan(selection, "hash")
        todo, _ = select(cells, cast("Any", _Ids(Path(folder))), "never")
        took = time.perf_counter() - begin
        assert "torch" not in sys.modules
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{f'plan of {len(todo):,} cells':<28} {took:6.3f} s, {peak:.0f} MB at most "
              "(wanted: 5 s, 500 MB)")  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        record = Record(
            id="x", status="ok", cell=CELL, score=50.0, cost={"wall_s": 1.0, "train_flops": 1},
            footprint={axis: {"ratio": 4.0} for axis in AXES},
        )  # fmt: skip
        text = json.dumps(record.to_json())
        ids = [f"{number:016x}" for number in range(10_000)]
        for cell_id in ids:
            cell = Path(folder) / cell_id
            cell.mkdir()
            (cell / "record.json").write_text(text, encoding="utf-8")
        suite = {"name": "many", "settings": {"trials": 0}, "workers": 1,
                 "cells": {cell_id: ["m", "t", 4.0, 0] for cell_id in ids}}  # fmt: skip
        begin = time.perf_counter()
        state = suite_state(Store(Path(folder)), suite)
        assert state["ok"] == len(ids)
        print(f"{f'status of {len(ids):,} records':<28} {time.perf_counter() - begin:6.3f} s "
              "(wanted: 2 s)")  # fmt: skip


if __name__ == "__main__":
    main()
