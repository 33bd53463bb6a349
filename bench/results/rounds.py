"""What a run folder says of an arena's closed rounds: a folder a round, which never changes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.errors import BenchError
from bench.files import read_checked
from bench.schema import Count, Figure, Id, Name

ARENA, ROUNDS = "arena", "rounds"
"""What a run folder calls the arena's folder, and that one the folder of its closed rounds."""

FIGURES = "figures.json"
"""What a closed round came to."""


class Share(Struct, kw_only=True):
    """So many of all, with an interval at 95 %."""

    count: Count
    of: Count
    share: Figure | None
    interval: tuple[Figure, Figure] | None


class Rates(Struct, kw_only=True):
    """How often a model was fooled: by all examples, and by validated ones."""

    mer: Share
    vmer: Share


class Model(Rates, kw_only=True):
    """What a model came to."""

    id: Id
    name: str
    dense: Id | None
    lost: Share | None
    accuracy: Share
    milliseconds: Figure | None
    megabytes: Figure | None
    dynascore: Figure | None


class Author(Struct, kw_only=True):
    """What somebody wrote, under a pseudonym."""

    author: str
    written: Count
    median_seconds: Figure | None
    models: dict[Id, Rates]


class Round(Struct, kw_only=True):
    """What a round came to."""

    name: Name
    task: Name
    closed: str
    votes: Count
    agreeing: Count
    written: Count
    validated: Count
    rejected: Count
    waiting: Count
    agreement: Figure | None
    median_seconds: Figure | None
    models: list[Model]
    authors: list[Author]

    def __post_init__(self) -> None:
        """Every author has rates of models that played, and of all that were compressed."""
        wanted = {model.id for model in self.models if model.dense is not None}
        if any(author.models.keys() != wanted for author in self.authors):
            raise ValueError("an author has no rates of a model, or of one that did not play")


def read_rounds(runs: Path, cells: Collection[str]) -> list[dict[str, Any]]:
    """What closed rounds came to in which one of some cells has played, the first one first.

    Args:
        runs: A folder, which need not have an arena.
        cells: Ids of cells.

    Raises:
        BenchError: A file cannot be read, or is none of a round.
    """
    found = []
    for path in sorted((runs / ARENA / ROUNDS).glob(f"*/{FIGURES}")):
        try:
            held = read_checked(path, Round)
        except BenchError as error:
            raise BenchError(f"{path}: {error}.") from None
        if any(model["id"] in cells for model in held["models"]):
            found.append(held)
    return sorted(found, key=lambda held: (held["closed"], held["name"]))
