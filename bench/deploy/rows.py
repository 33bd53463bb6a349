"""Every row of a suite timed once: its kept model, on one example of its task's median length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.deploy.engines import Load, find_engines
from bench.deploy.kept import kept_dense, kept_model
from bench.deploy.latency import THOROUGH, Pace
from bench.deploy.timed import compare_speed, keep_timings
from bench.errors import BenchError
from bench.machine import usable_cores
from bench.models.checkpoint import load_classifier
from bench.results.record import dense_of
from bench.results.suites import suite_records, suites_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.results.record import Record
    from bench.results.store import Store

BRIEF = Pace(rounds=5, seconds=0.005)
"""For a demo, which has a minute."""

PACES = {"all": Pace(rounds=THOROUGH.rounds, seconds=0.02), "torch": BRIEF}
"""How long is measured, by what a run is timed on: every engine, or plain torch alone."""


class Watcher(Protocol):
    """Who is told how it goes on."""

    def timed(self, done: int, total: int) -> None:
        """So many rows of all are timed."""

    def note(self, notice: str) -> None:
        """Something that the user should know."""


def time_suite(
    store: Store,
    name: str,
    on: str,
    watcher: Watcher,
    *,
    engines: Sequence[str] = (),
    threads: int | None = None,
) -> int:
    """Times every row of a suite that is still to be timed, and keeps it in the records.

    Args:
        store: The run folder.
        name: The suite's name.
        on: `all` engines, or plain `torch` alone, and briefly.
        watcher: Told how it goes on.
        engines: What models are run on, instead of all; dense ones are run on all.
        threads: Threads of a call; one a usable core where nothing is said.

    Returns:
        How many rows were timed.

    Raises:
        BenchError: An engine is unknown or cannot run here.
        OSError: The run folder cannot be written.
    """
    suite = suites_of(store.root)[name]
    if any(map(store.is_locked, suite["cells"])):
        watcher.note("nothing is timed while others run cells: bench latency does it afterwards.")
        return 0
    rows, notes = untimed_rows(store, suite_records(store, suite))
    if rows:
        watcher.timed(0, len(rows))
        notes += time_rows(
            store,
            rows,
            engines=(on,) if on != "all" else engines,
            dense_engines=(on,) if on != "all" else (),
            threads=threads,
            pace=PACES[on],
            progress=lambda done: watcher.timed(done, len(rows)),
        )
    for line in notes:
        watcher.note(line)
    return len(rows)


@dataclass(frozen=True)
class Untimed:
    """A row that is to be timed.

    Attributes:
        record: That of its first seed whose model was kept.
        model: The model's folder.
        dense: The folder of the dense model.
        length: Tokens of the example.
    """

    record: Record
    model: Path
    dense: str
    length: int


def untimed_rows(store: Store, records: Sequence[Record]) -> tuple[list[Untimed], list[str]]:
    """The rows of a suite that are still to be timed, and a line for each that cannot be.

    A row is a method on a task at a ratio; any of its seeds may have been timed.
    """
    rows: dict[tuple[str, str, float], list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.has_model:
            cell = record.cell
            rows.setdefault((cell["method"], cell["task"], cell["ratio"]), []).append(record)
    references: dict[tuple[str, str], str | None] = {}
    found, notes = [], []
    for (method, task, ratio), mine in rows.items():
        if any(record.timing for record in mine):
            continue
        key = (task, dense_of(method))
        if key not in references:
            references[key] = kept_dense(store, mine[0])
        one = _first_kept(store, mine)
        length, dense = mine[0].data.get("median_length"), references[key]
        if one is None or dense is None or length is None:
            lacking = "its model was" if one is None else "the dense model was"
            why = f"{lacking} not kept" if length else "its record knows no length of the task"
            notes.append(f"{method} on {task} at {ratio:g}× is not timed: {why}.")
        else:
            found.append(Untimed(*one, dense, length))
    return found, notes


def _first_kept(store: Store, records: Sequence[Record]) -> tuple[Record, Path] | None:
    """The record of the lowest seed whose model was kept, and where that is."""
    for record in sorted(records, key=lambda record: record.cell["seed"]):
        try:
            return record, kept_model(store, record)
        except BenchError:
            continue
    return None


def time_rows(
    store: Store,
    rows: Sequence[Untimed],
    *,
    engines: Sequence[str],
    dense_engines: Sequence[str],
    threads: int | None,
    pace: Pace,
    progress: Callable[[int], None],
) -> list[str]:
    """Times rows beside their dense models and keeps in their records what was found.

    Nothing else should run on the machine meanwhile.

    Args:
        store: The run folder.
        rows: What to time.
        engines: What to run models on; all that can run here where none is named.
        dense_engines: The same for dense models.
        threads: Threads of a call; one a usable core where nothing is said.
        pace: How long is measured.
        progress: Told how many rows are done.

    Returns:
        What the user should know.

    Raises:
        BenchError: An engine is unknown or cannot run here.
        OSError: The run folder cannot be written.
    """
    find_engines(engines)
    notes: dict[str, None] = {}
    dense: dict[str, PreTrainedModel] = {}
    for done, row in enumerate(rows, 1):
        load = Load(1, row.length, threads or usable_cores())
        try:
            given, _ = load_classifier(str(row.model))
            if row.dense not in dense:
                dense = {row.dense: load_classifier(row.dense)[0]}  # one at a time in memory
            report, timings = compare_speed(
                given, dense[row.dense], engines, [load], dense_engines=dense_engines, pace=pace
            )
            keep_timings(store, row.record, {"dense": "reference", **report})
        except BenchError as error:
            cell = row.record.cell
            notes[f"{cell['method']} on {cell['task']} is not timed: {error}"] = None
        else:
            notes |= dict.fromkeys(report["notes"])
            odd = {timing.engine for timing in timings if not timing.agrees}
            notes |= {f"{name} is left out where it answers otherwise.": None for name in odd}
        progress(done)
    return list(notes)
