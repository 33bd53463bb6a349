"""`bench status`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import PAGES, bench, quick

from bench.files import write_json
from bench.results.status import nodes_state
from bench.results.store import Store
from bench.results.suites import read_suites

pytestmark = pytest.mark.usefixtures("empty_place")


def test_status_counts_what_is_done_and_left(tmp_path: Path, unruly: Path) -> None:
    runs = tmp_path / "runs"
    quick(runs, methods="raises")
    quick(runs, "--shard", "2/4", methods="raises,majority,magnitude")  # majority alone
    result = bench("status", "--runs", runs, "--json")
    (suite,) = json.loads(result.out)["suites"]
    counts = {state: suite[state] for state in ("ok", "failed", "running", "left", "missed")}
    assert counts == {"ok": 2, "failed": 1, "running": 0, "left": 1, "missed": 0}
    assert suite["seconds_left"] > 0
    assert "raises on demo-sentiment 4× seed 0" in suite["failures"][0]
    shown = " ".join(bench("status", "--runs", runs).out.split())
    assert "raises on demo-sentiment" in shown
    assert "unreachable" not in shown  # where none is, a terminal's columns are for others


def test_status_shows_the_nodes_of_a_run_that_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    node = {"address": "host-a", "id": "0a1b2c3d", "processor": "a processor", "state": "used",
            "busy": 1, "slots": 2}  # fmt: skip
    write_json(tmp_path / "nodes.json", {"nodes": [node]})
    assert nodes_state(store) == []  # left by a command that was killed
    (tmp_path / "suites").mkdir()
    name, described = next(iter(read_suites(PAGES / "records").items()))
    write_json(tmp_path / "suites" / f"{name}.json", {**described, "commands": []})
    with store.lock("nodes"):
        assert nodes_state(store) == [node]
        said = json.loads(bench("status", "--runs", tmp_path, "--json").out)
        assert said["nodes"] == [node]
        shown = " ".join(bench("status", "--runs", tmp_path).out.split())
    assert "0a1b2c3d" in shown


def test_status_of_pages_says_what_they_are() -> None:
    result = bench("status", "--runs", PAGES)
    assert (result.status, "pages, whose cells are done" in result.out) == (0, True)
