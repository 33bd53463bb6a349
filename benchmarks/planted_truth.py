"""How well intervals, tests and ranks keep their word, on results whose truth is known.

    python benchmarks/planted_truth.py [--draws 1000]

Prints a row a metric, number of seeds and spread of the methods: how often the 95 % interval of a
mean covers the truth, and how often equal methods are told apart at 5 %: two of them in a table of
their own, any in a table of eight, and there the last from another, uncorrected. In the rows
`unequal` this last one varies six times as much from seed to seed as the others; in the rows
`collapsed` six predict a constant, and the two that do not are compared beside them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

from bench.leaderboard.statistics import mean, pairwise, ranks

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from planted import SEED, collapse, draw, truth

TWO = ["m0", "m7"]
SPREADS = {"equal": [1.0] * 8, "unequal": [1.0] * 7 + [6.0]}


def main() -> None:
    """Draws, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    rows = []
    for metric in SEED:
        for seeds in (2, 3, 5):
            for name, spread in SPREADS.items():
                rows.append([metric, seeds, name, *figures(metric, seeds, spread, draws)])
            equal = SPREADS["equal"]
            rows.append([metric, seeds, "collapsed", *figures(metric, seeds, equal, draws, TWO)])
    heads = ["metric", "seeds", "spread", "interval covers, %", "two told apart, %",
             "any of eight told apart, %", "the last from another, p < 5 %, %"]  # fmt: skip
    print(f"{draws} draws a row\n")
    print(tabulate(rows, headers=heads, tablefmt="pipe", floatfmt=".1f"))


def figures(
    metric: str, seeds: int, spread: list[float], draws: int, alive: list[str] | None = None
) -> list[float]:
    """The four shares, in %; coverage over the methods of the same spread that are alive."""
    rng = np.random.default_rng([seeds, len(metric), len(set(spread))])
    wanted, covered, apart, any_apart, last = truth(metric, 1.0), 0, 0, 0, 0.0
    known = alive or [f"m{number}" for number in range(7)]
    for _ in range(draws):
        samples = draw(rng, metric, [1.0] * 8, seeds, spread)
        if alive:
            samples = collapse(samples, alive)
        estimates = [mean(samples[name]) for name in known]
        covered += sum(abs(e.value - wanted) <= e.half_width for e in estimates if e is not None)
        pairs = pairwise(samples)
        two = pairs if alive else pairwise({name: samples[name] for name in TWO})
        apart += max(ranks(two, TWO).values()) > 1
        any_apart += max(ranks(pairs, alive or samples).values()) > 1
        compared = set(alive or samples)
        own = [
            e.p < 0.05 for pair, e in pairs.items() if "m7" in pair and compared.issuperset(pair)
        ]
        last += sum(own) / len(own)
    shares = (covered / len(known), apart, any_apart, last)
    return [100 * share / draws for share in shares]


if __name__ == "__main__":
    main()
