"""A request carried out: prepared, planned, and run by an executor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.results.store import Store
from bench.runs.executor import Clock
from bench.runs.plan import shard
from bench.runs.processes import Pool
from bench.runs.schedule import select

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import Context
    from bench.runs.cost import Estimate
    from bench.runs.executor import Executor, Listener
    from bench.runs.schedule import Rerun
    from bench.runs.suite import Suite


@dataclass(frozen=True)
class Launch:
    """A suite about to be run.

    Attributes:
        suite: What was asked for, resolved.
        context: What its cells share.
        cells: The part of the plan that this machine takes.
        todo: The cells and trials of it that are left to be made, in order.
        done: How many cells of it are done.
    """

    suite: Suite
    context: Context
    cells: list[Cell]
    todo: list[Job]
    done: int

    @property
    def trials(self) -> int:
        """Trials that are left to be made."""
        return sum(job.trial for job in self.todo)

    @property
    def adds(self) -> int:
        """Finished cells that are left to be scored on further challenge sets."""
        return sum(job.adds for job in self.todo)

    def notes(self) -> Iterator[str]:
        """What the user should know of rows and texts before anything runs."""
        for name, prepared in self.context.tasks.items():
            if skipped := prepared.facts["skipped"]:
                count = prepared.facts["skipped_rows"]
                yield f"{name}: {count} rows left out; the first: {skipped[0]}"
            if twins := prepared.facts["overlap"]["rows"]:
                what = prepared.facts["overlap"]["are"]
                yield f"{name}: {twins} training rows whose text is a report row's are {what}."
            if shared := prepared.facts["tune_shared"]:
                yield (
                    f"{name}: {shared} of {prepared.facts['tune']} tune rows share a text with fit "
                    "rows, since nearly all rows hang together by one."
                )
        if self.context.corpus is not None and (skipped := self.context.corpus.skipped):
            name = self.context.corpus.name
            yield f"{name}: {len(skipped)} rows left out; the first: {skipped[0]}"
        if self.context.probe is not None and self.context.probe.objection:
            yield f"what is left of pre-training is not measured: {self.context.probe.objection}."

        yield from self._challenge_notes()

    def _challenge_notes(self) -> Iterator[str]:
        """What was left out of challenge sets, and what cannot be scored on them any more."""
        for task, sets in self.context.challenges.items():
            for one in sets:
                if skipped := one.facts["skipped"]:
                    count = one.facts["skipped_rows"]
                    yield f"{task}: {one.name}: {count} rows left out; the first: {skipped[0]}"
                if seen := one.facts["seen"]:
                    rows = f"{seen} of {one.rows} rows"
                    yield f"{task}: {one.name}: {rows} have the text of a training row."
        if not self.context.challenges:
            return
        store, todo = Store(self.suite.runs), {job.cell for job in self.todo}
        bound = [self.context.bind(cell) for cell in self.cells if cell not in todo]
        found = ((one, store.get(one.id)) for one in bound)
        lost = [one for one, record in found if record is not None and one.lacking(record)]
        if lost:
            yield (
                f"{len(lost)} finished cells have no score on challenge sets, since their models "
                "were not kept: --keep-models all and --rerun all makes them again."
            )

    def cost(self) -> Estimate:
        """What it will cost, from a few real steps."""
        from bench.machine import limited_threads
        from bench.runs.cost import estimate

        with limited_threads(self.context.threads):
            return estimate(self.todo, self.context, self.suite.workers)

    def run(self, listener: Listener, max_hours: float | None = None) -> int:
        """Runs what is left; what is finished is stored at once.

        Args:
            listener: Told of every event.
            max_hours: No cell is begun that would likely end later than this.

        Returns:
            Cells and trials that were left because of `max_hours`.

        Raises:
            BenchError: No worker can be started, or the run folder cannot be written any more.
            KeyboardInterrupt: The run was interrupted.
        """
        if not self.todo:
            return 0
        executor = executor_of(self.suite)
        try:
            return executor.run(self.todo, self.context, listener, Clock(max_hours))
        finally:
            executor.close()

    def failed(self) -> list[Record]:
        """The records of its cells that failed, now or before."""
        store = Store(self.suite.runs)
        found = (store.get(self.context.bind(cell).id) for cell in self.cells)
        return [record for record in found if record is not None and record.status == "failed"]


def prepare(
    suite: Suite,
    cache: Path | None = None,
    *,
    part: tuple[int, int] = (1, 1),
    rerun: Rerun = "never",
    augment: bool = True,
) -> Launch:
    """Prepares rows and texts, and plans.

    Args:
        suite: What was asked for, resolved.
        cache: Folder for tokenised rows; the run folder's own unless another is named.
        part: Which part of the plan is taken, and of how many.
        rerun: Which records are to be replaced.
        augment: Whether to augment where the protocol says so, which takes its time.

    Raises:
        BenchError: Data is missing or unreadable, or the run folder cannot be written.
    """
    try:
        context = suite.prepare(suite.runs / "data" if cache is None else cache, augment)
        if suite.carry_from is not None:
            from bench.runs.cells.carried import carry

            carried = carry(suite.carry_from, suite.cells(), context, suite.published)
            context = dataclasses.replace(context, carried=carried)
    except OSError as error:
        raise BenchError(f"{suite.runs} cannot be written: {error}") from error
    cells = shard(suite.cells(), *part)
    todo, done = select(cells, context, rerun)
    return Launch(suite, context, cells, todo, done)


def executor_of(suite: Suite) -> Executor:
    """The executor of a suite: worker processes, each of which sees one GPU where there are any.

    Raises:
        BenchError: They cannot be started, or the cluster that was asked for cannot be used.
    """
    from bench.machine import gpu_kinds, visible_gpus

    if suite.on is not None:
        from bench.runs.cluster.connection import LOCAL
        from bench.runs.cluster.nodes import CellSize
        from bench.runs.cluster.pool import ClusterPool

        most = suite.workers if suite.on == LOCAL else suite.asked_workers
        per_gpu = suite.workers_per_gpu if suite.device == "cuda" else 0
        size = CellSize(suite.folder.threads, per_gpu)
        return ClusterPool(suite.on, most, size, suite.limits)
    if suite.device != "cuda":
        return Pool(suite.workers, limits=suite.limits)
    return Pool(suite.workers, visible_gpus(), suite.limits, gpu_kinds())
