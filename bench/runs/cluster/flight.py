"""A cell or trial on its way: claimed here, computed on a node."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Claim, Job
    from bench.runs.cells.context import BoundCell, Context
    from bench.runs.cluster.freight import Arrival, Item
    from bench.runs.cluster.nodes import Node
    from bench.runs.executor import Clock, Listener, Queue


MOST_LOST = 2.0
"""How often a cell may be lost with its worker: the last time counts as its own fault."""

NODE_BLAME = 0.5
"""What the loss of its node counts: where many nodes die, a cell may meet that twice by chance."""


class LostError(BenchError):
    """A worker process or a node died in the middle of a cell."""


@dataclass(eq=False)
class Flight:
    """A cell or trial that a node computes.

    Attributes:
        job: What it is of.
        bound: Its cell.
        claim: Keeps others from it.
        held: What holds the claim.
        node: Where it is.
        stream: Ray's generator of its events.
        items: The files that it reads.
        work: Ray's object of what there is to compute.
        result: What came of it, once it is known.
        arrival: Its files, once they begin to come.
        has_begun: Whether it has told that it was begun.
    """

    job: Job
    bound: BoundCell
    claim: Claim
    held: contextlib.ExitStack
    node: Node
    items: list[Item]
    plugins: list[str]
    work: Any
    stream: Any = None
    result: Any = None
    arrival: Arrival | None = None
    has_begun: bool = False

    @property
    def key(self) -> tuple[Cell, int | None]:
        """What of it is the same when it is begun anew."""
        return self.job.cell, self.claim.assignment.index

    def drop(self) -> None:
        """Lets go of the claim and of what has come."""
        if self.arrival is not None:
            self.arrival.close()
        self.held.close()


class Losses:
    """What was lost with its worker or its node, so that what kills them is found."""

    def __init__(self) -> None:
        self._blames: dict[tuple[Cell, int | None], list[float]] = {}
        self._nodes: dict[Cell, list[str]] = {}

    def add(self, flight: Flight, blame: float) -> int:
        """Takes note of a loss; returns how many there were if they are its own fault, else 0."""
        blames = self._blames.setdefault(flight.key, [])
        blames.append(blame)
        self._nodes.setdefault(flight.job.cell, []).append(flight.node.id)
        return len(blames) if sum(blames) >= MOST_LOST else 0

    def nodes(self, cell: Cell) -> Sequence[str]:
        """Nodes on which a cell was lost."""
        return self._nodes.get(cell, ())

    def forget(self, cell: Cell) -> None:
        """Where a cell was lost does not matter any more: it has come to its end."""
        self._nodes.pop(cell, None)


def blame_of(error: Exception) -> float:
    """What a loss that Ray tells of counts."""
    return NODE_BLAME if type(error).__name__ == "NodeDiedError" else 1.0


@dataclass
class Errand:
    """One call of `ClusterPool.run`: what it was given."""

    context: Context
    listener: Listener
    clock: Clock
    queue: Queue
