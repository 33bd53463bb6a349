"""`bench latency`: measured speed, beside that of the dense model on every engine."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.output import complain, console, emit_json, examples, say, table
from bench.cli.values import names, positive
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.deploy.latency import Progress, Timing
    from bench.results.record import Record
    from bench.results.store import Store


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "latency",
        help="measured speed of a saved model, of a cell's, or of all rows of a run folder",
        description="Times a classifier and the dense model that it was made from on every engine "
        "of this machine's processor, in interleaved rounds, and checks their answers. Of a cell, "
        "the record keeps what was measured last, where the dense model is its kept reference, and "
        "the suite's page shows it for one example of the task's median length. Without MODEL, all "
        "rows of a run folder are timed so that were not yet.",
        epilog=examples(
            "bench latency --runs runs/mine",
            "bench latency 3f9a --runs runs/mine",
            "bench latency my/model --engine torch,onnxruntime --batch 1",
        ),
    )
    parser.add_argument("model", metavar="MODEL", nargs="?",
                        help="folder or hub name of a saved model, or the id of a cell; default: "
                        "each row's kept model")  # fmt: skip
    parser.add_argument("--dense", metavar="MODEL",
                        help="the uncompressed model (default: the cell's reference, or MODEL's "
                        "own shapes without zeros)")  # fmt: skip
    parser.add_argument("--engine", type=names, default=[], metavar="NAME,…",
                        help="what to run MODEL on; default: all that can run here, as the dense "
                        "model always does")  # fmt: skip
    parser.add_argument("--batch", type=_numbers, metavar="N,…",
                        help="rows of a call; default 1,8")  # fmt: skip
    parser.add_argument("--sequence-length", type=_numbers, metavar="S,…",
                        help="word pieces of a row; default 32, what the suite counts FLOPs on "
                        "(128) and the median of the cell's task, as far as the model takes "
                        "them")  # fmt: skip
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="default: one a usable core")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder of the cell; default runs")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Measures, prints, and adds a cell's timings to its record."""
    from bench.deploy.timed import keep_timings, time_saved
    from bench.files import refuse_outward_links
    from bench.results.store import Store

    store = Store(arguments.runs)
    refuse_outward_links(store.root)
    if arguments.model is None:
        return _time_all(arguments, store)
    with _live(quiet=arguments.json) as progress:
        timed = time_saved(
            arguments.model,
            store,
            dense=arguments.dense,
            engines=arguments.engine,
            batches=arguments.batch or (1, 8),
            lengths=arguments.sequence_length,
            threads=arguments.threads,
            progress=progress,
        )
    report, timings = timed.report, timed.timings
    if arguments.json:
        emit_json(report)
    else:
        _print(report, timings)
    wrong = [timing for timing in timings if not timing.agrees]
    for timing in wrong:
        complain(f"{timing.engine} answers other than plain torch, by "
                         f"{_difference(timing)} ({timing.model} model, batch {timing.batch}, "
                         f"S = {timing.seq_len}).\n")  # fmt: skip
    if timed.record is not None and timed.beside_reference:
        try:
            keep_timings(store, timed.record, report)
            _write_pages(store, timed.record)
        except (BenchError, OSError) as error:
            complain(f"the record of {timed.record.id} does not have it: {error}")
            return 1
    return int(bool(wrong))


@contextlib.contextmanager
def _live(*, quiet: bool) -> Iterator[Progress]:
    """A line that says what is measured; where there is no terminal, a line a load."""
    from rich.console import Console

    out = Console(stderr=True, highlight=False, emoji=False, quiet=quiet)
    said = ""
    with out.status("reading the models") as status:

        def tell(load: str, step: str) -> None:
            nonlocal said
            status.update(f"{load}: {step}")
            if load != said and not out.is_terminal:
                say(out, load)
            said = load

        yield tell


def _time_all(arguments: argparse.Namespace, store: Store) -> int:
    """Times every row of a run folder that was not timed yet, and writes its pages."""
    from rich.console import Console

    from bench.deploy.rows import time_suite
    from bench.leaderboard.page import write_run_page
    from bench.progress import RunDisplay
    from bench.results.suites import suites_of, suites_run_in

    for option in ("dense", "batch", "sequence_length"):
        if getattr(arguments, option) is not None:
            said = f"--{option.replace('_', '-')}"
            raise BenchError(f"{said} is of one model: name a MODEL, or leave it.")
    if not suites_run_in(store.root):
        suites_of(store.root)  # says that there is none
        raise BenchError(f"{store.root} has pages and no models: --runs names a run folder.")
    timed = {}
    with RunDisplay(
        Console(stderr=True, highlight=False, emoji=False, quiet=arguments.json)
    ) as display:
        for name in suites_run_in(store.root):
            timed[name] = time_suite(
                store, name, "all", display, engines=arguments.engine, threads=arguments.threads
            )
    pages = {name: str(write_run_page(store, name).path) for name, count in timed.items() if count}
    if arguments.json:
        emit_json({"timed": timed, "pages": pages})
    else:
        for name, count in timed.items():
            say(console(), f"{name}: {count} rows timed. {pages.get(name, '')}".strip())
    return 0


def _write_pages(store: Store, record: Record) -> None:
    """Writes the pages that show a record."""
    from bench.leaderboard.page import write_run_page
    from bench.results.suites import suites_run_in

    for name, suite in suites_run_in(store.root).items():
        if record.id in suite["cells"]:
            write_run_page(store, name)


def _print(report: dict[str, Any], timings: Sequence[Timing]) -> None:
    out = console()
    heads = ("model", "engine", "batch", "S", "median, ms", "quartiles", "calls", "over best dense",
             "largest difference")  # fmt: skip
    out.print(table(heads, [_row(timing) for timing in timings]))
    versions = ", ".join(dict.fromkeys(report["engines"].values()))
    say(out, f"{report['processor']} ({', '.join(report['vector_extensions'])}), "
              f"{report['threads']} threads; {versions}")  # fmt: skip
    for note in report["notes"]:
        say(out, f"· {note}")


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
        f"{timing.calls:,}",
        f"{timing.gain:.2f}×",
        f"{_difference(timing)}{wrong}",
    ]


def _difference(timing: Timing) -> str:
    return "something not finite" if timing.difference is None else f"{timing.difference:.1e}"


def _numbers(text: str) -> list[int]:
    return [positive(part) for part in names(text)]
