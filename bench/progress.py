"""How a run shows itself: bars on a terminal or in a notebook, and plain lines everywhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.protocol import SYNTHETIC
from bench.results.seeds import TRIAL_SEED
from bench.shown import shown

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import TaskID

    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.launch import Launch


class RunDisplay:
    """Listens to a run and shows it.

    Args:
        console: Where to show it; a quiet one shows nothing.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.has_ended = False  # any cell or trial
        self._console = console
        self._total = self._done = 0
        self._begin = time.monotonic()
        self._bars: dict[Cell, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=console.quiet or not (console.is_terminal or console.is_jupyter),
        )
        self._all = self._progress.add_task("all", total=None)
        self._timing: TaskID | None = None

    def say(self, line: str) -> None:
        """Prints a line, without what a terminal obeys."""
        self._console.print(shown(line), markup=False, soft_wrap=True)

    def note(self, notice: str) -> None:
        """Says what the user should know."""
        self.say(f"note: {notice}")

    def announce(self, launch: Launch) -> None:
        """Says what is to be run, and what it will cost."""
        self._total = len(launch.todo)
        self._progress.update(self._all, total=self._total)
        if self._console.quiet:  # to foretell the cost takes seconds
            return
        suite, trials, adds = launch.suite, launch.trials, launch.adds
        before = f" after {trials} trial{'s' * (trials != 1)}" if trials else ""
        self.say(f"{suite.name}: {len(launch.cells)} cells, {launch.done} done, "
                 f"{self._total - trials - adds} to run{before} in {suite.runs}")  # fmt: skip
        if adds:
            self.say(f"{adds} finished cells are to be scored on challenge sets")
        if not launch.todo:
            return
        cost = launch.cost()
        general = f", {cost.general} of them on unlabelled text" if cost.general else ""
        if cost.intermediate:
            general += f", {cost.intermediate} on an intermediate task"
        cache = suite.folder.teacher_cache_gb if cost.taught else 0
        answers = f", and up to {cache:g} GB for teachers' answers" if cache else ""
        self.say(f"{cost.trainings} trainings{general}, {cost.steps:,} optimizer steps; "
                 f"{cost.unreachable} cells cannot be reached")  # fmt: skip
        self.say(f"about {duration(cost.seconds)} on this machine, from {cost.timed_steps} timed "
                 "steps of dense fine-tuning a task (a teacher may double it; what a method does "
                 "besides training, such as ranking weights by many gradients, comes on "
                 "top)")  # fmt: skip
        self.say(f"about {cost.megabytes:,.0f} MB of disk{answers}")
        if any(name in SYNTHETIC for name in launch.context.intermediates):
            self.say("writing the fake endings comes on top")

    def __enter__(self) -> RunDisplay:
        self._begin = time.monotonic()
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._progress.stop()

    def started(self, cell: Cell) -> None:
        """Opens the cell's bar."""
        self._bars[cell] = self._progress.add_task(f"  {shown(title(cell))}", total=None)

    def progressed(self, cell: Cell, step: int, total: int) -> None:
        """Moves the cell's bar."""
        if cell in self._bars:
            self._progress.update(self._bars[cell], completed=step, total=total)

    def ended(self, cell: Cell, record: Record) -> None:
        """Closes the cell's bar and prints its result."""
        self.has_ended = True
        self._close(cell, result(record))

    def tried(self, cell: Cell) -> None:
        """Closes the trial's bar."""
        self.has_ended = True
        self._close(cell, "tried")

    def timed(self, done: int, total: int) -> None:
        """Moves the bar of rows that are timed, the first time with none done."""
        if self._timing is None:
            self.say(f"timing {total} rows, one after the other")
            self._timing = self._progress.add_task("timing", total=total)
        self._progress.update(self._timing, completed=done)

    def _close(self, cell: Cell, how: str) -> None:
        if cell in self._bars:
            self._progress.remove_task(self._bars.pop(cell))
        self._progress.advance(self._all)
        self._done += 1
        left = (time.monotonic() - self._begin) / self._done * (self._total - self._done)
        self.say(
            f"{self._done:>{len(str(self._total))}}/{self._total}  {title(cell):<48} {how:<34}"
            f" {duration(left)} left"
        )


def title(cell: Cell) -> str:
    """A cell in a few words."""
    ratio = "" if cell.ratio == 1 else f" {cell.ratio:g}×"
    which = f"seed {cell.seed}" if cell.seed < TRIAL_SEED else "trial"
    return f"{cell.task} {cell.method}{ratio} {which}"


def result(record: Record) -> str:
    """How a cell ended, in a few words."""
    from bench.leaderboard.markdown import rounded

    if record.status == "failed" and record.error:
        return f"failed: {record.error['message']} (log: {record.error['log']})"
    if record.status == "unreachable" and record.error:
        return f"unreachable: {record.error['message']}"
    seconds = record.cost.get("wall_s", 0.0)
    return f"{record.status}, score {rounded(record.score, 1)}, {seconds:.1f} s"


def duration(seconds: float) -> str:
    """A time span that a person reads at a glance."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
