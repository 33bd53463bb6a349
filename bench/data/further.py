"""Rows that are learnt beside a task's own: of another domain, or of an arena's closed rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.revisions import pinned
from bench.data.splits import find_twins
from bench.data.task import checked_rows
from bench.data.texts import texts_of_rows
from bench.errors import BenchError

if TYPE_CHECKING:
    from datasets import Dataset

    from bench.data.task import Challenge, Source, Splits, Task
    from bench.protocol import Overlap

Rounds = Mapping[str, "Challenge"]
"""Closed rounds of an arena, by name."""


class Added(NamedTuple):
    """A task's rows and, behind them, what is learnt of closed rounds.

    Attributes:
        rows: All of them.
        ties: Numbers of an example and of the row that it was made from, where that is there.
        facts: Of each round, how many examples are learnt, and how many are left out.
    """

    rows: Dataset
    ties: list[tuple[int, int]]
    facts: dict[str, dict[str, int]]


def other_rows(
    other: Task, source: Source, splits: Splits, cache: Path, overlap: Overlap
) -> Dataset:
    """The training rows of a task of another domain, less those that are report rows.

    Raises:
        BenchError: They cannot be read, or are pairs where the task's own are none, or the reverse.
    """
    rows = checked_rows(other, pinned(source, other.name, cache)).train
    if _are_pairs(rows) != _are_pairs(splits.train):
        raise BenchError(f"--adapt-from {other.name}: one of the two tasks has pairs of texts.")
    if overlap == "removed":
        twins = find_twins(texts_of_rows(rows), texts_of_rows(splits.dev)).rows
        rows = without_rows(rows, twins)
    return rows.remove_columns([name for name in rows.column_names if name == "part"])


def check_rounds(rounds: Rounds, task: Task, splits: Splits) -> None:
    """Refuses examples that were written on other rows than the task's.

    Raises:
        BenchError: They are pairs where its rows are none, or the reverse; or one has the id of a
            row, or was made from a row, that the task does not have.
    """
    known = set(splits.train["id"][:])
    for name, found in rounds.items():
        if _are_pairs(found.rows) != _are_pairs(splits.train):
            raise BenchError(
                f"--train-with {name}: it or {task.name}, but not both, has pairs of texts."
            )
        if strange := {row for row in found.stems if row} - known:
            raise BenchError(
                f"--train-with {name}: an example was made from row {min(strange)}, which "
                f"{task.name} does not have here. It was written on other data."
            )
        if taken := known.intersection(found.rows["id"][:]):
            raise BenchError(f"--train-with {name}: id {min(taken)} is one of another row, too.")
        known.update(found.rows["id"][:])


def add_rounds(rows: Dataset, rounds: Rounds, splits: Splits, twins: Sequence[int] = ()) -> Added:
    """Puts examples of closed rounds behind a task's training rows.

    Those that nearly equal a report row, as `find_twins` tells it, are left out, and so are those
    that were made from a training row that does.

    Args:
        rows: The training rows that are used.
        rounds: The rounds.
        splits: All of the task's rows.
        twins: Numbers of all training rows that are report rows.
    """
    report, shut = texts_of_rows(splits.dev), set(splits.train.select(list(twins))["id"][:])
    numbers = {row: number for number, row in enumerate(rows["id"][:])}
    ties: list[tuple[int, int]] = []
    facts: dict[str, dict[str, int]] = {}
    for name, found in rounds.items():
        near = set(find_twins(texts_of_rows(found.rows), report).rows)
        stem = {number for number, row in enumerate(found.stems) if row in shut} - near
        learnt = [number for number in range(len(found.rows)) if number not in near | stem]
        ties += [
            (len(rows) + place, numbers[found.stems[number]])
            for place, number in enumerate(learnt)
            if found.stems and found.stems[number] in numbers
        ]
        rows = with_rows(rows, found.rows.select(learnt))
        facts[name] = {"rows": len(learnt), "near": len(near), "stem": len(stem)}
    return Added(rows, ties, facts)


def without_rows(rows: Dataset, numbers: Sequence[int]) -> Dataset:
    """All rows but those of some numbers."""
    return rows.select(np.setdiff1d(np.arange(len(rows)), numbers).tolist())


def with_rows(rows: Dataset, more: Dataset) -> Dataset:
    """Rows, and more of the same task behind them."""
    from datasets import Dataset, concatenate_datasets

    names = [name for name in ("id", "text", "text_pair", "label") if name in rows.column_names]
    rows = rows.select_columns(names)
    columns = {name: more[name][:] for name in names}
    return concatenate_datasets([rows, Dataset.from_dict(columns, features=rows.features)])


def _are_pairs(rows: Dataset) -> bool:
    return "text_pair" in rows.column_names
