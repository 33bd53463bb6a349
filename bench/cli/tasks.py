"""`bench tasks`: what can be run on."""

from __future__ import annotations

import argparse
import dataclasses

from bench import registry
from bench.cli.output import console, emit_json, table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("tasks", help="list the tasks that are installed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints every task, and every plugin that could not be loaded."""
    usable, broken = registry.tasks.usable(), registry.tasks.broken()
    if arguments.json:
        emit_json(
            {
                "tasks": [
                    {
                        **dataclasses.asdict(task.info),
                        "distribution": registry.tasks.distribution(name),
                    }
                    for name, task in usable.items()
                ],
                "broken": [dataclasses.asdict(entry) for entry in broken],
            }
        )
        return 0
    rows = [
        [name, task.info.suite or "–", labels(task.info.labels), task.info.metric,
         task.info.summary]
        for name, task in usable.items()
    ]  # fmt: skip
    out = console()
    out.print(table(["task", "suite", "labels", "metric", "what is to be told"], rows))
    for entry in broken:
        out.print(f"broken: {entry}", markup=False, style="red")
    return 0


def labels(names: tuple[str, ...] | None) -> str:
    """How a task's labels read in a listing."""
    return "a number" if names is None else str(len(names))
