"""Training rows that are report rows, and rows that hang together by a text, as a table.

python benchmarks/overlap.py --data-dir GLUE_DIR [--tasks cola,mrpc]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import registry
from bench.data.equal_texts import normalised
from bench.data.splits import TUNE_SALT, connected, cut_tune, find_twins, row_hash
from bench.data.task import Source, checked_rows
from bench.data.texts import texts_of_rows
from bench.leaderboard.markdown import pipe

TASKS = "cola,sst2,mrpc,stsb,rte,wnli"
HEADS = ["task", "rows to train on", "report rows", "rows to train on that are report rows",
         "of these to the letter", "largest group of rows that hang together", "tune rows",
         "of these that share a text with fit rows", "the same, cut row by row"]  # fmt: skip


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", default=TASKS)
    given = parser.parse_args()
    rows = [_row(name, given.data_dir) for name in given.tasks.split(",")]
    print(pipe(HEADS, rows))


def _row(name: str, data_dir: Path) -> list[str]:
    splits = checked_rows(registry.task(name), Source(data_dir=data_dir))
    train, report = texts_of_rows(splits.train), texts_of_rows(splits.dev)
    twins = find_twins(train, report)
    doubled = set(twins.rows)
    left = [texts for number, texts in enumerate(train) if number not in doubled]
    groups = Counter(connected([[normalised(text) for text in texts] for texts in left]))
    cut = cut_tune(left)
    figures = [len(train), len(report), len(twins.rows), twins.exact, max(groups.values()),
               len(cut.tune), cut.shared, _shared_row_by_row(left, len(cut.tune))]  # fmt: skip
    return [name, *(f"{figure:,}" for figure in figures)]


def _shared_row_by_row(rows: Sequence[tuple[str, ...]], count: int) -> int:
    """How many of so many rows, drawn one by one, share a text with one of the others."""
    order = sorted(range(len(rows)), key=lambda number: row_hash(rows[number], TUNE_SALT))
    plain = [{normalised(text) for text in rows[number]} for number in order]
    known = set().union(*plain[count:])
    return sum(not texts.isdisjoint(known) for texts in plain[:count])


if __name__ == "__main__":
    main()
