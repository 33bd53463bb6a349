"""`bench methods`: what can be run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench import registry
from bench.cli.listing import show
from bench.cli.output import examples

if TYPE_CHECKING:
    from bench.compression.method import Method


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "methods",
        help="list the methods that are installed",
        epilog=examples("bench methods", "bench methods --json"),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints every method, and every plugin that could not be loaded."""
    return show(
        arguments,
        registry.methods,
        heads=("kind", "what it does", "paper"),
        row=lambda method: [method.info.kind, method.info.summary, method.info.paper or "–"],
        facts=lambda method: {"missing": registry.missing_requirements(method.info)},
        notes=_lacking,
    )


def _lacking(method: type[Method]) -> list[str]:
    lines = registry.missing_requirements(method.info).values()
    return [f"{method.info.name} is not usable yet: {line}" for line in lines]
