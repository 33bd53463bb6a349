"""A cell or a trial, claimed and computed if nobody else is at it.

It is claimed by a lock that the process which claims it holds, so that several runs may share a
folder and a killed one leaves nothing behind but the cell to be done again. Whoever claims need not
be who computes: what a claim says of its cell is plain data.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, first_line
from bench.results.record import Record, is_dense
from bench.results.store import Store

if TYPE_CHECKING:
    from bench.runs.cells import study
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import BoundCell, Context
    from bench.runs.cells.study import Outcome, TrialFailure
    from bench.runs.cells.tuning import Tuned


class StorageError(BenchError):
    """The run folder cannot be written any more."""


@dataclass(frozen=True)
class Job:
    """A cell to be run, one more trial of its study, or scores to be added to a finished cell.

    Attributes:
        cell: The cell; that of the study, where it is a trial.
        trial: Whether it is a trial.
        replaces: The `created` of the record that it is to replace, if any.
        adds: Whether the cell is finished, and to be scored on further challenge sets.
    """

    cell: Cell
    trial: bool = False
    replaces: str | None = None
    adds: bool = False


@dataclass(frozen=True)
class Assignment:
    """What whoever computes a claimed cell or trial has to know.

    Attributes:
        cell: The cell; that of the study, where it is a trial.
        found: Its parameters; `None` in a trial.
        dense: Those of the dense model of its task; `None` in that model's own trials.
        index: The trial's place in its study; `None` where it is a cell.
        params: The values that the trial tries.
    """

    cell: Cell
    found: Tuned | None
    dense: Tuned | None
    index: int | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass
class Claim:
    """A cell or trial that nobody else computes while this is held.

    Attributes:
        assignment: What there is to compute.
        trial: The claim of the trial, if it is one.
    """

    assignment: Assignment
    trial: study.Claim | None = None
    _begin: float = field(default_factory=time.monotonic)

    def settle(self, made: Record | Outcome | TrialFailure) -> Record | float:
        """Stores what came of a trial; the record of a cell is stored already.

        Returns:
            The record, or the seconds that the trial took.
        """
        if isinstance(made, Record):
            return made
        if self.trial is not None:
            self.trial.settle(made)
        return time.monotonic() - self._begin


def attempt(
    job: Job,
    context: Context,
    started: Callable[[], None],
    progress: Callable[[int, int], None],
) -> Record | float | None:
    """Runs a job if nobody else does.

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
    with storage_errors(context), claimed(job, context) as claim:
        if not isinstance(claim, Claim):
            return claim
        started()
        return claim.settle(perform(claim.assignment, context, progress))


@contextlib.contextmanager
def storage_errors(context: Context) -> Iterator[None]:
    """Raises `StorageError` where an error says that the run folder cannot be written."""
    from bench.files import is_storage_error

    try:
        yield
    except Exception as error:
        if is_storage_error(error, context.runs):
            raise StorageError(f"{context.runs} cannot be written: {first_line(error)}") from error
        raise


@contextlib.contextmanager
def claimed(job: Job, context: Context) -> Iterator[Claim | Record | float | None]:
    """Yields a claim, held until the block ends, or what `attempt` returns where there is none."""
    with contextlib.ExitStack() as held:
        yield _claim(job, context, held)


def _claim(job: Job, context: Context, held: contextlib.ExitStack) -> Claim | Record | float | None:
    from filelock import Timeout

    from bench.runs.cells.study import Study
    from bench.runs.cells.tuning import tuned

    store, bound = Store(context.runs), context.bind(job.cell)
    if job.adds:
        return _add(bound, store)
    dense = None if is_dense(job.cell.method) else tuned(bound.reference())
    if dense is None and not is_dense(job.cell.method):
        return None
    found = tuned(bound)
    if job.trial:
        if found is not None:
            return 0.0
        trial = held.enter_context(Study(bound).claim())
        if trial is None:
            return None if tuned(bound) is None else 0.0
        return Claim(Assignment(job.cell, None, dense, trial.index, trial.params), trial)
    if found is None:
        return None
    try:
        held.enter_context(store.lock(bound.id).acquire(timeout=0))
    except Timeout:
        return None
    record = store.whole(bound.id)
    if record is not None and record.created != job.replaces:
        return record
    return Claim(Assignment(job.cell, found, dense or found))


def _add(bound: BoundCell, store: Store) -> Record | None:
    """Scores a finished cell on further challenge sets, here and now: nothing is trained."""
    from filelock import Timeout

    from bench.runs.cells.challenges import add_challenges

    try:
        with store.lock(bound.id).acquire(timeout=0):
            record = store.whole(bound.id)
            if record is None:
                raise BenchError(f"the record of cell {bound.id} was taken away meanwhile.")
            return add_challenges(bound, record)
    except Timeout:
        return None


def perform(
    assignment: Assignment, context: Context, progress: Callable[[int, int], None]
) -> Record | Outcome | TrialFailure:
    """Computes what is claimed.

    Args:
        assignment: What to compute.
        context: What the cells share; its folder may be another one than that of the claim.
        progress: Called with steps made and steps in all.

    Returns:
        The record of a cell, which is stored in the folder, or what came of a trial.

    Raises:
        OSError: The folder cannot be written.
    """
    from bench.runs.cells.execute import execute, make_trial

    bound: BoundCell = context.bind(assignment.cell)
    if assignment.found is not None:
        return execute(bound, assignment.found, assignment.dense or assignment.found, progress)
    index = assignment.index or 0
    return make_trial(bound, index, assignment.params, assignment.dense, progress)
