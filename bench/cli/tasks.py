"""`bench tasks`: what can be run on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench import registry
from bench.cli.listing import show
from bench.cli.output import examples
from bench.metrics import METRICS

if TYPE_CHECKING:
    from bench.data.task import Task


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "tasks",
        help="list the tasks that are installed",
        epilog=examples("bench tasks", "bench tasks --json"),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints every task, and every plugin that could not be loaded."""
    return show(
        arguments,
        registry.tasks,
        heads=("group", "labels", "metric", "question"),
        row=_row,
    )


def _row(task: type[Task]) -> list[str]:
    info = task.info
    told = "a span" if METRICS[info.metric].spans else labels(info.labels)
    return [info.group or "–", told, info.metric, info.summary]


def labels(names: tuple[str, ...] | None) -> str:
    """How a task's labels read in a listing."""
    return "a number" if names is None else str(len(names))
