"""`bench status`: what is done, running, failed and left."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from bench.cli.output import console, emit_json, table
from bench.cli.progress import duration
from bench.descriptions import read_suites
from bench.errors import BenchError
from bench.files import read_json
from bench.records import Record, Store

RUNS = Path("runs")
STATES = ("ok", "missed", "unreachable", "failed", "external", "running", "left")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("status", help="what is done, running, failed, left; time to go")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR",
                        help="run folder; default runs")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints a row a suite of the run folder."""
    if arguments.runs != RUNS and not arguments.runs.is_dir():  # by default there may be none yet
        raise BenchError(f"{arguments.runs} is no folder: --runs names a run folder.")
    store = Store(arguments.runs)
    suites = [suite_state(store, suite) for suite in read_suites(store.root / "suites").values()]
    if arguments.json:
        emit_json({"runs": str(store.root), "suites": suites})
        return 0
    out = console()
    if not suites:
        pages = (store.root / "records").is_dir()
        what = "pages, whose cells are done" if pages else "no suite has been run here"
        out.print(f"{store.root}: {what}.", markup=False, soft_wrap=True)
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
    for suite in suites:
        for failure in suite["failures"]:
            out.print(f"failed: {failure}", markup=False, soft_wrap=True)
    return 0


def suite_state(store: Store, suite: dict[str, Any]) -> dict[str, Any]:
    """Counts of a suite's trials and cells by state, its failures, and the time that is left."""
    counts = dict.fromkeys(STATES, 0)
    durations: dict[str, list[float]] = {}
    failures, waiting, tried = [], [], 0
    studies, trials = suite.get("studies", {}), suite["settings"]["trials"]
    for study, method in studies.items():
        made = (read_json(store.root / "tuning" / study / "study.json") or {}).get("trials", [])
        durations.setdefault(method, []).extend(t["wall_s"] for t in made if "wall_s" in t)
        tried += len(made)
        waiting += [method] * (trials - len(made))
    for cell_id, (method, task, ratio, seed) in suite["cells"].items():
        record = store.get(cell_id)
        if record is None:
            counts["running" if store.is_locked(cell_id) else "left"] += 1
            waiting.append(method)
            continue
        counts[record.status] += 1
        if "wall_s" in record.cost:
            durations.setdefault(method, []).append(record.cost["wall_s"])
        if record.status == "failed":
            failures.append(f"{method} on {task} {ratio:g}× seed {seed}: {_reason(record)}")
    return {
        "name": suite["name"],
        "trials": tried,
        "trials_in_all": trials * len(studies),
        **counts,
        "failures": failures,
        "seconds_left": _seconds_left(durations, waiting, suite["workers"]),
    }


def _seconds_left(
    durations: dict[str, list[float]], waiting: list[str], workers: int
) -> float | None:
    """Time to go, from the cells of the same method that are done; `None` where none is."""
    if not waiting:
        return 0.0
    known = [seconds for values in durations.values() for seconds in values]
    if not known:
        return None
    overall = statistics.fmean(known)
    total = sum(statistics.fmean(durations.get(method) or [overall]) for method in waiting)
    return total / workers


def _reason(record: Record) -> str:
    error = record.error or {}
    return f"{error.get('message', '')} (log: {error.get('log', '')})"
