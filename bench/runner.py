"""Cells to records: in this process, or in those of a pool (`bench.pool`).

A cell is claimed by a lock that the process which runs it holds, so that several runs may share a
folder and a killed one leaves nothing behind but the cell to be done again.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from bench.errors import BenchError
from bench.plan import ALWAYS, reference_cell
from bench.results.record import Record
from bench.results.store import Store

if TYPE_CHECKING:
    from bench.lending import Context
    from bench.plan import Cell
    from bench.pool import Pool

Rerun = Literal["never", "failed", "missed", "all"]

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


class StorageError(BenchError):
    """The run folder cannot be written any more."""


@dataclass(frozen=True)
class Job:
    """A cell to be run, or one more trial of its study.

    Attributes:
        cell: The cell; that of the study, where it is a trial.
        trial: Whether it is a trial.
        replaces: The `created` of the record that it is to replace, if any.
    """

    cell: Cell
    trial: bool = False
    replaces: str | None = None


def select(cells: Sequence[Cell], context: Context, rerun: Rerun) -> tuple[list[Job], int]:
    """Splits a plan into what is to be run and the number of cells that are done.

    What has no record comes first, then what is to be replaced, the oldest record first.

    Trials precede the cells that they are for. The dense models' come first, since whatever learns
    from one waits for them; then, for each task and ratio, the first trial of every method, the
    second of every method and so on, so that several workers are rarely at the same study and each
    of its trials knows the ones before.

    Args:
        cells: The plan.
        context: Gives the folder and the cells' ids.
        rerun: Which records are to be replaced: none, failed ones, failed and missed ones, or all.
    """
    again = {
        "never": (),
        "failed": ("failed",),
        "missed": ("failed", "missed"),
        "all": ("ok", "failed", "missed", "unreachable"),
    }[rerun]
    store = Store(context.runs)
    found = [(cell, store.get(context.cell_id(cell))) for cell in cells]
    todo = [
        Job(cell, replaces=None if record is None else record.created)
        for cell, record in found
        if record is None or record.status in again
    ]
    todo.sort(key=lambda job: job.replaces or "")  # a rerun that ended early goes on with the rest
    return _with_trials(todo, context), len(cells) - len(todo)


def _with_trials(todo: list[Job], context: Context) -> list[Job]:
    """Puts the trials that are yet to be made before the cells."""
    if not context.protocol.trials:
        return todo
    from bench.tuning import Study

    cells = [job.cell for job in todo]
    left: dict[tuple[str, float], dict[Cell, int]] = {}
    for cell in [*map(reference_cell, cells), *cells]:
        study = Study(cell, context)
        missing = study.trials - len(study.summary()["trials"]) if study.space else 0
        left.setdefault((cell.task, cell.ratio), {})[study.cell] = missing

    def trials(task: str, ratio: float) -> Iterator[Job]:
        studies = left.pop((task, ratio), {})
        for number in range(context.protocol.trials):
            yield from (Job(c, trial=True) for c, missing in studies.items() if missing > number)

    jobs = [job for task in dict.fromkeys(c.task for c in cells) for job in trials(task, 1.0)]
    for job in todo:
        jobs += [*trials(job.cell.task, job.cell.ratio), job]
    return jobs


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


def attempt(
    job: Job,
    context: Context,
    started: Callable[[], None],
    progress: Callable[[int, int], None],
) -> Record | float | None:
    """Runs a cell or a trial if nobody else does.

    Args:
        job: The cell.
        context: What the cells share.
        started: Called once the cell is claimed and about to run.
        progress: Called with steps made and steps in all.

    Returns:
        Its record, which another process may have written meanwhile, or for a trial the seconds
        that it took; `None` if it has to wait for what other processes are at.

    Raises:
        StorageError: The run folder cannot be written; nothing else would fare better there.
    """
    from filelock import Timeout

    from bench.execution import execute
    from bench.files import is_storage_error
    from bench.tuning import tuned

    store = Store(context.runs)
    cell_id = context.cell_id(job.cell)
    try:
        if job.cell.method != ALWAYS and tuned(reference_cell(job.cell), context) is None:
            return None
        if job.trial:
            return _attempt_trial(job.cell, context, started, progress)
        if tuned(job.cell, context) is None:
            return None
        with store.lock(cell_id).acquire(timeout=0):
            found = store.get(cell_id)
            if found is not None and found.created != job.replaces:
                return found
            started()
            return execute(job.cell, context, progress)
    except Timeout:
        return None
    except Exception as error:
        if is_storage_error(error):
            raise StorageError(f"{context.runs} cannot be written: {error}") from error
        raise


def _attempt_trial(
    cell: Cell,
    context: Context,
    started: Callable[[], None],
    progress: Callable[[int, int], None],
) -> float | None:
    from bench.execution import execute_trial
    from bench.tuning import tuned

    begin = time.monotonic()
    if tuned(cell, context) is None:
        started()
        if not execute_trial(cell, context, progress) and tuned(cell, context) is None:
            return None
    return time.monotonic() - begin


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
