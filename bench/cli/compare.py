"""`bench compare`: two methods on one task, example by example, or on the average; with a test."""

from __future__ import annotations

import argparse
from typing import Any

from bench.cli.options import add_suite
from bench.cli.output import console, emit_json, table
from bench.errors import BenchError
from bench.leaderboard.comparison import differing_examples, row_of, standings_of

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
    )
    parser.add_argument("one", metavar="A", help="a method, as the page names it")
    parser.add_argument("other", metavar="B", help="another, or a control")
    parser.add_argument("--task", metavar="T", help="the task (default: the average of the page)")
    parser.add_argument("--ratio", type=float, metavar="R",
                        help="the ratio; needed where the suite has several")  # fmt: skip
    add_suite(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Compares."""
    from bench.leaderboard import statistics
    from bench.results.suites import open_suite

    opened = open_suite(arguments.runs, arguments.name)
    task = arguments.task
    result = standings_of(opened, task, arguments.ratio)
    over = result.averaged if task is None else [task]
    one, first = row_of(result, arguments.one, over)
    other, second = row_of(result, arguments.other, over)
    names = (one.method, other.method)
    if one is other:
        raise BenchError(f"both are {one.method}; compare takes two different methods.")
    pairs = result.average_pairs if task is None else result.pairs[task]
    found = statistics.difference(pairs, *names)
    examples = None if task is None else differing_examples(opened, one, other, task)
    report = {
        "suite": opened.suite["name"],
        "task": task,
        "tasks": over,
        "ratio": max(r.cell["ratio"] for row in (one, other) for r in row.records),
        "methods": list(names),
        "scores": [first, second],
        "seeds": [min(len(row.scores[t]) for t in over) for row in (one, other)],
        "difference": first - second if found is None else found.value,
        "half_width_95": None if found is None else found.half_width,
        "p": None if found is None else found.p,
        "p_holm": None if found is None else result.adjusted(pairs, *names),
        "holm_over": result.family(*names)[0],
        "freedom": None if found is None else found.freedom,
        "examples": examples,
    }
    if arguments.json:
        emit_json(report)
        return 0
    _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    out, (one, other) = console(), report["methods"]

    def say(line: str) -> None:
        out.print(line, markup=False, soft_wrap=True)

    what = report["task"] or f"average of {', '.join(report['tasks'])}"
    say(f"{report['suite']}, {what}, {report['ratio']:g}×")
    for method, score, seeds in zip(report["methods"], report["scores"], report["seeds"],
                                    strict=True):  # fmt: skip
        say(f"{method}: {score:.2f}, mean of {seeds} seed{'s' * (seeds > 1)}")
    lead = f"{round(report['difference'], 2) + 0.0:+.2f}"  # adding 0 makes -0 one
    if report["half_width_95"] is None:
        say(f"difference: {lead}; no interval and no test: it takes two seeds "
            "of both, and their predictions")  # fmt: skip
    else:
        say(f"difference: {lead} ± {report['half_width_95']:.2f} (95 %), "
            f"p = {report['p']:.2g}, {report['p_holm']:.2g} after Holm over {report['holm_over']}; "
            f"{report['freedom']:.1f} degrees of freedom")  # fmt: skip
    if report["task"] is None:
        return
    examples = report["examples"]
    if examples is None:
        say("predictions are missing: which examples are answered differently is not known")
        return
    each = ", an answer a seed:" if max(report["seeds"]) > 1 else ":"
    say(f"{len(examples)} report examples are answered differently{each if examples else '.'}")
    if examples:
        heads = ("row", "label", one, other)
        rows = [[f"{e['row']}", f"{e['label']:g}", *e["answers"]] for e in examples[:SHOWN]]
        out.print(table(heads, rows))
        if len(examples) > SHOWN:
            say(f"and {len(examples) - SHOWN} more (--json has all)")
