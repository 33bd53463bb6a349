"""The mission's command against a hub of nine data sets, laid out as `nyu-mll/glue`, and BERT."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from harness import bench
from loopback_hub import Files, LoopbackHub, files_of, loopback_hub
from pyarrow import parquet as files

from bench.data.tasks.demo import corpus, demo_encoder_path
from bench.results.record import Record, outcome
from bench.results.store import Store

pytestmark = pytest.mark.slow

TASKS = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
PAIRS = {
    "mrpc": ("sentence1", "sentence2"), "stsb": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"), "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"), "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}  # fmt: skip
CLASSES = {"mnli": 3}
COMMAND = ("run", "--methods", "magnitude", "--tasks", "glue", "--ratios", "4", "--epochs", "1",
           "--seeds", "1", "--trials", "0", "--workers", "1", "--no-latency")  # fmt: skip


def parquet(task: str, split: str, rows: int, seed: int) -> bytes:
    """A split as the hub has it: columns of the data set's card, and rows of the demo's words."""
    rng = random.Random(f"{task} {split} {seed}")
    texts = iter(corpus(40 * rows, seed=rng.randrange(2**16)))
    names = PAIRS.get(task, ("sentence",))
    labels: list[Any] = [i % CLASSES.get(task, 2) for i in range(rows)]
    if task == "stsb":
        labels = [round(rng.uniform(0, 5), 2) for _ in range(rows)]
    rng.shuffle(labels)
    columns = {name: [f"{next(texts)} {i}" for i in range(rows)] for name in names}
    table = pyarrow.table(
        {**{name: pyarrow.array(held) for name, held in columns.items()},
         "label": pyarrow.array(labels, pyarrow.float32() if task == "stsb" else pyarrow.int64()),
         "idx": pyarrow.array(range(rows), pyarrow.int32())}
    )  # fmt: skip
    out = io.BytesIO()
    files.write_table(table, out)
    return out.getvalue()


def glue(seed: int) -> Files:
    """The files of the data set's repository."""
    found: Files = {"README.md": b"---\n---\n"}
    for task in TASKS:
        parts = ("_matched", "_mismatched") if task == "mnli" else ("",)
        splits = {"train": 120, **{f"validation{part}": 40 for part in parts}}
        for split, rows in splits.items():
            found[f"{task}/{split}-00000-of-00001.parquet"] = parquet(task, split, rows, seed)
    return found


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub(monkeypatch, tmp_path / "cache") as found:
        found.put("models", "google-bert/bert-base-uncased", files_of(demo_encoder_path()))
        yield found


def revisions(runs: Path) -> set[str]:
    return {record.data["revision"] for record in records_of(runs)}


def records_of(runs: Path) -> list[Record]:
    return list(Store(runs).records())


def test_all_nine_tasks_from_the_hub_and_again_without_it(
    served: LoopbackHub, tmp_path: Path
) -> None:
    first = served.put("datasets", "nyu-mll/glue", glue(0))
    runs = tmp_path / "runs"
    done = bench(*COMMAND, "--runs", runs)
    assert done.status == 0, done.err
    made = records_of(runs)
    assert {record.status for record in made} == {"ok"}
    cells = {(record.cell["method"], record.cell["task"]) for record in made}
    assert cells == {(method, task) for method in ("dense", "magnitude") for task in TASKS}
    assert {record.cell["model"] for record in made} == {"bert-base-uncased"}
    assert {record.data["source"] for record in made} == {"nyu-mll/glue"}
    assert revisions(runs) == {first}
    (mnli,) = (r for r in made if (r.cell["method"], r.cell["task"]) == ("dense", "mnli"))
    assert set(mnli.scores) == {"accuracy_matched", "accuracy_mismatched"}
    assert mnli.data["report"] == 80
    assert "| dense" in (runs / "bert-base-uncased.md").read_text()

    # The hub's copy changes: what the folder began with, it keeps, and nothing is run again.
    second = served.put("datasets", "nyu-mll/glue", glue(1))
    before = {record.id: record.created for record in made}
    done = bench(*COMMAND, "--runs", runs)
    assert done.status == 0, done.err
    assert {record.id: record.created for record in records_of(runs)} == before

    # A new folder has the new rows; one that names the old revision, the old ones.
    some = (*COMMAND, "--tasks", "cola,mnli")
    done = bench(*some, "--runs", tmp_path / "new")
    assert done.status == 0, done.err
    assert revisions(tmp_path / "new") == {second}
    assert not {record.id for record in records_of(tmp_path / "new")} & before.keys()
    done = bench(*some, "--runs", tmp_path / "old", "--revision", first)
    assert done.status == 0, done.err
    assert {record.id for record in records_of(tmp_path / "old")} <= before.keys()
    done = bench(*some, "--runs", tmp_path / "none", "--revision", "no-such")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "nyu-mll/glue has no revision 'no-such' on the hub" in done.err

    # Offline, from the cache alone: the same, to the bit.
    count = len(served.asked)
    done = bench(*COMMAND, "--runs", tmp_path / "offline", "--revision", first, "--offline")
    assert done.status == 0, done.err
    assert len(served.asked) == count
    assert by_cell(tmp_path / "offline") == by_cell(runs)
    done = bench(*some, "--runs", tmp_path / "newest", "--offline")
    assert done.status == 0, done.err
    assert revisions(tmp_path / "newest") == {second}


def by_cell(runs: Path) -> dict[str, Any]:
    return {record.id: outcome(record) for record in records_of(runs)}


def test_all_methods_are_planned_for_all_tasks(served: LoopbackHub, tmp_path: Path) -> None:
    served.put("datasets", "nyu-mll/glue", glue(0))
    runs = tmp_path / "runs"
    done = bench("run", "--methods", "all", "--tasks", "glue", "--dry-run", "--runs", runs)
    assert done.status == 0, done.err
    assert "bert-base-uncased:" in done.out
    assert not runs.exists()


def test_what_the_hub_lacks_is_one_line(served: LoopbackHub, tmp_path: Path) -> None:
    done = bench(*COMMAND, "--runs", tmp_path / "runs")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "the hub has no dataset 'nyu-mll/glue'" in done.err
