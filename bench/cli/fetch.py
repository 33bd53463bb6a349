"""`bench fetch`: bring everything that a later `--offline` run needs."""

from __future__ import annotations

import argparse

from bench.cli.output import console, examples, say
from bench.cli.values import names
from bench.errors import BenchError, unknown_name
from bench.models.folder import model_folder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "fetch",
        help="fetch data and models from the hub for a later --offline run",
        description="Fetches tasks' data sets and an encoder into the hub's cache.",
        epilog=examples("bench fetch --tasks glue --model google-bert/bert-base-uncased"),
    )
    parser.add_argument(
        "--tasks", type=names, default=[], metavar="glue|NAME,…", help="tasks whose data to fetch"
    )
    parser.add_argument("--challenge", type=names, default=[], metavar="NAME,…",
                        help="challenge sets to fetch")  # fmt: skip
    parser.add_argument("--model", metavar="HUB", help="encoder to fetch")
    parser.add_argument("--revision", metavar="REV", help="revision of the hub's data set")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Fetches, and says where everything lies."""
    from bench import registry
    from bench.data.task import Source
    from bench.data.tasks.challenge_sets import SETS
    from bench.runs.encoder import DEMO
    from bench.runs.names import select_tasks

    if not (arguments.tasks or arguments.challenge or arguments.model):
        raise BenchError("nothing to fetch: name --tasks, --challenge or --model.")
    if unknown := [name for name in arguments.challenge if name not in SETS]:
        raise unknown_name("challenge set", unknown[0], SETS)
    out = console()
    for task in select_tasks(arguments.tasks).values():
        splits = task.load(Source(revision=arguments.revision))
        revision = splits.provenance.get("revision", "not from the hub")
        say(out, f"{task.name}: {len(splits.train):,} training rows ({revision})")
    for one in map(SETS.__getitem__, arguments.challenge):
        for task_name in one.info.tasks:
            rows = one.load(registry.task(task_name), Source()).rows
            say(out, f"{one.name}: {len(rows):,} rows for {task_name}")
    if arguments.model == DEMO:
        say(out, f"{DEMO}: built in (not from the hub)")
    elif arguments.model is not None:
        folder = model_folder(arguments.model)
        say(out, f"{arguments.model}: {folder}")
    return 0
