"""`bench status`: what is done, running, failed and left."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.output import console, emit_json, examples, say, table
from bench.errors import BenchError
from bench.progress import duration

RUNS = Path("runs")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "status",
        help="what is done, running, failed, left; time to go",
        epilog=examples("bench status --runs runs/mine"),
    )
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR",
                        help="run folder; default runs")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Prints a row a suite of the run folder."""
    from bench.results.status import STATES, nodes_state, suite_state
    from bench.results.store import Store
    from bench.results.suites import suites_run_in

    if arguments.runs != RUNS and not arguments.runs.is_dir():  # by default there may be none yet
        raise BenchError(f"{arguments.runs} is no folder: --runs names a run folder.")
    store = Store(arguments.runs)
    suites = [suite_state(store, suite) for suite in suites_run_in(store.root).values()]
    nodes = nodes_state(store)
    if arguments.json:
        emit_json({"runs": str(store.root), "suites": suites, "nodes": nodes})
        return 0
    out = console()
    if not suites:
        pages = (store.root / "records").is_dir()
        what = "pages, whose cells are done" if pages else "no suite has been run here"
        say(out, f"{store.root}: {what}.")
        return 0
    states = [s for s in STATES if s in ("ok", "left") or any(suite[s] for suite in suites)]
    rows = [
        [
            suite["name"],
            f"{suite['trials']} of {suite['trials_in_all']}",
            *(str(suite[state]) for state in states),
            "–" if suite["seconds_left"] is None else duration(suite["seconds_left"]),
        ]
        for suite in suites
    ]
    out.print(table(["suite", "trials", *states, "time to go"], rows))
    if nodes:
        keys = ("address", "id", "processor", "state", "busy", "slots")
        heads = ["node", "id", "processor", "state", "at work", "slots"]
        out.print(table(heads, [[str(node[key]) for key in keys] for node in nodes]))
    for suite in suites:
        for failure in suite["failures"]:
            say(out, f"failed: {failure}")
    return 0
