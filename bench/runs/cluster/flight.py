"""A cell or trial on its way: claimed here, computed on a node."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Claim, Job
    from bench.runs.cells.context import Context
    from bench.runs.cluster.freight import Arrival, Item
    from bench.runs.cluster.nodes import Node
    from bench.runs.executor import Clock, Listener, Queue


class LostError(BenchError):
    """A worker process or a node died in the middle of a cell."""


@dataclass(eq=False)
class Flight:
    """A cell or trial that a node computes.

    Attributes:
        job: What it is of.
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


@dataclass
class Errand:
    """One call of `ClusterPool.run`: what it was given, and what it has last said of nodes."""

    context: Context
    listener: Listener
    clock: Clock
    queue: Queue
    described: list[dict[str, Any]] = field(default_factory=list)


def how_it_died(error: Exception) -> str:
    """How Ray says that something died."""
    text = first_line(error)
    name = type(error).__name__
    return {
        "WorkerCrashedError": "its worker process died",
        "OutOfMemoryError": "its worker process was ended, since memory was out",
        "NodeDiedError": "it was lost",
    }.get(name, f"{name}: {text}")
