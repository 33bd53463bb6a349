"""What a cell waits for on a cluster, so that nothing is made twice that is made once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from bench.results.record import is_dense
from bench.results.seeds import TRIAL_SEED
from bench.runs.cells.cell import reference_cell
from bench.runs.cells.design import first_half

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import BoundCell, Context

_ENCODER = ("encoder",)


class Turns:
    """Keeps two nodes from making the same at once that is made once for several cells.

    On one machine the second would wait for the first. Here it takes something else meanwhile. What
    a method shares is known once a cell of it has ended: until then, one at a time is begun of a
    method on a text.

    Whatever is said to be waited for is told to have ended by this run, since it is under way, or
    among the run's jobs. So nobody has to look at those who wait before that.

    Args:
        jobs: What the run has to do.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._trials_left = Counter(job.cell for job in jobs if job.trial)
        self._under_way: Counter[Hashable] = Counter()
        self._shares: dict[str, bool] = {}
        self._made: set[tuple[str, str, bool]] = set()

    def waits_for(self, job: Job, bound: BoundCell) -> Hashable | None:
        """What has to end before a job begins; `None` where it may begin."""
        if job.adds:
            return None
        if self._under_way and bound.context.protocol.pretrain_steps and not self._made:
            return _ENCODER  # which goes on learning
        dense, own = reference_cell(job.cell), is_dense(job.cell.method)
        for needed, is_needed in ((job.cell, not job.trial), (dense, not own)):
            if is_needed and (study := _study(needed)) in self._trials_left:
                return ("study", study)
        if job.trial and self._waits_for_half(job.cell, bound.trials):
            return ("half", job.cell)
        if own:
            return None
        if not job.trial and ("cell", dense) in self._under_way:
            return ("cell", dense)
        key = _key(job, bound.context)
        known = key in self._made or self._shares.get(job.cell.method) is False
        return None if known or ("shared", key) not in self._under_way else ("shared", key)

    def _waits_for_half(self, study: Cell, trials: int) -> bool:
        """Whether all of a study's first half are begun, and not all of them have ended."""
        first, ended = first_half(trials), trials - self._trials_left[study]
        return ended < first <= ended + self._under_way["trial", study]

    def begins(self, job: Job, context: Context) -> None:
        """Takes note that a node is at a job."""
        self._under_way.update(_held(job, context))

    def stops(self, job: Job, context: Context) -> None:
        """Takes note that a node is no more at a job, whatever came of it."""
        for what in _held(job, context):
            self._under_way[what] -= 1
            if not self._under_way[what]:
                del self._under_way[what]

    def ended(
        self, job: Job, bound: BoundCell, files: Iterable[str] | None = None
    ) -> list[Hashable]:
        """Takes note of what has come to an end, and of what a method's cells share.

        Args:
            job: What has ended, and no node is at any more.
            bound: Its cell.
            files: What it has read and made, by their paths in the run folder, where this run made
                it and it came to something.

        Returns:
            What need not be waited for any more.
        """
        cell, key = job.cell, _key(job, bound.context)
        over: list[Hashable] = [_ENCODER, ("cell", cell), ("shared", key)]
        if job.trial:
            self._trials_left[cell] -= 1
            if self._trials_left[cell] <= 0:
                del self._trials_left[cell]
                over.append(("study", cell))
            if not self._waits_for_half(cell, bound.trials):
                over.append(("half", cell))
        if files is not None:
            self._made.add(key)
            known = self._shares.get(cell.method)
            shares = any(path.startswith("shared/") for path in files)
            self._shares[cell.method] = shares or bool(known)
            if known is None and not shares:  # nobody waits for its cells on other texts, either
                over += [what for what in self._under_way if _is_shared(what, cell.method)]
        return over


def _study(cell: Cell) -> Cell:
    """The cell that the study of a cell is known by."""
    return dataclasses.replace(cell, seed=TRIAL_SEED)


def _held(job: Job, context: Context) -> list[Hashable]:
    """What others may have to wait for while a node is at a job."""
    if job.trial:
        return [("trial", job.cell), ("shared", _key(job, context))]
    return [("cell", job.cell), ("shared", _key(job, context))]


def _is_shared(what: Any, method: str) -> bool:
    return bool(what[0] == "shared" and what[1][0] == method)


def _key(job: Job, context: Context) -> tuple[str, str, bool]:
    """A method and the text that what it shares depends on."""
    own = context.corpus is None
    return job.cell.method, job.cell.task if own else "", job.trial and own
