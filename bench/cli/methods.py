"""`bench methods`: what can be run."""

from __future__ import annotations

import argparse
import dataclasses

from bench import registry
from bench.cli.output import console, emit_json, table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("methods", help="list the methods that are installed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints every method, and every plugin that could not be loaded."""
    usable, broken = registry.methods.usable(), registry.methods.broken()
    if arguments.json:
        emit_json(
            {
                "methods": [
                    {
                        **dataclasses.asdict(method.info),
                        "distribution": registry.methods.distribution(name),
                        "missing": registry.missing_requirements(method.info),
                    }
                    for name, method in usable.items()
                ],
                "broken": [dataclasses.asdict(entry) for entry in broken],
            }
        )
        return 0
    rows = [
        [name, method.info.kind, method.info.summary, method.info.paper or "–"]
        for name, method in usable.items()
    ]
    out = console()
    out.print(table(["method", "kind", "what it does", "paper"], rows))
    for method in usable.values():
        for line in registry.missing_requirements(method.info).values():
            out.print(f"{method.info.name} is not usable yet: {line}", markup=False)
    for entry in broken:
        out.print(f"broken: {entry}", markup=False, style="red")
    return 0
