"""What of a suite is done, running, failed and left, and how long the rest will take."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bench.files import read_json
from bench.results.layout import StudyFile
from bench.results.studies import summary_path
from bench.schema import Count

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store

NODES = "nodes"
"""File of a run folder that says which nodes a run uses, and the lock of who uses them."""

STATES = ("ok", "missed", "unreachable", "failed", "external", "running", "left")


def suite_state(store: Store, suite: dict[str, Any]) -> dict[str, Any]:
    """Counts of a suite's trials and cells by state, its failures, and the time that is left."""
    counts = dict.fromkeys(STATES, 0)
    durations: dict[str, list[float]] = {}
    failures, waiting, tried, wanted = [], [], 0, 0
    each = suite["settings"]["trials"] or 1  # where nothing is searched
    for study, method in suite.get("studies", {}).items():
        summary = read_json(summary_path(store, study), StudyFile) or {}
        made = summary.get("trials", [])
        durations.setdefault(method, []).extend(t["wall_s"] for t in made if "wall_s" in t)
        tried += len(made)
        in_all = len(made) if summary.get("complete") else each
        wanted += in_all
        waiting += [method] * (in_all - len(made))
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
        "trials_in_all": wanted,
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


def nodes_state(store: Store) -> list[dict[str, Any]]:
    """The nodes that a run of the folder uses at the moment; none where it runs on no cluster.

    Returns:
        Each node's `address`, `id`, `processor`, `state`, and how many of its `slots` are `busy`.
    """
    if not store.is_locked(NODES):  # who wrote the file may have been killed
        return []
    said = read_json(store.root / f"{NODES}.json", _Nodes)
    return [] if said is None else list(said["nodes"])


class _Node(Struct, kw_only=True):
    """What `nodes.json` says of a node."""

    address: str
    id: str
    processor: str
    state: str
    busy: Count
    slots: Count


class _Nodes(Struct, kw_only=True):
    """What `nodes.json` has to say."""

    nodes: list[_Node]
