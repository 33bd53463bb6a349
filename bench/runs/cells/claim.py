"""A cell or a trial, run if nobody else is at it.

A cell is claimed by a lock that the process which runs it holds, so that several runs may share a
folder and a killed one leaves nothing behind but the cell to be done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.results.store import Store
from bench.runs.cells.cell import ALWAYS, reference_cell

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context


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
    from bench.runs.cells.execute import execute_trial
    from bench.runs.cells.tuning import tuned

    begin = time.monotonic()
    if tuned(cell, context) is None:
        started()
        if not execute_trial(cell, context, progress) and tuned(cell, context) is None:
            return None
    return time.monotonic() - begin
