"""Who runs jobs, and who is told how it goes on; the executor of this process."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from bench.results.record import Record
from bench.runs.cells.claim import Job, attempt

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context


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

    def note(self, notice: str) -> None:
        """Something that the user should know."""


class Executor(Protocol):
    """Runs jobs, wherever that is."""

    def run(self, todo: Sequence[Job], context: Context, listener: Listener, clock: Clock) -> int:
        """Runs jobs, once, waiting for those that another process has claimed.

        Args:
            todo: What to run, in order.
            context: What the cells share.
            listener: Told of every event.
            clock: Says whether there is time for one more.

        Returns:
            Jobs that were left because there was no more time.

        Raises:
            StorageError: The run folder cannot be written.
            KeyboardInterrupt: The run was interrupted; finished cells are kept.
        """

    def close(self) -> None:
        """Ends what still runs: what is stored is whole at any time."""


class Clock:
    """Whether there is time for one more cell, given how long they took so far.

    Args:
        max_hours: No cell is begun that would likely end later than this; `None` sets no limit.
    """

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


class Queue:
    """Jobs in their order, and those of them that wait for what others are at.

    Args:
        jobs: The jobs.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._waiting, self._busy = deque(jobs), deque[Job]()
        self._held: dict[Hashable, list[Job]] = {}
        self._retry_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy) + sum(map(len, self._held.values()))

    def take(self) -> Job | None:
        """The next job; `None` where there is none at the moment."""
        if self._busy and time.monotonic() >= self._retry_at:
            self._waiting.extendleft(reversed(self._busy))
            self._busy.clear()
        return self._waiting.popleft() if self._waiting else None

    def put_off(self, job: Job, until: Hashable | None = None) -> None:
        """Takes a job back that cannot begin yet.

        Args:
            job: The job.
            until: What it waits for, if that will be told to `release`; else it is looked at again
                in a while.
        """
        if until is not None:
            self._held.setdefault(until, []).append(job)
            return
        if not self._busy:
            self._retry_at = time.monotonic() + POLL_S
        self._busy.append(job)

    def put_back(self, job: Job) -> None:
        """Takes a job back that comes next."""
        self._waiting.appendleft(job)

    def release(self, what: Hashable) -> None:
        """Lets the jobs come next that waited for something."""
        self._waiting.extendleft(reversed(self._held.pop(what, [])))


class InProcess:
    """Runs jobs in this process, one by one: for tests, which look into it or put parts in place.

    What a method does to its process, it does to this one.
    """

    def run(self, todo: Sequence[Job], context: Context, listener: Listener, clock: Clock) -> int:
        """Runs jobs, once; see `Executor.run`."""
        from bench.machine import limited_threads

        with limited_threads(context.threads):
            return self._run(todo, context, listener, clock)

    def _run(self, todo: Sequence[Job], context: Context, listener: Listener, clock: Clock) -> int:
        waiting, busy = deque(todo), 0
        while waiting and clock.has_time():
            job = waiting.popleft()
            started = functools.partial(listener.started, job.cell)
            progress = functools.partial(listener.progressed, job.cell)
            result = attempt(job, context, started, progress)
            if result is None:
                waiting.append(job)
                busy += 1
                if busy >= len(waiting):
                    time.sleep(POLL_S)
                continue
            busy = 0
            clock.ended(result)
            tell_end(job.cell, result, listener)
        return len(waiting)

    def close(self) -> None:
        """Nothing runs any more."""


def tell_end(cell: Cell, result: Record | float, listener: Listener) -> None:
    """Tells of a cell by its record, or of a trial by its seconds."""
    if isinstance(result, Record):
        listener.ended(cell, result)
    else:
        listener.tried(cell)
