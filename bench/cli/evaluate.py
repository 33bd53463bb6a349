"""`bench evaluate`: score and count a checkpoint that was made elsewhere."""

from __future__ import annotations

import argparse

from bench.cli.output import console, examples, say, table
from bench.cli.rows import add_rows, source_of
from bench.cli.values import names
from bench.errors import BenchError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score and count a checkpoint made elsewhere",
        description="Scores a fine-tuned classifier on a task's report rows, counts it, and writes "
        "a record. A suite of --runs shows it on its page, unranked.",
        epilog=examples(
            "bench evaluate my/classifier --task cola --data-dir GLUE --runs runs/mine"
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="folder or hub name of the classifier")
    parser.add_argument("--task", required=True, metavar="T", help="task, or a file declaring one")
    parser.add_argument("--label-map", type=names, default=[], metavar="LABEL=LABEL,…",
                        help="the checkpoint's labels (name or number) = the task's")  # fmt: skip
    parser.add_argument("--dense", metavar="MODEL",
                        help="the uncompressed model (default: MODEL's own shapes)")  # fmt: skip
    parser.add_argument("--name", metavar="SUITE",
                        help="the suite that shows it; not needed where there is one")  # fmt: skip
    add_rows(parser)
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Evaluates, writes the record, and prints it beside the suite's rows."""
    from bench.leaderboard.markdown import rounded
    from bench.leaderboard.page import write_run_page
    from bench.leaderboard.text import tables_of
    from bench.machine import resolve_device
    from bench.results.layout import AXES
    from bench.results.store import Store
    from bench.results.suites import counted_length, open_suite, suites_run_in
    from bench.runs import external
    from bench.runs.names import select_tasks

    label_map = dict(_pair(text) for text in arguments.label_map)
    (name, task), *others = select_tasks([arguments.task]).items()
    if others:
        raise BenchError(f"--task {arguments.task} is a group of tasks: name one of them.")
    source = source_of(arguments)
    store = Store(arguments.runs)
    suite = open_suite(arguments.runs, arguments.name).suite if suites_run_in(store.root) else None
    if suite is None and arguments.name is not None:
        raise BenchError(f"{arguments.runs} has no suite '{arguments.name}'.")
    try:
        record, predictions = external.evaluate(
            arguments.model,
            task,
            source,
            task_name=name,
            store=store,
            device=resolve_device(arguments.device),
            label_map=label_map,
            dense=arguments.dense,
            length=None if suite is None else suite["settings"].get("sequence_length"),
        )
        external.enter(store, record, predictions, suite)
    except OSError as error:
        raise BenchError(f"{arguments.runs} cannot be written: {error}") from error
    out = console()
    if suite is not None:
        page = write_run_page(store, suite["name"])
        say(out, *tables_of(page).split("\n"), "", f"The page: {page.path}", "")
    counts = [rounded(record.footprint[axis]["ratio"], 2) for axis in AXES]
    heads = (
        "checkpoint",
        task.name,
        "weights ×",
        "parameters ×",
        f"FLOPs × (S = {counted_length(suite)})",
    )
    out.print(table(heads, [[record.cell["method"], rounded(record.score, 1), *counts]]))
    say(out, f"record: {store.folder(record.id) / 'record.json'}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise BenchError(f"--label-map '{text}' is not of the form LABEL=LABEL.")
    return key.strip(), value.strip()
