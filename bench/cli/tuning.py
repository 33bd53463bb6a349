"""`bench tuning`: what every trial of a suite took and came to."""

from __future__ import annotations

import argparse

from bench.cli.options import add_suite
from bench.cli.output import console, emit_json, examples, say, table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "tuning",
        help="what each trial of the tuning took and scored",
        description="Prints every study of a suite: the best trial, the rates that were searched "
        "and what is to be known of it. Then every trial, with its score on the tune split.",
        epilog=examples(
            "bench tuning --runs runs/mine",
            "bench tuning --runs runs/mine --method tinybert --task stsb",
        ),
    )
    parser.add_argument("--method", metavar="M", help="a method, as the suite's page names it")
    parser.add_argument("--task", metavar="T", help="a task")
    add_suite(parser)
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints a table of the studies, and one of their trials."""
    from bench.leaderboard.tuning import (
        STUDY_HEADS,
        TRIAL_HEADS,
        chosen_studies,
        study_row,
        trial_rows,
    )
    from bench.results.suites import open_suite

    opened = open_suite(arguments.runs, arguments.name)
    studies = chosen_studies(opened.studies, arguments.method, arguments.task)
    if arguments.json:
        suite = opened.suite["name"]
        emit_json({"runs": str(arguments.runs), "suite": suite, "studies": studies})
        return 0
    out = console()
    say(out, f"{opened.suite['name']}: trials are counted from 1, scores are on the tune split")
    out.print(table(STUDY_HEADS, [study_row(study) for study in studies]))
    out.print(table(TRIAL_HEADS, [row for study in studies for row in trial_rows(study)]))
    return 0
