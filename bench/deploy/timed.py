"""A saved model, or a cell's, timed beside its dense one on every engine of this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import hub
from bench.deploy.engines import Load, find_engines
from bench.deploy.kept import kept_dense, kept_model
from bench.deploy.latency import machine, measure, refuse, say_nothing
from bench.errors import BenchError
from bench.machine import usable_cores
from bench.models.checkpoint import load_classifier
from bench.models.families import max_text_positions
from bench.results.suites import counted_length, find_record, suites_run_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.deploy.engines import Engine
    from bench.deploy.latency import Pace, Progress, Timing
    from bench.results.record import Record
    from bench.results.store import Store

SHORT = 32
"""Pieces of a short row; the other length is the one that FLOPs are counted on."""


@dataclass(frozen=True)
class Timed:
    """What was measured.

    Attributes:
        report: Machine, engines, a row an engine, batch and length, and notes: plain data.
        timings: The same rows.
        record: The cell's record, where a cell was timed.
        beside_reference: Whether the dense model is the one that the cell's task kept.
    """

    report: dict[str, Any]
    timings: list[Timing]
    record: Record | None
    beside_reference: bool


def time_saved(
    name: str,
    store: Store,
    *,
    dense: str | None = None,
    engines: Sequence[str] = (),
    batches: Sequence[int] = (1, 8),
    lengths: Sequence[int] | None = None,
    threads: int | None = None,
    progress: Progress = say_nothing,
) -> Timed:
    """Times a classifier and the dense model that it was made from.

    Args:
        name: Folder or hub name of a saved model, or the beginning of a cell's id.
        store: The run folder of the cell.
        dense: The uncompressed model; the cell's reference, or the model's own shapes without
            zeros, otherwise.
        engines: What to run the model on; all that can run here, as the dense model always does,
            where none is named.
        batches: Rows of a call.
        lengths: Pieces of a row; where nothing is said, `SHORT`, those that the cell's suite
            counts FLOPs on, and the median of the cell's task, as far as the model takes them.
        threads: Threads of a call; one a usable core where nothing is said.
        progress: Told the load and what is done with it.

    Raises:
        BenchError: There is no such model or cell, an engine is unknown or cannot run the model.
    """
    find_engines(engines)  # a name that is unknown is told before anything is read
    record, folder = _source(name, store)
    whole = dense if dense is not None or record is None else kept_dense(store, record)
    given, notes = load_classifier(folder)
    reference = None
    if whole is not None:
        reference, more = load_classifier(whole, like=given)
        notes += more
    if lengths is None:
        longest = max_text_positions(given.config)
        usual = {SHORT, _counted_length(store, record)}
        if record is not None:
            usual.add(record.data.get("median_length", SHORT))
        lengths = [length for length in sorted(usual) if length <= longest] or [longest]
    count = threads or usable_cores()
    loads = [Load(rows, pieces, count) for rows in batches for pieces in lengths]
    report, timings = compare_speed(given, reference, engines, loads, notes, progress)
    report = {
        "model": name,
        "dense": dense or ("reference" if whole else "own shapes without zeros"),
        **report,
    }
    return Timed(report, timings, record, beside_reference=whole is not None and dense is None)


def compare_speed(
    given: PreTrainedModel,
    reference: PreTrainedModel | None,
    engines: Sequence[str],
    loads: Sequence[Load],
    notes: Sequence[str] = (),
    progress: Progress = say_nothing,
    *,
    dense_engines: Sequence[str] = (),
    pace: Pace | None = None,
) -> tuple[dict[str, Any], list[Timing]]:
    """Times a model and its dense one.

    Args:
        given: The classifier, in fp32 and eval mode.
        reference: Its dense one; its own shapes without zeros otherwise.
        engines: What to run it on; all that can run here where none is named. One that cannot run
            the model is an error only if it was named.
        loads: What to run, all on the same threads.
        notes: What is to be noted besides.
        progress: Told the load and what is done with it.
        dense_engines: What to run its dense one on; all that can run here where none is named.
        pace: How long is measured.

    Returns:
        Machine, engines, a row an engine, batch and length, and notes: plain data; and the rows.
    """
    chosen, _ = find_engines(engines)
    denominators, more = find_engines(dense_engines)
    notes = [*more, *notes]

    def failed(engine: Engine, reason: str) -> None:
        if engine.name in engines:
            refuse(engine, reason)
        if (note := f"without {engine.name}: {reason}.") not in notes:
            notes.append(note)

    timings = measure(
        given,
        reference,
        chosen,
        loads,
        progress,
        denominators=denominators,
        failed=failed,
        pace=pace,
    )
    report = {
        **machine(loads[0].threads),
        "engines": {engine.name: engine.version for engine in denominators},
        "rows": [dataclasses.asdict(timing) for timing in timings],
        "notes": notes,
    }
    return report, timings


def keep_timings(store: Store, record: Record, report: dict[str, Any]) -> None:
    """Adds what was measured to a record.

    Raises:
        BenchError: The cell was run again meanwhile.
        OSError: The run folder cannot be written.
    """
    kept = {key: value for key, value in report.items() if key not in ("model", "notes")}
    store.amend(record, latency=kept)


def _counted_length(store: Store, record: Record | None) -> int:
    """Tokens that the cell's suite counts FLOPs on."""
    suites = suites_run_in(store.root).values() if record else ()
    shown = (suite for suite in suites if record and record.id in suite["cells"])
    return counted_length(next(shown, None))


def _source(name: str, store: Store) -> tuple[Record | None, str]:
    """The cell, if it is one, and the folder or name of the model."""
    path = hub.local_path(name)
    if "/" in name or (path.exists() and not (path / "record.json").is_file()):
        return None, name
    try:
        record = find_record(store, name)
    except BenchError as error:
        raise BenchError(f"{name} is no folder of a model; as a cell: {error}") from None
    return record, str(kept_model(store, record))
