"""A cell or a trial, run if nobody else is at it.

A cell is claimed by a lock that the process which runs it holds, so that several runs may share a
folder and a killed one leaves nothing behind but the cell to be done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BenchError, first_line
from bench.results.record import is_dense
from bench.results.store import Store

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import BoundCell, Context
    from bench.runs.cells.tuning import Tuned


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

    from bench.files import is_storage_error
    from bench.runs.cells.execute import execute
    from bench.runs.cells.tuning import tuned

    store, bound = Store(context.runs), context.bind(job.cell)
    try:
        dense = is_dense(job.cell.method)
        reference = None if dense else tuned(bound.reference())
        if not dense and reference is None:
            return None
        if job.trial:
            return _attempt_trial(bound, reference, started, progress)
        if (found := tuned(bound)) is None:
            return None
        with store.lock(bound.id).acquire(timeout=0):
            record = store.whole(bound.id)
            if record is not None and record.created != job.replaces:
                return record
            started()
            return execute(bound, found, reference or found, progress)
    except Timeout:
        return None
    except Exception as error:
        if is_storage_error(error, context.runs):
            raise StorageError(f"{context.runs} cannot be written: {first_line(error)}") from error
        raise


def _attempt_trial(
    bound: BoundCell,
    reference: Tuned | None,
    started: Callable[[], None],
    progress: Callable[[int, int], None],
) -> float | None:
    from bench.runs.cells.execute import execute_trial
    from bench.runs.cells.tuning import tuned

    begin = time.monotonic()
    if tuned(bound) is None:
        started()
        if not execute_trial(bound, reference, progress) and tuned(bound) is None:
            return None
    return time.monotonic() - begin
