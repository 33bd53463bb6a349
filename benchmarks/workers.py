"""Many small cells: two workers of one thread each against one worker with two threads.

    python benchmarks/workers.py [--rounds N]

Each round runs the same 24 cells of the demo twice, each time in a fresh folder and as a command of
its own: once with two workers, once with one. Printed: the ratio of the medians; the share of the
workers' time that was spent outside trainings and evaluations (imports, planning, claiming,
counting, writing), starting included; and whether both gave the same scores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CELLS = (
    "--methods", "random-mask,magnitude,magnitude:scope=global", "--tasks", "demo",
    "--ratios", "4", "--seeds", "2", "--epochs", "12",
)  # fmt: skip
"""With the dense model 24 cells: four methods, three tasks, two seeds."""

WATCH = "BENCH_WATCH"
"""The environment variable that names the folder for a process's seconds of work."""


def watch(folder: Path) -> None:
    """Has this process add up what it spends in trainings and evaluations."""
    import bench.runs.cells.cell_run
    import bench.runs.cells.execute
    import bench.training.reference

    total = 0.0

    def timed(function: Any) -> Any:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal total
            begin = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                total += time.perf_counter() - begin
                (folder / str(os.getpid())).write_text(str(total))

        return run

    bench.runs.cells.cell_run.train = timed(bench.runs.cells.cell_run.train)
    bench.training.reference.train = timed(bench.training.reference.train)
    bench.runs.cells.execute.predict = timed(bench.runs.cells.execute.predict)


if WATCH in os.environ:  # worker processes import this file before they work
    watch(Path(os.environ[WATCH]))


def measure(workers: int) -> tuple[float, float, dict[str, Any]]:
    """Runs the cells; wall time in seconds, share of it outside the work, and the scores."""
    from bench.results.store import Store

    with tempfile.TemporaryDirectory() as folder:
        watched = Path(folder) / "watched"
        watched.mkdir()
        shared = ["--workers", str(workers), "--threads", str(2 // workers)]
        command = [sys.executable, __file__, "--child", *CELLS, *shared, "--runs",
                   str(Path(folder) / "runs")]  # fmt: skip
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                       env=os.environ | {WATCH: str(watched)})  # fmt: skip
        wall = time.perf_counter() - begin
        work = sum(float(path.read_text()) for path in watched.iterdir())
        scores = {r.id: r.score for r in Store(Path(folder) / "runs").records() if r.score}
        cells = [
            r for r in Store(Path(folder) / "runs").records() if r.cell["method"] != "majority"
        ]
        assert len(cells) == 24, len(cells)
    return wall, 1 - work / (workers * wall), scores


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description="Two workers against one with two threads.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[int, list[tuple[float, float, dict[str, Any]]]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, runs in found.items():
            runs.append(measure(workers))
    walls = {workers: statistics.median(run[0] for run in runs) for workers, runs in found.items()}
    for workers, runs in found.items():
        outside = statistics.median(run[1] for run in runs)
        print(f"{workers} worker{'s' * (workers > 1)}: {walls[workers]:.1f} s for 24 cells "
              f"({walls[workers] * workers / 24:.1f} s a cell), {outside:.0%} of it outside "
              "trainings and evaluations")  # fmt: skip
    print(f"two workers are {walls[1] / walls[2]:.2f}× as fast (wanted: 1.7×); medians of "
          f"{rounds} rounds")  # fmt: skip
    one, two = found[1][0][2], found[2][0][2]
    apart = max(abs(one[key] - two[key]) for key in one)
    print(f"largest difference of a score, one thread against two: {apart:.2g} points")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        from bench.cli.main import main as bench_main
        from bench.runs import processes

        processes.PRELOADED.append(Path(__file__).stem)  # after what it watches
        sys.exit(bench_main(["run", *sys.argv[2:]]))
    main()
