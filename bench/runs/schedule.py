"""Which cells and trials are to be run, and in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bench.results.seeds import TRIAL_SEED
from bench.results.store import Store
from bench.runs.cells.cell import reference_cell
from bench.runs.cells.claim import Job

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context


Rerun = Literal["never", "failed", "missed", "all"]
RERUN: dict[Rerun, tuple[str, ...]] = {
    "never": (),
    "failed": ("failed",),
    "missed": ("failed", "missed"),
    "all": ("ok", "failed", "missed", "unreachable"),
}
"""Which records are replaced, by their status."""


def select(cells: Sequence[Cell], context: Context, rerun: Rerun) -> tuple[list[Job], int]:
    """Splits a plan into what is to be run and the number of cells that are done.

    What has no record comes first, then what is to be replaced, the oldest record first. At last
    come finished cells that are to be scored on further challenge sets.

    Trials precede the cells that they are for. The dense models' come first, since whatever learns
    from one waits for them; then, for each task and ratio, the first trial of every method, the
    second of every method and so on, so that several workers are rarely at the same study, whose
    second half waits for its first. Where nothing is searched, a method's one trial comes right
    before its first cell.

    Args:
        cells: The plan.
        context: Gives the folder and the cells' ids.
        rerun: Which records are to be replaced: none, failed ones, failed and missed ones, or all.
    """
    again = RERUN[rerun]
    store = Store(context.runs)
    found = [(cell, store.whole(context.bind(cell).id)) for cell in cells]
    todo = [
        Job(cell, replaces=None if record is None else record.created)
        for cell, record in found
        if record is None or record.status in again
    ]
    todo.sort(key=lambda job: job.replaces or "")  # a rerun that ended early goes on with the rest
    planned = {job.cell for job in todo}
    adds = [
        Job(cell, adds=True)
        for cell, record in found
        if cell not in planned and record is not None and store.can_answer(record)
        if context.bind(cell).lacking(record)
    ]
    return [*_with_trials(todo, context), *adds], len(cells) - len(todo)


def _with_trials(todo: list[Job], context: Context) -> list[Job]:
    """Puts the trials that are yet to be made before the cells."""
    from bench.runs.cells.study import Study

    cells = [job.cell for job in todo]
    left: dict[Any, dict[Cell, int]] = {}
    for cell in dict.fromkeys(map(_trial_cell, [*map(reference_cell, cells), *cells])):
        study = Study(context.bind(cell))
        # A training that only shows convergence has nothing to take turns with.
        turn = (cell.task, cell.ratio) if study.space else cell
        left.setdefault(turn, {})[cell] = study.trials - len(study.summary()["trials"])

    def trials(cell: Cell) -> Iterator[Job]:
        for turn in ((cell.task, cell.ratio), _trial_cell(cell)):
            studies = left.pop(turn, {})
            for number in range(max(studies.values(), default=0)):
                yield from (
                    Job(c, trial=True) for c, missing in studies.items() if missing > number
                )

    jobs = [job for cell in dict.fromkeys(map(reference_cell, cells)) for job in trials(cell)]
    for job in todo:
        jobs += [*trials(job.cell), job]
    return jobs


def _trial_cell(cell: Cell) -> Cell:
    """The cell of the study that several seeds' cells share."""
    return dataclasses.replace(cell, seed=TRIAL_SEED)
