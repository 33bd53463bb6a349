"""Which cells wait for others on a cluster, so that nothing is made twice that is made once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.results.record import is_dense
from bench.runs.cells.cell import reference_cell

if TYPE_CHECKING:
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import Context


class Turns:
    """Keeps two nodes from making the same at once that is made once for several cells.

    On one machine the second would wait for the first. Here it takes something else meanwhile. What
    a method shares is known once a cell of it has ended: until then, one at a time is begun of a
    method on a text.
    """

    def __init__(self) -> None:
        self._shares: dict[str, bool] = {}
        self._made: set[tuple[str, str, bool]] = set()

    def has_to_wait(self, job: Job, others: Iterable[Job], context: Context) -> bool:
        """Whether what other nodes are at is to be there before a job begins."""
        others = list(others)
        if others and context.protocol.pretrain_steps and not self._made:
            return True  # for the encoder that goes on learning
        if is_dense(job.cell.method):
            return False
        dense = reference_cell(job.cell)
        if not job.trial and any(other.cell == dense and not other.trial for other in others):
            return True
        key = _key(job, context)
        if key in self._made or self._shares.get(job.cell.method) is False:
            return False
        return any(_key(other, context) == key for other in others)

    def ended(self, job: Job, context: Context, files: Iterable[str]) -> None:
        """Takes note of what a method's cells share.

        Args:
            job: What has ended.
            context: What the cells share.
            files: What it has read and made, by their paths in the run folder.
        """
        method = job.cell.method
        self._made.add(_key(job, context))
        shares = any(path.startswith("shared/") for path in files)
        self._shares[method] = shares or self._shares.get(method, False)


def _key(job: Job, context: Context) -> tuple[str, str, bool]:
    """A method and the text that what it shares depends on."""
    own = context.corpus is None
    return job.cell.method, job.cell.task if own else "", job.trial and own
