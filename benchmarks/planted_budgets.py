"""Prints how well break-even budgets are found where the curve of each option is known.

`python benchmarks/planted_budgets.py [--draws 2000] [--workers 2]`. Tables of two options at
several budgets are drawn from planted learning curves (`tests/planted_options.py`). Counted is how
often the budgets at which the two are not told apart hold the true break-even budget, how often a
break-even budget is found at all, and how often its own interval holds the true one.
"""

from __future__ import annotations

import argparse
import functools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from planted_options import PLANTED, counted


def main() -> None:
    """Draws, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with ProcessPoolExecutor(asked.workers) as pool:
        found = list(pool.map(functools.partial(counted, draws=asked.draws), PLANTED))
    heads = ["truth", "seeds", "budgets", "break-even", "held, %", "one is found, %", "several, %",
             "held by a found one's interval, %", "verdict turned round, %"]  # fmt: skip
    rows = []
    for planted, counts in zip(PLANTED, found, strict=True):
        truths = planted.truths

        def share(name: str, of: str = "draws", counts: dict[str, int] = counts) -> str:
            return f"{100 * counts[name] / counts[of]:.1f}" if counts[of] else "–"

        rows.append([
            planted.name, planted.seeds, len(planted.budgets),
            ", ".join(f"{truth:.0f}" for truth in truths) or "none",
            share("held") if truths else "–", share("found"), share("several"),
            share("around", "found") if truths else "–", share("wrong"),
        ])  # fmt: skip
    print(f"{asked.draws} tables a row\n")
    print(tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True))
    true = [counts for planted, counts in zip(PLANTED, found, strict=True) if planted.truths]
    held, draws = sum(c["held"] for c in true), sum(c["draws"] for c in true)
    print(f"\nAll {draws} tables that have a break-even: held by {100 * held / draws:.2f} %")


if __name__ == "__main__":
    main()
