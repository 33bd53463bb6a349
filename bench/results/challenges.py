"""Scores on challenge sets as records of their own, so that they are read as all others are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.results.predictions import challenge_key

if TYPE_CHECKING:
    from bench.results.record import Record

Known = Mapping[str, Mapping[str, str]]
"""The challenge sets of a suite, by task: a fingerprint of the rows by the set's name."""


def column_of(task: str, name: str) -> str:
    """What a task with a challenge set's rows in the place of its own is called."""
    return f"{task}: {name}"


def scored_on(record: Record, known: Known | None = None) -> Iterator[Record]:
    """A record for each challenge set that a cell was scored on.

    Args:
        record: The cell's.
        known: The sets that count, which have to be of the same rows; all where nothing is said.
    """
    task = record.cell["task"]
    for name, found in (record.challenges or {}).items():
        if known is None or known.get(task, {}).get(name) == found["fingerprint"]:
            yield _as_record(record, name, found)


def _as_record(record: Record, name: str, found: Mapping[str, Any]) -> Record:
    """The record of a cell, as if the set's rows had been its report split.

    It says nothing of the dense model's test before: that was of the task's own rows.
    """
    return dataclasses.replace(
        record,
        id=challenge_key(record.id, name),
        cell={**record.cell, "task": column_of(record.cell["task"], name)},
        score=found["score"],
        scores=found["scores"],
        tuning={},
        data={"report": found["rows"], "fingerprint": found["fingerprint"]},
        challenges={name: dict(found)},
    )


def is_target(record: Record) -> bool:
    """Whether the rows were written against the cell, given a record of one set alone."""
    return any(found.get("target") for found in (record.challenges or {}).values())


def groups_of(record: Record) -> dict[str, float]:
    """The score of each group of rows, given a record of one set alone."""
    return {
        group: score
        for found in (record.challenges or {}).values()
        for group, score in found.get("groups", {}).items()
    }
