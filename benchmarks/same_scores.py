"""Whether what is only faster leaves the scores where they were: the demo over five seeds, twice.

    python benchmarks/same_scores.py

Once as it is, and once with the library's own dropout and attention and with living teachers.
Printed: for each method and task the means over the seeds, and the p of a paired t-test.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
from pathlib import Path

from scipy import stats

from bench.cli.main import main as bench_main
from bench.results.store import Store
from bench.runs import launch
from bench.runs.executor import InProcess
from bench.training import loop

CELLS = (
    "--methods", "magnitude,movement,knowledge-aware,tinybert", "--tasks", "demo", "--ratios", "4",
    "--seeds", "5", "--workers", "1",
)  # fmt: skip

Scores = dict[tuple[str, str], list[float]]


def scores(runs: Path, *words: str) -> Scores:
    """Scores by method and task, in the order of seeds."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert bench_main(["run", *CELLS, "--runs", str(runs), *words]) == 0
    found: Scores = {}
    for record in sorted(Store(runs).records(), key=lambda r: r.cell["seed"]):
        if record.cell["method"] != "majority" and record.score is not None:
            found.setdefault((record.cell["method"], record.cell["task"]), []).append(record.score)
    return found


def main() -> None:
    """Prints the comparison."""
    launch.executor_of = lambda suite: InProcess()  # where a part can be put in place
    with tempfile.TemporaryDirectory() as folder:
        ours = scores(Path(folder) / "ours")
        loop.fast_dropout = contextlib.nullcontext  # type: ignore[assignment]
        plain = scores(Path(folder) / "plain", "--teacher-cache-gb", "0")
    smallest = 1.0
    for key, values in ours.items():
        differences = [one - other for one, other in zip(values, plain[key], strict=True)]
        p = float(stats.ttest_1samp(differences, 0).pvalue) if any(differences) else 1.0
        smallest = min(smallest, p)
        print(f"{key[0]:<16} {key[1]:<16} {statistics.fmean(values):5.1f} against "
              f"{statistics.fmean(plain[key]):5.1f}, p = {p:.2f}")  # fmt: skip
    print(f"smallest p of {len(ours)}: {smallest:.3f}, {min(1.0, len(ours) * smallest):.2f} after "
          "Bonferroni")  # fmt: skip


if __name__ == "__main__":
    main()
