"""How long a command takes before it does anything, and how the harness bears large plans.

    python benchmarks/startup.py

Prints the median of seven runs of each command beside that of importing torch and transformers in
the same rounds, which is what a command would pay that imported them; then plans 100,000 cells and
reads a folder of 10,000 records.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.plan import Selection, Variant, plan
from bench.records import Record, Store

ROUNDS = 7
COMMANDS = (["--help"], ["methods"], ["tasks"], ["status", "--runs", "no-such-folder"])
HEAVY = [sys.executable, "-c", "import torch, transformers.models.bert.modeling_bert"]
BENCH = [sys.executable, "-c", "import sys; from bench.cli import main; sys.exit(main())"]


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
    begin = time.perf_counter()
    cells = plan(selection, "hash")
    print(f"{'plan of ' + format(len(cells), ','):<28} {time.perf_counter() - begin:6.3f} s")

    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(Record(id="x", status="ok", cell={}).to_json())
        for number in range(10_000):
            cell = Path(folder) / f"{number:016x}"
            cell.mkdir()
            (cell / "record.json").write_text(text, encoding="utf-8")
        begin = time.perf_counter()
        count = sum(1 for _ in Store(Path(folder)).records())
        print(f"{'reading ' + format(count, ',') + ' records':<28} "
              f"{time.perf_counter() - begin:6.3f} s")  # fmt: skip


if __name__ == "__main__":
    main()
