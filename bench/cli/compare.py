"""`bench compare`: two methods on one task, example by example, or on the average; with a test."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.cli.options import add_suite
from bench.cli.output import console, emit_json, table
from bench.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.results.suites import OpenSuite
    from bench.standings import Row, Standings

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
    from bench import statistics
    from bench.results.suites import open_suite

    opened = open_suite(arguments.runs, arguments.name)
    task = arguments.task
    result = _standings(opened, task, arguments.ratio)
    over = result.averaged if task is None else [task]
    one, first = _row(result, arguments.one, over)
    other, second = _row(result, arguments.other, over)
    names = (one.method, other.method)
    if one is other:
        raise BenchError(f"both are {one.method}; compare takes two different methods.")
    pairs = result.average_pairs if task is None else result.pairs[task]
    found = statistics.difference(pairs, *names)
    examples = None if task is None else _examples(opened, one, other, task)
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


def _standings(opened: OpenSuite, task: str | None, ratio: float | None) -> Standings:
    """The table that the two stand in, of one task or of all."""
    from bench.standings import standings

    done = [record for record in opened.records if record.status != "external"]
    tasks = list(dict.fromkeys(cell[1] for cell in opened.suite["cells"].values()))
    if task is not None and task not in tasks:
        raise unknown_name("task", task, tasks)
    tasks = tasks if task is None else [task]
    ratios = sorted({record.cell["ratio"] for record in done} - {1.0})
    if ratio is None and len(ratios) > 1:
        listed = " or ".join(f"{known:g}" for known in ratios)
        raise BenchError(f"the suite has several ratios; say --ratio {listed}.")
    if ratio is None:
        ratio = (ratios or [1.0])[0]
    if ratio not in [*ratios, 1.0]:
        listed = ", ".join(f"{known:g}" for known in ratios)
        raise BenchError(f"the suite has no ratio {ratio:g}; it has {listed}.")
    at = {
        wanted: [r for r in done if r.cell["ratio"] == wanted and r.cell["task"] in tasks]
        for wanted in (ratio, 1.0)
    }
    return standings(at[ratio] if ratio != 1 else [], at[1.0], tasks, opened.answers)


def _row(result: Standings, method: str, tasks: Sequence[str]) -> tuple[Row, float]:
    """The row of a method that has a score on each of the tasks, and their average.

    Raises:
        BenchError: There is none, or no task at all.
    """
    if not tasks:
        raise BenchError("no task of the suite counts towards an average; --task names one.")
    averages = {row.method: row.average(tasks) for row in result.rows}
    row, average = result.row(method), averages.get(method)
    if row is None or average is None:
        known = [name for name, value in averages.items() if value is not None]
        raise unknown_name(f"method with a score on {' and '.join(tasks)}", method, known)
    return row, average


def _examples(opened: OpenSuite, one: Row, other: Row, task: str) -> list[dict[str, Any]] | None:
    """Examples by how differently the two do on them; `None` where a cell has no predictions.

    How good an answer is: 1 where it is right, for a regression the distance to the label, negated.
    """
    import numpy as np

    answers = []
    for row in (one, other):
        found = [opened.answers(r.id) for r in row.records
                 if r.cell["task"] == task and r.status == "ok"]  # fmt: skip
        known = [predictions for predictions in found if predictions is not None]
        if len(known) < len(found):
            return None
        answers.append(known)
    labels = answers[0][0].labels
    regression = any(r.scores.get("pearson") is not None for r in one.records)
    given = [np.stack([p.answers for p in known]) for known in answers]
    good = [
        -np.abs(g - labels).mean(axis=0) if regression else (g == labels).mean(axis=0)
        for g in given
    ]
    lead = good[0] - good[1]
    differ = np.flatnonzero((given[0].mean(axis=0) != given[1].mean(axis=0)) | (lead != 0))
    order = differ[np.argsort(-np.abs(lead[differ]), kind="stable")]

    def shown(matrix: Any, row: int) -> str:
        return " ".join(f"{value:.3g}" for value in matrix[:, row].tolist())

    return [
        {
            "row": int(row),
            "label": float(labels[row]),
            "answers": [shown(matrix, row) for matrix in given],
            "lead": float(lead[row]),
        }
        for row in order
    ]
