"""Whether the demo puts the methods in the order that it should: all of them at 4×, five seeds.

    python benchmarks/demo_order.py [--runs DIR] [--seeds 5]

Prints a row a method: its average over the demo's tasks, and by paired t-tests over the seeds
(one-sided, Holm-corrected over the methods) whether it is above the random mask, and whether it is
above dense. Wanted: every unstructured method above the random mask, tinybert not below
small-dense, nothing above dense but what trains twice as long (one-shot methods and obert).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from scipy import stats

from bench import registry
from bench.cli.main import main as bench
from bench.leaderboard.statistics import holm
from bench.results.store import Store

LEVEL = 0.05


def averages(runs: Path, ratio: float) -> dict[str, list[float]]:
    """Average over the tasks of each method, one a seed; references stand at every ratio."""
    scores: dict[str, dict[int, list[float]]] = {}
    for record in Store(runs).records():
        if record.status == "ok" and record.cell["ratio"] in (1, ratio):
            by_seed = scores.setdefault(record.cell["method"], {})
            by_seed.setdefault(record.cell["seed"], []).append(record.score or 0.0)
    return {name: [statistics.fmean(by_seed[seed]) for seed in sorted(by_seed)]
            for name, by_seed in scores.items()}  # fmt: skip


def above(found: dict[str, list[float]], base: str) -> dict[str, float]:
    """Holm-corrected p of each method's being above `base`."""
    tests = {name: float(stats.ttest_rel(values, found[base], alternative="greater").pvalue)
             for name, values in found.items() if name != base}  # fmt: skip
    return dict(zip(tests, holm(list(tests.values())), strict=True))


def main() -> None:
    """Runs the demo and prints the table."""
    parser = argparse.ArgumentParser(description="The order of the methods on the demo.")
    parser.add_argument("--runs", type=Path, help="run folder; default: one that is thrown away")
    parser.add_argument("--seeds", default="5")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = given.runs or Path(folder)
        if bench(["run", "--ratios", "4", "--seeds", given.seeds, "--runs", str(runs)]):
            raise SystemExit("the run failed")
        found = averages(runs, 4.0)
    over_random, over_dense = above(found, "random-mask"), above(found, "dense")
    print(f"\n{'method':<20} {'average':>8}   {'p(> random mask)':>16} {'p(> dense)':>11}")
    for name in sorted(found, key=lambda name: -statistics.fmean(found[name])):
        mean, spread = statistics.fmean(found[name]), statistics.stdev(found[name])
        print(f"{name:<20} {mean:8.1f} ± {spread:4.1f}"
              f" {over_random.get(name, 1):12.4f} {over_dense.get(name, 1):11.4f}")  # fmt: skip
    kinds = {name: registry.methods.get(name).info.kind for name in found}
    missing = [name for name, kind in kinds.items()
               if kind == "unstructured" and name != "random-mask"
               and over_random[name] >= LEVEL]  # fmt: skip
    higher = [name for name, p in over_dense.items() if p < LEVEL]
    distilled = stats.ttest_rel(found["tinybert"], found["small-dense"], alternative="less").pvalue
    print(f"\nnot above the random mask: {', '.join(missing) or 'none'}")
    print(f"above dense: {', '.join(higher) or 'none'}")
    print(f"tinybert below small-dense: {'yes' if distilled < LEVEL else 'no'} (p {distilled:.3f})")


if __name__ == "__main__":
    main()
