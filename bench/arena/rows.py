"""Training rows to begin an example with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from bench.data.encoded import Encoded
from bench.data.splits import find_twins
from bench.data.texts import find_prepared, read_texts, report_texts
from bench.errors import BenchError
from bench.files import read_json
from bench.schema import Count

if TYPE_CHECKING:
    from pathlib import Path

MOST = 5000
"""Rows that are lent, drawn by chance: nobody edits more of them."""


@dataclass(frozen=True)
class Row:
    """A training row.

    Attributes:
        id: In the task's own files.
        texts: One, or two of a pair.
        label: Its class.
    """

    id: str
    texts: tuple[str, ...]
    label: int


def training_rows(runs: Path, task: str, fingerprint: str) -> list[Row]:
    """Rows that a task's models were trained on, none of whose texts are a report row's.

    Args:
        runs: The run folder.
        task: The task's name.
        fingerprint: Of its rows, as records have it.

    Raises:
        BenchError: The run folder does not have them any more.
    """
    folder = find_prepared(runs / "data", task, fingerprint)
    described = folder and read_json(folder / "prepared.json", _Described)
    if folder and described:
        return _rows_in(folder, described["facts"])
    raise BenchError(
        f"{runs / 'data'} has no rows of {task} any more, which tell whether it has pairs and lend "
        "texts to edit: run the cells' suite again, which reads them anew."
    )


class _People(Struct):
    """Rows that people wrote in a round of an arena."""

    rows: Count


class _Facts(Struct):
    """What is asked of the facts of rows: how many a training sees, and of which rounds."""

    train: Count
    train_with: dict[str, _People] | UnsetType = UNSET


class _Described(Struct):
    """What is asked of what lies beside rows."""

    facts: _Facts


def _rows_in(folder: Path, facts: dict[str, Any]) -> list[Row]:
    rounds = facts.get("train_with", {}).values()
    rows = Encoded.load(folder / "train.parquet")
    numbers = np.arange(len(rows))
    own = numbers if rows.sources is None else numbers[rows.sources == numbers]
    own = own[own < facts["train"] - sum(one["rows"] for one in rounds)]  # people's come last
    drawn = np.random.default_rng(0).permutation(own)[:MOST]
    texts = read_texts(folder, "train", [rows.ids[number] for number in drawn])
    twins = set(find_twins(texts, report_texts(folder)).rows)
    return [
        Row(rows.ids[number], tuple(texts[place]), int(rows.labels[number]))
        for place, number in enumerate(drawn)
        if place not in twins
    ]
