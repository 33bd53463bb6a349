"""`bench validate`: whether records that somebody sends agree with themselves."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from bench.cli.output import console, emit_json, examples, say


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "validate",
        help="check records that somebody sends",
        description="Checks format, checksums and hashes, computes scores anew from predictions "
        "and ratios from counts, and compares records with their suite, their studies and each "
        "other. Writes nothing, and runs no code of others. Status 1 where something is wrong, 2 "
        "where a path cannot be read at all.",
        epilog=examples(
            "bench validate leaderboards/records/mine.jsonl", "bench validate runs/mine --json"
        ),
    )
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORDS",
                        help="run folders, folders of pages, or records/SUITE.jsonl of "
                        "one")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints a line a finding."""
    from bench import registry
    from bench.results.received import receive
    from bench.results.validation import findings

    methods, tasks = registry.methods.names(), registry.tasks.names()
    received = [suite for path in arguments.records for suite in receive(path)]
    found = [one for suite in received for one in findings(suite, methods, tasks)]
    errors = sum(one.is_error for one in found)
    counts = {
        "suites": len(received),
        "records": sum(len(suite.records) for suite in received),
        "predictions": sum(len(suite.predictions) for suite in received),
        "errors": errors,
        "notes": len(found) - errors,
    }
    if arguments.json:
        emit_json({**counts, "findings": [dataclasses.asdict(one) for one in found]})
    else:
        listed = ", ".join(f"{n:,} {what[: -1 if n == 1 else None]}" for what, n in counts.items())
        say(console(), *map(str, found), listed)
    return int(bool(errors))
