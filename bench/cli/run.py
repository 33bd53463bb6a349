"""`bench run`: from a selection to records and a leaderboard."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import tempfile
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import output
from bench.cli.command import config_words, portable_command
from bench.cli.options import add_options
from bench.cli.output import console
from bench.errors import BenchError
from bench.runs import schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import Context
    from bench.runs.processes import Pool
    from bench.runs.request import Request
    from bench.runs.suite import Suite


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "run",
        help="run methods on tasks and write a leaderboard",
        description="Runs methods on tasks under one protocol and writes a leaderboard. Without "
        "arguments: the embedded demo, offline. A suite may bring its own defaults.",
    )
    add_options(parser)
    parser.set_defaults(handler=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs a suite; see the module."""
    from bench import hub
    from bench.runs.processes import warm_up
    from bench.runs.request import resolve

    words = list(arguments.words)
    if arguments.config is not None:
        options = arguments.parser._option_string_actions
        words = [*config_words(arguments.config, options), *words]
        arguments = arguments.parser.parse_args(words)
    if arguments.offline:
        hub.go_offline()
    if arguments.workers != 1 and not arguments.dry_run:
        warm_up()
    suite = resolve(_request(arguments))
    if suite.storage is not None and suite.protocol.trials:
        from bench.runs.cells.study import check_storage

        check_storage(suite.storage)
    out = console()
    for notice in suite.notices:
        out.print(f"note: {notice}", markup=False, soft_wrap=True)
    if arguments.dry_run:
        return _dry_run(suite, arguments, out)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    precision = suite.protocol.precision if suite.auto_precision else None
    return _run(suite, arguments, portable_command(words, precision), out)


def _run(suite: Suite, arguments: argparse.Namespace, command: str, out: Console) -> int:
    from bench.cli.progress import RunDisplay
    from bench.leaderboard import page as leaderboard
    from bench.results.store import Store
    from bench.runs import executor as runner

    context, cells = _plan(suite, suite.runs / "data", arguments.shard)
    for name, prepared in context.tasks.items():
        if skipped := prepared.facts["skipped"]:
            count = prepared.facts["skipped_rows"]
            out.print(f"note: {name}: {count} unreadable rows left out; the first: {skipped[0]}",
                      markup=False, soft_wrap=True)  # fmt: skip
    if context.probe is not None and context.probe.obstacle:
        out.print(f"note: what is left of pre-training is not measured: {context.probe.obstacle}.",
                  markup=False, soft_wrap=True)  # fmt: skip
    todo, done = schedule.select(cells, context, arguments.rerun)
    _announce(suite, context, todo, (len(cells), done), out)
    store = Store(suite.runs)
    with RunDisplay(out, todo) as display, _pool(suite, todo) as pool:
        try:
            if note := suite.write(command, context):
                out.print(f"note: {note}", markup=False, soft_wrap=True)
            left = runner.run(todo, context, display, pool=pool, max_hours=arguments.max_hours)
            page = leaderboard.write_run_page(store, suite.name)
        except (BenchError, OSError) as error:
            said = isinstance(error, BenchError)
            reason = str(error) if said else f"{suite.runs} cannot be written: {error}"
            if not display.has_ended:
                raise BenchError(reason) from error
            sys.stderr.write(f"bench: {reason}; finished cells and trials are kept.\n")
            return 1
    out.print()
    out.print(output.for_terminal(page), markup=False, soft_wrap=True, highlight=False)
    out.print(f"\nThe page: {page.path}", markup=False, soft_wrap=True)
    if left:
        rest = "" if arguments.rerun == "never" else ", the oldest records first"
        out.print(f"{left} cells and trials are left; the same command goes on with them{rest}.")
    failed = [
        record
        for record in map(store.get, (context.bind(cell).id for cell in cells))
        if record is not None and record.status == "failed"
    ]
    for record in failed:
        log = suite.runs / (record.error or {}).get("log", record.id)
        cell = f"{record.cell['method']} on {record.cell['task']}, seed {record.cell['seed']}"
        reason = (record.error or {}).get("message", "")
        sys.stderr.write(f"bench: failed: {cell}: {reason} (log: {log})\n")
    return int(bool(failed))


def _plan(
    suite: Suite, cache: Path, part: tuple[int, int], *, augment: bool = True
) -> tuple[Context, list[Cell]]:
    from bench.runs.plan import shard

    try:
        context = suite.carrying(suite.prepare(cache, augment))
    except OSError as error:
        raise BenchError(f"{suite.runs} cannot be written: {error.strerror or error}") from error
    return context, shard(suite.cells(), *part)


def _announce(
    suite: Suite, context: Context, todo: list[Job], counts: tuple[int, int], out: Console
) -> None:
    """Says what is to be run, and what it will cost."""
    from bench.cli.progress import duration
    from bench.runs.cost import TIMED_STEPS, estimate

    (cells, done), trials = counts, sum(job.trial for job in todo)
    before = f" after {trials} trials" if trials else ""
    out.print(f"{suite.name}: {cells} cells, {done} done, {len(todo) - trials} to run{before} in "
              f"{suite.runs}", markup=False, soft_wrap=True)  # fmt: skip
    if not todo:
        return
    cost = estimate(todo, context, suite.workers)
    general = f", {cost.general} of them on unlabelled text" if cost.general else ""
    cache = suite.folder.teacher_cache_gb if cost.taught else 0
    answers = f", and up to {cache:g} GB for teachers' answers" if cache else ""
    for line in (
        f"{cost.trainings} trainings{general}, {cost.steps:,} optimizer steps; "
        f"{cost.unreachable} cells cannot be reached",
        f"about {duration(cost.seconds)} on this machine, from {TIMED_STEPS} timed steps of dense "
        "fine-tuning a task (a teacher may double it; what a method does besides training, such as "
        "ranking weights by many gradients, comes on top)",
        f"about {cost.megabytes:,.0f} MB of disk{answers}",
    ):
        out.print(line, markup=False, soft_wrap=True)


def _dry_run(suite: Suite, arguments: argparse.Namespace, out: Console) -> int:
    from bench.runs.schedule import select

    with tempfile.TemporaryDirectory() as folder:
        context, cells = _plan(suite, Path(folder), arguments.shard, augment=False)
        todo, done = select(cells, context, arguments.rerun)
        _announce(suite, context, todo, (len(cells), done), out)
        if suite.protocol.augment:
            out.print("steps are those with every variant of a row; making them comes on top")
    return 0


def _pool(suite: Suite, todo: Sequence[Job]) -> AbstractContextManager[Pool | None]:
    from bench.machine import visible_gpus
    from bench.runs.processes import Pool

    if suite.workers == 1 or not todo:
        return nullcontext()
    return closing(Pool(suite.workers, visible_gpus() if suite.device == "cuda" else ()))


def _request(arguments: argparse.Namespace) -> Request:
    """The command line as a request; options that are silent keep the request's own defaults."""
    from bench.runs.request import Request

    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(Request)}
    return Request(**{name: value for name, value in given.items() if value is not None})
