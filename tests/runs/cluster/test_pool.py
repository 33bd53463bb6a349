"""Cells on a cluster: what comes of them, and of workers and nodes that die; Ray is a stub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_ray import FakeConnection, FakeRay, NodeDiedError, WorkerCrashedError, put_in_place
from harness import Result, outcomes, quick

from bench.results.store import Store
from bench.runs.cells.claim import StorageError
from bench.runs.cluster import freight, node
from bench.runs.launch import prepare
from bench.runs.request import Request, resolve

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell

SUITE = ("--trials", "0", "--seeds", "1", "--max-train-samples", "200", "--on", "ray")
"""Each cell comes after the one trial that shows whether it converges."""


@pytest.fixture
def ray() -> FakeRay:
    return FakeRay()


@pytest.fixture
def connection(ray: FakeRay, tmp_path: Path, monkeypatch) -> FakeConnection:
    monkeypatch.setattr("bench.runs.cluster.pool.POLL_S", 0.0)
    monkeypatch.setattr("bench.runs.executor.POLL_S", 0.0)
    monkeypatch.setattr("bench.runs.cluster.nodes.WATCH_S", 0.0)
    return put_in_place(monkeypatch, ray, tmp_path)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """What the same suite comes to in one process."""
    runs = tmp_path_factory.mktemp("local") / "runs"
    assert quick(runs, *SUITE[:-2]).status == 0
    return runs


def on_ray(runs: Path, *words: str, methods: str = "magnitude") -> Result:
    return quick(runs, *SUITE, *words, methods=methods, in_workers=True)


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps = 0

    def started(self, cell: Cell) -> None:
        pass

    def progressed(self, cell: Cell, step: int, total: int) -> None:
        self.steps += 1

    def ended(self, cell: Cell, record: Record) -> None:
        pass

    def tried(self, cell: Cell) -> None:
        pass

    def note(self, notice: str) -> None:
        self.notes.append(notice)


def run_dense(runs: Path, **asked: Any) -> tuple[Record, Heard]:
    """The dense model's trial and cell, without what a command does beside, and what was heard."""
    request = Request(
        methods=["dense"], tasks=["demo-sentiment"], ratios=[4], seeds=1, trials=0, epochs=1,
        max_train_samples=200, workers=1, runs=runs, on="ray", **asked,
    )  # fmt: skip
    launch, heard = prepare(resolve(request)), Heard()
    assert launch.run(heard) == 0
    (record,) = Store(runs).records()
    return record, heard


def whole(runs: Path) -> Iterator[Record | None]:
    return (Store(runs).whole(record.id) for record in Store(runs).records())


def trials(runs: Path) -> list[list[float]]:
    found = [json.loads(path.read_text()) for path in sorted(runs.glob("tuning/*/study.json"))]
    scores = [[trial.get("score") for trial in study["trials"]] for study in found]
    return sorted(scores, key=lambda one: found[scores.index(one)]["cell"]["method"])


def test_records_trials_and_page_are_those_of_one_machine_with_nothing_shared(
    runs, local, connection, monkeypatch
) -> None:
    monkeypatch.setattr(freight, "_taken", lambda target, item: False)  # no node sees our folders
    result = on_ray(runs)
    assert (result.status, connection.is_open) == (0, False)
    assert outcomes(runs) == outcomes(local)
    assert trials(runs) == trials(local)
    assert None not in whole(runs)
    page, other = ((folder / "demo.md").read_text() for folder in (runs, local))
    assert page == other
    kept = ("references/*/reference.json", "*/model/model.safetensors", "*/predictions.parquet",
            "floors/*/floor.json", "tuning/*/*.log")  # fmt: skip
    for pattern in kept:
        ours, theirs = (sorted(p.relative_to(f) for p in f.glob(pattern)) for f in (runs, local))
        assert ours == theirs
    assert not list(runs.glob(".arriving-*"))
    assert not (runs / "nodes.json").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_lost_is_begun_anew_and_what_kills_twice_is_failed_once(
    runs, connection, ray, times
) -> None:
    ray.faults = [None, *[WorkerCrashedError()] * times]  # of the trial, then of the cell
    record, heard = run_dense(runs)
    assert ray.cancelled == times
    assert ray.begun[1] != ray.begun[2]  # elsewhere
    assert len(ray.begun) == 3
    if times == 1:
        assert record.status == "ok"
        assert heard.steps
        return
    assert record.status == "failed"
    assert record.error is not None
    assert "lost 2 times" in record.error["message"]
    assert "its worker process died" in record.error["message"]


@pytest.mark.parametrize("times", [3, 4])
def test_the_loss_of_its_node_is_seldom_a_cells_fault(runs, connection, ray, times) -> None:
    ray.faults = [None, *[NodeDiedError()] * times]
    ray.cores = dict.fromkeys("abcdef", 1)
    record, _ = run_dense(runs)
    assert record.status == ("ok" if times == 3 else "failed")
    assert len(set(ray.begun[1:])) == min(times + 1, 4)


def test_what_is_put_into_the_object_store_has_no_password(runs, connection, ray) -> None:
    url = f"sqlite:///{runs.parent}/s3cret.db"
    assert on_ray(runs, "--trials", "1", "--storage", url).status == 0
    assert ray.stored
    assert "s3cret" not in repr(ray.stored)


def test_a_trial_that_is_lost_is_made_again_at_its_place(runs, local, connection, ray) -> None:
    ray.faults = [WorkerCrashedError()]
    assert run_dense(runs)[0].status == "ok"
    assert trials(runs) == [trials(local)[0]]
    assert len(ray.begun) == 3


def test_what_a_lost_node_was_at_is_begun_elsewhere(runs, connection, ray, monkeypatch) -> None:
    def dies(parcel, work, stock):
        if ray.here == "a":
            ray.dead.add("a")
            yield ("started",)
            while True:  # as a frozen one, it says nothing that helps
                yield ("progress", 0, 1)
        yield from node_compute(parcel, work, stock)

    node_compute = node.compute
    monkeypatch.setattr(node, "compute", dies)
    record, heard = run_dense(runs)
    assert record.status == "ok"
    assert heard.notes == ["node host-a (a) is lost; what it was at is begun anew."]
    assert ray.begun == ["a", "b", "b"]


def test_a_node_whose_disk_is_full_is_used_no_more(runs, connection, ray, monkeypatch) -> None:
    lay = freight.lay

    def full(folder, items, fetch):
        if ray.here in disks:
            raise OSError(28, "No space left on device")
        return lay(folder, items, fetch)

    disks = {"a"}
    monkeypatch.setattr(freight, "lay", full)
    record, heard = run_dense(runs)
    assert record.status == "ok"
    assert [note for note in heard.notes if "used no more" in note] == heard.notes
    assert ray.begun == ["a", "b", "b"]
    disks |= {"b"}
    with pytest.raises(StorageError, match="no other node is left"):
        run_dense(runs.with_name("other"))


def test_a_file_that_does_not_arrive_whole_is_asked_for_again(
    runs, connection, ray, monkeypatch
) -> None:
    write, cut = freight.write_parts, []

    def half(path, parts):
        if path.name == "predictions.parquet" and not cut:
            cut.append(path)
            return
        write(path, parts)

    monkeypatch.setattr(freight, "write_parts", half)
    assert run_dense(runs)[0].status == "ok"
    assert len(cut) == 1
    assert None not in whole(runs)
    assert len(ray.begun) == 3  # a trial, and the cell twice
