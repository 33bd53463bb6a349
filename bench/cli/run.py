"""`bench run`: from a selection to records and a leaderboard."""

from __future__ import annotations

import argparse
import dataclasses
import signal
from typing import TYPE_CHECKING

from bench.cli.config import config_claims, config_words
from bench.cli.options import add_options
from bench.cli.output import complain, console, examples, say

if TYPE_CHECKING:
    from bench.progress import RunDisplay
    from bench.runs.request import Request


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "run",
        help="run methods on tasks and write a leaderboard",
        description="Runs methods on tasks under one protocol and writes a leaderboard. Without "
        "arguments: the embedded demo, offline. A group of tasks may bring its own defaults.",
        epilog=examples(
            "bench run",
            "bench run --methods magnitude,tinybert --tasks cola --data-dir GLUE --model BERT \\",
            "          --ratios 4,20 --effort quick --runs runs/mine",
            "bench run --dry-run --methods all --tasks glue",
        ),
    )
    add_options(parser)
    parser.set_defaults(handler=handle, parser=parser)


def handle(arguments: argparse.Namespace) -> int:
    """Runs a suite, and prints its tables."""
    from bench import api
    from bench.progress import RunDisplay

    arguments, words = with_file(arguments)
    request, out = request_of(arguments), console()
    display = RunDisplay(out)
    if arguments.dry_run:
        api.foretell(request, display, arguments.shard, arguments.rerun)
        return 0
    return carried_out(request, display, words, arguments, "run")


def with_file(arguments: argparse.Namespace) -> tuple[argparse.Namespace, list[str]]:
    """The options with those of `--config` before them, and the words that would say them all."""
    words = list(arguments.words)
    if arguments.config is None:
        return arguments, words
    options = arguments.parser._option_string_actions
    words = [*config_words(arguments.config, options), *words]
    claims, parser = config_claims(arguments.config), arguments.parser
    arguments = parser.parse_args(words)
    arguments.claims = claims
    return arguments, words


def carried_out(
    request: Request,
    display: RunDisplay,
    words: list[str],
    arguments: argparse.Namespace,
    command: str,
) -> int:
    """Runs what is asked for, and prints its tables, what is left and what failed."""
    from bench import api

    out = console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = api.carry_out(
            request, display, words, arguments.shard, arguments.rerun, arguments.max_hours, command
        )
    except api.RunStoppedError as error:
        complain(str(error))
        return 1
    say(out, "", *str(result).split("\n"), "", f"The page: {result.page.path}")
    if result.left:
        rest = "" if arguments.rerun == "never" else ", the oldest records first"
        say(
            out,
            f"{result.left} cells and trials are left; the same command goes on with them{rest}.",
        )
    for record in result.failed:
        log = result.runs / (record.error or {}).get("log", record.id)
        cell = f"{record.cell['method']} on {record.cell['task']}, seed {record.cell['seed']}"
        reason = (record.error or {}).get("message", "")
        complain(f"failed: {cell}: {reason} (log: {log})")
    return int(bool(result.failed))


def request_of(arguments: argparse.Namespace) -> Request:
    """The command line as a request; options that are silent keep the request's own defaults."""
    from bench.api import PUBLISHED
    from bench.runs.request import Request

    given = {
        field.name: getattr(arguments, field.name, None) for field in dataclasses.fields(Request)
    }
    said = {name: value for name, value in given.items() if value is not None}
    return Request(**said, published=PUBLISHED)
