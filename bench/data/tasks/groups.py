"""Rows of a challenge set told apart by what some of their columns say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


def with_groups(rows: Dataset, grouped: Callable[[list[str], int], list[str]]) -> Dataset:
    """Rows with their `groups` in the place of their further columns."""
    from datasets import Dataset, Features, Value

    if "extra" not in rows.column_names:
        return rows
    groups = list(map(grouped, rows["extra"][:], rows["label"][:]))
    kept = rows.remove_columns("extra")
    return Dataset.from_dict(
        {**kept[:], "groups": groups},
        features=Features({**kept.features, "groups": [Value("string")]}),
    )
