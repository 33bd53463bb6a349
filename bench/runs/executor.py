"""Who runs jobs, and who is told how it goes on."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bench.results.record import Record
from bench.runs.cells.claim import attempt

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import Context
    from bench.runs.processes import Pool


POLL_S = 1.0
"""How often cells that another process has claimed are looked at again."""


class Listener(Protocol):
    """Who is told how the run goes on."""

    def started(self, cell: Cell) -> None:
        """A cell has begun."""

    def progressed(self, cell: Cell, step: int, total: int) -> None:
        """A training of the cell has made `step` of `total` steps."""

    def ended(self, cell: Cell, record: Record) -> None:
        """A cell has a record, made by this run or by another process meanwhile."""

    def tried(self, cell: Cell) -> None:
        """A trial of the cell's study has ended, or another process has made the last of them."""


def run(
    todo: Sequence[Job],
    context: Context,
    listener: Listener,
    *,
    pool: Pool | None = None,
    max_hours: float | None = None,
) -> int:
    """Runs cells, waiting for those that another process has claimed.

    Args:
        todo: What to run, in order.
        context: What the cells share.
        listener: Told of every event.
        pool: Worker processes; without them the cells run in this process.
        max_hours: No cell is begun that would likely end later than this.

    Returns:
        Cells that were left because of `max_hours`.

    Raises:
        StorageError: The run folder cannot be written.
        KeyboardInterrupt: The run was interrupted; finished cells are kept.
    """
    clock = Clock(max_hours)
    if pool is None:
        return _run_here(deque(todo), context, listener, clock)
    return pool.run(deque(todo), context, listener, clock)


class Clock:
    """Whether there is time for one more cell, given how long they took so far."""

    def __init__(self, max_hours: float | None) -> None:
        self._begin = time.monotonic()
        self._limit = float("inf") if max_hours is None else max_hours * 3600
        self._longest = 0.0

    def has_time(self) -> bool:
        """Whether a cell as long as the longest so far would end in time."""
        return time.monotonic() - self._begin + self._longest < self._limit

    def ended(self, result: Record | float) -> None:
        """Takes note of how long a cell or a trial took."""
        took = result.cost.get("wall_s", 0.0) if isinstance(result, Record) else result
        self._longest = max(self._longest, took)


def _run_here(todo: deque[Job], context: Context, listener: Listener, clock: Clock) -> int:
    import torch

    torch.set_num_threads(context.threads)
    busy = 0
    while todo and clock.has_time():
        job = todo.popleft()
        started = functools.partial(listener.started, job.cell)
        progress = functools.partial(listener.progressed, job.cell)
        record = attempt(job, context, started, progress)
        if record is None:
            todo.append(job)
            busy += 1
            if busy >= len(todo):
                time.sleep(POLL_S)
            continue
        busy = 0
        clock.ended(record)
        tell_end(job.cell, record, listener)
    return len(todo)


def tell_end(cell: Cell, result: Record | float, listener: Listener) -> None:
    """Tells of a cell by its record, or of a trial by its seconds."""
    if isinstance(result, Record):
        listener.ended(cell, result)
    else:
        listener.tried(cell)
