"""How well intervals and tests keep their word, on results whose truth is known.

    python benchmarks/planted_truth.py [--draws 2000] [--workers 2]

Draws tables of methods that are equal in truth, and prints a row a kind of table: how often any two
of its methods are told apart on the average over tasks (5 %, after Holm's correction), and with
p < 0.001; and how many intervals of a mean cover the truth. Where seeds fall into two groups, also
the same of the means of which both groups were drawn: of the others, whose seeds are all alike by
luck, no interval can know.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from tabulate import tabulate

from bench.leaderboard.statistics import Pairs, average_pairs, holm, mean, pairwise

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from planted import SEED, Planted, Smooth, TwoGroups, expected

GROUPS = [  # methods, seeds, tasks, share that learns, points apart, constant methods
    (2, 3, 1, 0.5, 30, 0), (2, 5, 1, 0.5, 30, 0), (2, 10, 1, 0.5, 30, 0), (2, 5, 1, 0.9, 60, 0),
    (4, 5, 1, 0.1, 60, 0), (8, 5, 1, 0.3, 15, 0), (12, 5, 1, 0.7, 40, 2), (4, 3, 2, 0.5, 60, 0),
    (8, 3, 4, 0.7, 30, 0), (12, 3, 4, 0.3, 60, 3), (8, 3, 6, 0.9, 20, 0), (4, 3, 4, 0.1, 40, 1),
    (8, 5, 2, 0.5, 5, 0), (8, 5, 2, 0.1, 30, 2), (4, 5, 2, 0.9, 10, 0), (2, 5, 2, 0.7, 60, 0),
    (8, 5, 4, 0.5, 30, 0), (8, 5, 4, 0.9, 60, 0), (12, 5, 4, 0.3, 20, 4), (4, 5, 4, 0.1, 5, 0),
    (2, 5, 4, 0.5, 60, 0), (8, 5, 6, 0.7, 40, 0), (12, 5, 6, 0.1, 60, 0), (4, 5, 6, 0.3, 10, 1),
    (4, 10, 2, 0.9, 30, 0), (8, 10, 2, 0.3, 60, 2), (8, 10, 4, 0.5, 15, 0), (4, 10, 6, 0.7, 5, 0),
]  # fmt: skip
SMOOTH = [  # methods, seeds, tasks, constant methods
    (2, 3, 1, 0), (8, 3, 1, 0), (8, 3, 4, 2), (2, 5, 1, 0), (8, 5, 1, 6), (8, 5, 4, 0),
    (12, 5, 6, 3), (4, 10, 2, 0),
]  # fmt: skip


def settings() -> Iterator[Planted]:
    """All kinds of tables."""
    for methods, seeds, tasks, learns, gap, constant in GROUPS:
        metric = list(SEED)[(methods + tasks) % 3]
        low = 10.0 if metric == "matthews" else 30.0
        groups = TwoGroups(learns, gap, low, metric)
        # Of several tasks the last is smooth: tasks differ in kind.
        rest = (Smooth(),) if tasks > 2 else ()
        yield Planted((groups,) * (tasks - len(rest)) + rest, methods, seeds, constant)
    for number, (methods, seeds, tasks, constant) in enumerate(SMOOTH):
        for last in (1.0, 6.0):
            metrics = [list(SEED)[(number + task) % 3] for task in range(tasks)]
            kinds = tuple(Smooth(metric, last) for metric in metrics)
            yield Planted(kinds, methods, seeds, constant)


def main() -> None:
    """Draws, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    planted = list(settings())
    with ProcessPoolExecutor(asked.workers) as pool:
        found = list(pool.map(functools.partial(figures, draws=asked.draws), planted))
    heads = ["truth", "methods (constant)", "seeds", "tasks", "any told apart, %", "p < 0.001, %",
             "intervals cover, %", "both groups drawn, %", "of these cover, %"]  # fmt: skip
    rows = [
        [str(p.tasks[0]), f"{p.methods} ({p.constant})", p.seeds, len(p.tasks), *shown(counts)]
        for p, counts in zip(planted, found, strict=True)
    ]
    print(f"{asked.draws} draws a row\n")
    print(tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True))
    for kind, name in ((TwoGroups, "two groups"), (Smooth, "smooth")):
        counts = [c for p, c in zip(planted, found, strict=True) if isinstance(p.tasks[0], kind)]
        apart, tail = sum(c["apart"] for c in counts), sum(c["tail"] for c in counts)
        drawn = asked.draws * len(counts)
        print(f"\nAll {drawn} tables, {name}: {100 * apart / drawn:.2f} % with any told apart, "
              f"{100 * tail / drawn:.3f} % with p < 0.001")  # fmt: skip


def figures(planted: Planted, draws: int) -> dict[str, int]:
    """What is counted over so many tables."""
    rng = np.random.default_rng([planted.seeds, planted.methods, len(planted.tasks), draws])
    names = ("draws", "apart", "tail", "means", "cover", "both", "both cover")
    counts = dict.fromkeys(names, 0)
    counts["draws"] = draws
    wanted = [expected(task) for task in planted.tasks]
    for _ in range(draws):
        tables, learnt = planted.draw(rng)
        p = smallest_p(average_pairs([pairwise(samples) for samples in tables]), planted.compared)
        counts["apart"] += p < 0.05
        counts["tail"] += p < 0.001
        for samples, learns, task, value in zip(tables, learnt, planted.tasks, wanted, strict=True):
            others = planted.compared[: -1 if isinstance(task, Smooth) and task.last != 1 else None]
            for name in others:
                found = mean(samples[name])
                assert found is not None
                covers = abs(found.value - value) <= found.half_width
                both = 0 < learns[int(name[1:])].sum() < planted.seeds
                counts["means"] += 1
                counts["cover"] += covers
                counts["both"] += both
                counts["both cover"] += both and covers
    return counts


def smallest_p(pairs: Pairs, compared: list[str]) -> float:
    """The smallest p of a table after Holm's correction.

    What Student's t lets through is permuted alone: the rest can be no smaller for it.
    """
    family = [d for pair, d in pairs.items() if set(compared).issuperset(pair)]
    return min(holm([d.p if d.p_examples < 0.05 else d.p_examples for d in family]))


def shown(counts: dict[str, int]) -> list[str]:
    """The shares of a row."""
    of = (("apart", "draws"), ("tail", "draws"), ("cover", "means"), ("both", "means"),
          ("both cover", "both"))  # fmt: skip
    return [
        f"{100 * counts[a] / counts[b]:.{2 if a == 'tail' else 1}f}" if counts[b] else "–"
        for a, b in of
    ]


if __name__ == "__main__":
    main()
