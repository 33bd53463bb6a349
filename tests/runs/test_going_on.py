"""Runs that are interrupted, killed, doubled or limited: no result is lost or doubled."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections import Counter
from pathlib import Path

import pytest
from harness import QUICK, alive, bench, outcomes, quick, records, start, statuses
from unruly import calls, wait_until

from bench.results.store import Store

METHODS = "counted,magnitude,waits,random-mask"
"""A plan in whose middle a cell waits until the test opens the way; `dense` comes first."""


pytestmark = pytest.mark.usefixtures("unruly")


@pytest.fixture
def undisturbed(tmp_path: Path, unruly: Path) -> Path:
    """A run folder of `METHODS` that nothing came in the way of."""
    (unruly / "open").touch()
    assert quick(tmp_path / "undisturbed", methods=METHODS, probed=True).status == 0
    (unruly / "open").unlink()
    (unruly / "calls").unlink()
    return tmp_path / "undisturbed"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_run_goes_on_where_it_was(runs, undisturbed, unruly, workers) -> None:
    command = ("run", *QUICK, "--methods", METHODS, "--runs", runs, "--workers", workers)
    with start(*command) as killed:
        # One cell waits; every other one that can be done beside it is.
        wanted = 3 if workers == "1" else 4
        wait_until(lambda: len(records(runs)) == wanted and len(calls()) == 2)
        worker = int(calls()[-1].split()[-1])
        (suite,) = json.loads(bench("status", "--runs", runs, "--json").out)["suites"]
        assert (suite["ok"], suite["running"], suite["left"]) == (wanted, 1, 4 - wanted)
        assert worker != killed.pid  # also the only one: what a method does harms its own process
        assert alive(worker)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        wait_until(lambda: not alive(worker))
        killed.communicate()
    kept = {key: record.created for key, record in records(runs).items()}
    (unruly / "open").touch()
    result = quick(runs, methods=METHODS, probed=True)
    assert result.status == 0
    assert f"{wanted} done, {5 - wanted} to run" in result.out
    assert kept.items() <= {key: record.created for key, record in records(runs).items()}.items()
    assert outcomes(runs) == outcomes(undisturbed)
    assert not list(runs.rglob(".*"))  # no half-written file is left


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_interrupted_run_keeps_its_finished_cells(runs, unruly, monkeypatch, name) -> None:
    monkeypatch.setenv("UNRULY_SIGNAL", f"self {name}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    result = quick(runs, methods="magnitude,interrupts,random-mask")
    assert (result.status, result.err) == (130, "bench: interrupted; finished cells are kept.\n")
    assert statuses(runs) == {"dense": "ok", "magnitude": "ok"}
    (unruly / "open").touch()
    assert "2 done, 2 to run" in quick(runs, methods="magnitude,interrupts,random-mask").out
    assert len(records(runs)) == 4


def test_an_interrupted_rerun_leaves_what_was_finished(runs, unruly, monkeypatch) -> None:
    (unruly / "open").touch()
    assert quick(runs, methods="interrupts").status == 0
    folder = runs / records(runs)["interrupts", 4, 0].id
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "log.txt", "record.json"} <= {path.name for path in before}
    (unruly / "open").unlink()
    monkeypatch.setenv("UNRULY_SIGNAL", "self SIGTERM")
    assert quick(runs, "--rerun", "all", methods="interrupts").status == 130
    assert all(path.read_bytes() == content for path, content in before.items())
    (unruly / "open").touch()
    assert quick(runs, "--rerun", "all", methods="interrupts").status == 0
    assert (folder / "record.json").read_bytes() != before[folder / "record.json"]
    assert (folder / "log.txt").read_text().count("ok after") == 1
    assert not list(folder.glob(".*"))


def test_a_record_that_was_cut_short_is_run_again(runs) -> None:
    quick(runs)
    before = outcomes(runs)
    path = runs / records(runs)["magnitude", 4, 0].id / "record.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = quick(runs)
    assert "1 done, 1 to run" in result.out
    assert outcomes(runs) == before


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_runs_on_one_folder_run_each_cell_once(runs, monkeypatch, workers) -> None:
    command = ("--ratios", "2,3,4,5,6,7", "--workers", workers)
    plan = ("run", *QUICK, "--methods", "meets", "--runs", runs, *command)
    with start(*plan, UNRULY_RUN="A") as other:
        monkeypatch.setenv("UNRULY_RUN", "B")
        mine = quick(runs, *command, methods="meets")
        _, err = other.communicate(timeout=120)
    assert (mine.status, mine.err) == (0, "")
    assert (other.returncode, err) == (0, "")
    begun = Counter(line.split()[0] for line in calls())
    assert sum(begun.values()) == 6
    assert begun["A"] >= 1
    assert begun["B"] >= 1
    found = list(Store(runs).records())
    assert Counter(record.status for record in found) == {"ok": 7}
    assert len(list((runs / "references").iterdir())) == 2  # of the seed, and of the trials


def test_shards_together_are_one_run(runs, tmp_path, undisturbed, unruly) -> None:
    (unruly / "open").touch()
    quick(runs, "--shard", "1/2", methods=METHODS, probed=True)
    assert len(records(runs)) == 3
    assert "**2 of 5 cells are not done yet.**" in (runs / "demo.md").read_text()
    second = quick(runs, "--shard", "2/2", methods=METHODS, probed=True)
    assert "2 cells, 0 done, 2 to run" in second.out
    assert outcomes(runs) == outcomes(undisturbed)
    assert (runs / "demo.md").read_text() == (undisturbed / "demo.md").read_text()


def test_a_time_limit_stops_early_and_the_same_command_goes_on(runs) -> None:
    result = quick(runs, "--max-hours", "1e-9", methods="majority,magnitude")
    assert result.status == 0
    assert len(records(runs)) < 3
    assert "the same command goes on" in result.out
    for _ in range(3):
        quick(runs, "--max-hours", "1", methods="majority,magnitude")
    assert len(records(runs)) == 3


def test_a_rerun_that_ended_early_goes_on_with_the_oldest_records(runs) -> None:
    """It begins with what it did not come to; what it has made anew comes last."""
    methods = "majority,magnitude"
    quick(runs, methods=methods)
    (newest,) = (r for r in records(runs).values() if r.cell["method"] == "magnitude")
    dense = records(runs)["dense", 1, 0]
    Store(runs).put(dataclasses.replace(dense, created=f"{newest.created}+"))
    result = quick(runs, "--max-hours", "1e-9", "--rerun", "all", methods=methods)
    assert "are left; the same command goes on with them, the oldest records first" in result.out
    assert quick(runs, "--rerun", "all", methods=methods).status == 0
    made = sorted(records(runs).values(), key=lambda record: record.created)
    assert [record.cell["method"] for record in made] == ["majority", "magnitude", "dense"]
