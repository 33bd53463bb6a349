"""`bench compare`: two methods on one task, example by example, or on the average; with a test."""

from __future__ import annotations

import argparse

from bench.cli.options import add_suite
from bench.cli.output import console, emit_json, examples, say, table

SHOWN = 10
"""Examples that are printed; --json has all of them."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="test two methods against each other, example by example",
        description="Prints the difference of two methods' scores with its interval and p: on a "
        "task, with the report examples that they answer differently, all seeds together, or on "
        "the average that a page ranks by.",
        epilog=examples(
            "bench compare magnitude tinybert --runs runs/mine --ratio 20",
            "bench compare magnitude tinybert --task cola --runs leaderboards --name glue-mini",
        ),
    )
    parser.add_argument("one", metavar="A", help="a method, as the suite's page names it")
    parser.add_argument("other", metavar="B", help="another, or a control")
    parser.add_argument("--task", metavar="T", help="the task (default: the average of the page)")
    parser.add_argument("--ratio", type=float, metavar="R",
                        help="the ratio; needed where the suite has several")  # fmt: skip
    add_suite(parser)
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Compares."""
    from bench.found import compare

    found = compare(
        arguments.one,
        arguments.other,
        runs=arguments.runs,
        task=arguments.task,
        ratio=arguments.ratio,
        name=arguments.name,
    )
    if arguments.json:
        emit_json(found.to_json())
        return 0
    out = console()
    for line in found.lines():
        say(out, line)
    if examples := found.examples:
        heads = ("row", "label", *found.methods)
        rows = [[f"{e['row']}", _label(e["label"]), *e["answers"]] for e in examples[:SHOWN]]
        out.print(table(heads, rows))
        if len(examples) > SHOWN:
            say(out, f"and {len(examples) - SHOWN} more (--json has all)")
    return 0


def _label(label: float | str) -> str:
    return label if isinstance(label, str) else f"{label:g}"
