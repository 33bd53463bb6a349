"""`bench latency`: measured speed, beside that of the dense model on every engine."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.options import names, positive
from bench.cli.output import console, emit_json, table
from bench.deploy.kept import dense_of
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.deploy.engines import Engine
    from bench.deploy.latency import Timing
    from bench.results.record import Record
    from bench.results.store import Store


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "latency",
        help="measured speed of a saved model or of a cell's",
        description="Times a classifier and the dense model that it was made from on every engine "
        "of this machine's processor, in interleaved rounds, and checks their answers. Of a cell, "
        "the record keeps what was measured last, where the dense model is its kept reference, and "
        "the suite's page shows it for batch 1 and S = 128.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="folder or hub name of a saved model, or the id of a cell"
    )
    parser.add_argument("--dense", metavar="MODEL",
                        help="the uncompressed model (default: the cell's reference, or MODEL's "
                        "own shapes without zeros)")  # fmt: skip
    parser.add_argument("--engine", type=names, default=[], metavar="NAME,…",
                        help="what to run MODEL on; default: all that can run here, as the dense "
                        "model always does")  # fmt: skip
    parser.add_argument("--batch", type=_numbers, default=[1, 8], metavar="N,…",
                        help="rows of a call; default 1,8")  # fmt: skip
    parser.add_argument("--sequence-length", type=_numbers, metavar="S,…",
                        help="word pieces of a row; default 32,128, as far as the model takes "
                        "them")  # fmt: skip
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="default: one a usable core")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder of the cell; default runs")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints, and adds a cell's timings to its record."""
    from bench.deploy.engines import Load, find_engines
    from bench.deploy.latency import machine, measure, refuse
    from bench.machine import usable_cores
    from bench.models.checkpoint import load_classifier
    from bench.models.families import max_text_positions
    from bench.results.store import Store

    engines, _ = find_engines(arguments.engine)
    denominators, notes = find_engines()
    versions = {engine.name: engine.version for engine in denominators}
    threads = arguments.threads or usable_cores()
    store = Store(arguments.runs)
    record, folder, dense_folder = _sources(arguments, store)
    given, more = load_classifier(folder)
    notes += more
    dense = None
    if dense_folder is not None:
        dense, more = load_classifier(dense_folder, num_labels=given.config.num_labels or 2)
        notes += more
    lengths = arguments.sequence_length
    if lengths is None:
        longest = max_text_positions(given.config)
        lengths = [s for s in (32, 128) if s <= longest] or [longest]
    loads = [Load(b, s, threads) for b in arguments.batch for s in lengths]
    progress = (lambda line: None) if arguments.json else console().print

    def failed(engine: Engine, reason: str) -> None:
        if engine.name in arguments.engine:
            refuse(engine, reason)
        if (note := f"without {engine.name}: {reason}.") not in notes:
            notes.append(note)

    timings = measure(
        given, dense, engines, loads, progress, denominators=denominators, failed=failed
    )
    report = {
        "model": arguments.model,
        "dense": arguments.dense or ("reference" if dense_folder else "own shapes without zeros"),
        **machine(threads),
        "engines": versions,
        "rows": [dataclasses.asdict(timing) for timing in timings],
        "notes": notes,
    }
    if arguments.json:
        emit_json(report)
    else:
        _print(report, timings)
    wrong = [timing for timing in timings if not timing.agrees]
    for timing in wrong:
        sys.stderr.write(f"bench: {timing.engine} answers other than plain torch, by "
                         f"{_difference(timing)} ({timing.model} model, batch {timing.batch}, "
                         f"S = {timing.seq_len}).\n")  # fmt: skip
    if record is not None and dense_folder is not None and arguments.dense is None:
        try:
            _keep(store, record, report)
        except (BenchError, OSError) as error:
            sys.stderr.write(f"bench: the record of {record.id} does not have it: {error}\n")
            return 1
    return int(bool(wrong))


def _sources(arguments: argparse.Namespace, store: Store) -> tuple[Record | None, str, str | None]:
    """The cell, if it is one; the folder or name of the model, and that of the dense one."""
    from bench import hub
    from bench.deploy.kept import kept_model
    from bench.results.suites import find_record

    path = hub.local_path(arguments.model)
    if "/" in arguments.model or (path.exists() and not (path / "record.json").is_file()):
        return None, arguments.model, arguments.dense
    try:
        record = find_record(store, arguments.model)
    except BenchError as error:
        raise BenchError(f"{arguments.model} is no folder of a model; as a cell: {error}") from None
    dense = arguments.dense or dense_of(store, record)
    return record, str(kept_model(store, record)), dense


def _keep(store: Store, record: Record, report: dict[str, Any]) -> None:
    """Adds what was measured to a record, and to its pages.

    Raises:
        BenchError: The cell was run again meanwhile.
        OSError: The run folder cannot be written.
    """
    from bench.leaderboard.page import write_run_page
    from bench.results.suites import read_suites

    kept = {key: value for key, value in report.items() if key not in ("model", "notes")}
    with store.lock(record.id):
        newest = store.get(record.id)
        if newest is None or newest.created != record.created:
            raise BenchError("the cell was run again meanwhile.")
        store.put(dataclasses.replace(newest, latency=kept))
    for name, suite in read_suites(store.root / "suites").items():
        if record.id in suite["cells"]:
            write_run_page(store, name)


def _print(report: dict[str, Any], timings: Sequence[Timing]) -> None:
    out = console()
    heads = ("model", "engine", "batch", "S", "median, ms", "quartiles", "over best dense",
             "largest difference")  # fmt: skip
    out.print(table(heads, [_row(timing) for timing in timings]))
    versions = ", ".join(dict.fromkeys(report["engines"].values()))
    out.print(f"{report['processor']} ({', '.join(report['vector_extensions'])}), "
              f"{report['threads']} threads; {versions}",
              markup=False, soft_wrap=True)  # fmt: skip
    for note in report["notes"]:
        out.print(f"· {note}", markup=False, soft_wrap=True)


def _row(timing: Timing) -> list[str]:
    low, high = timing.quartiles_ms
    wrong = "" if timing.agrees else " (!)"
    return [
        timing.model,
        timing.engine,
        str(timing.batch),
        str(timing.seq_len),
        f"{timing.median_ms:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{timing.gain:.2f}×",
        f"{_difference(timing)}{wrong}",
    ]


def _difference(timing: Timing) -> str:
    return "something not finite" if timing.difference is None else f"{timing.difference:.1e}"


def _numbers(text: str) -> list[int]:
    return [positive(part) for part in names(text)]
