"""`bench knowledge`: what is left of pre-training, beside the task's score."""

from __future__ import annotations

import argparse
import dataclasses

from bench.cli.options import add_suite
from bench.cli.output import console, emit_json, examples, say, table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "knowledge",
        help="what is left of pre-training, beside the task's score",
        description="Prints the masked-language-model (MLM) loss of every model of a suite on "
        "held-out text, beside its score: under the head that the encoder was pre-trained with, "
        "and under one that is fitted on the frozen model. Word frequencies are the floor.",
        epilog=examples("bench knowledge --runs runs/mine"),
    )
    add_suite(parser)
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints a table a task, and one of the averages."""
    from bench.leaderboard.knowledge import (
        HEADS,
        knowledge_caption,
        knowledge_lines,
        knowledge_notes,
        knowledge_row,
        knowledge_text,
    )
    from bench.results.suites import open_suite

    opened = open_suite(arguments.runs, arguments.name)
    suite, records = opened.suite, opened.records
    text = knowledge_text(suite["name"], records)
    lines = knowledge_lines(records, opened.answers)
    if arguments.json:
        rows = [dataclasses.asdict(line) for line in lines]
        emit_json({"runs": str(arguments.runs), "suite": suite["name"], "text": text, "rows": rows})
        return 0
    out = console()
    say(out, f"{suite['name']}: {knowledge_caption(text)}")
    for task in dict.fromkeys(line.task for line in lines):
        say(out, "", task)
        out.print(table(HEADS, [knowledge_row(line) for line in lines if line.task == task]))
    for note in knowledge_notes(lines):
        say(out, note)
    return 0
