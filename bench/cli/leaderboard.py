"""`bench leaderboard`: pages from records."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from bench.cli.output import complain, console, examples, say
from bench.errors import BenchError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "leaderboard",
        help="make pages from records, or check them",
        description="Takes the suites of run folders into --out (records, predictions, pages), or, "
        "without --runs, makes the pages of --out anew from the records that lie there.",
        epilog=examples(
            "bench leaderboard --runs runs/mine --out leaderboards", "bench leaderboard --check"
        ),
    )
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="run folders; records of the same suite are merged",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("leaderboards"),
        metavar="DIR",
        help="folder of the pages; default leaderboards",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; status 1 where a page is not what its records give",
    )
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Writes or checks pages."""
    from bench.leaderboard import publish

    if arguments.check and arguments.runs:
        raise BenchError("--check compares the pages in --out with their records: leave --runs.")
    if arguments.check:
        wrong = publish.check(arguments.out)
        for path in wrong:
            complain(f"{path} is not what its records give.")
        if any(path.suffix == ".svg" for path in wrong):
            complain(
                f"matplotlib {version('matplotlib')} is installed; another release may draw the "
                "same figures in other bytes."
            )
        if not wrong:
            say(console(), f"{arguments.out}: every page is what its records give.")
        return int(bool(wrong))
    try:
        publish.add_suites(arguments.runs, arguments.out)
        written = publish.write(arguments.out)
    except OSError as error:
        raise BenchError(f"{arguments.out} cannot be written: {error}") from error
    say(console(), *map(str, written))
    return 0
