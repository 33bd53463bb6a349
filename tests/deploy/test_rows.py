"""Every row of a suite timed once, beside its dense model."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
from harness import QUICK, bench, quick, records

from bench.deploy import rows as timing
from bench.deploy.engines import Engine
from bench.deploy.latency import Pace
from bench.results.store import Store

METHODS = ("dense", "magnitude", "majority", "random-mask")


def sleeper(name: str, seconds: float) -> Engine:
    """An engine that takes at least so long."""

    def make(subject, load):
        def answer(inputs):
            time.sleep(seconds)
            return subject.model(**inputs).logits

        return answer

    return Engine(name=name, make=make, package="torch")


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines that take at least 4 and 60 ms, and short measurements."""
    engines = {name: sleeper(name, s) for name, s in (("slow", 0.06), ("fast", 0.004))}
    monkeypatch.setattr("bench.deploy.engines.ENGINES", engines)
    monkeypatch.setitem(timing.PACES, "all", Pace(rounds=2, seconds=0.001))


def lines(runs: Path) -> dict[str, dict[str, str]]:
    with (runs / "demo.csv").open(encoding="utf-8") as file:
        return {line["method"]: line for line in csv.DictReader(file)}


@pytest.mark.usefixtures("sleepers")
def test_each_row_is_timed_once_at_the_tasks_median_length(copied: Path) -> None:
    done = bench("latency", "--runs", copied, "--threads", "1", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["timed"] == {"demo": 4}
    for (method, _, seed), record in records(copied).items():
        assert (record.timing is not None) is (seed == 0), method
        if record.latency is not None:
            assert record.latency["dense"] == "reference"
            assert record.latency["threads"] == 1
            loads = {(row["batch"], row["seq_len"]) for row in record.latency["rows"]}
            assert loads == {(1, record.data["median_length"])}
            pairs = {(row["model"], row["engine"]) for row in record.latency["rows"]}
            assert pairs == {(m, e) for m in ("given", "dense") for e in ("slow", "fast")}
    shown = lines(copied)
    assert sorted(shown) == list(METHODS)
    for line in shown.values():
        assert line["engine"] == "fast"
        assert float(line["ms"]) >= 4
    page = (copied / "demo.md").read_text(encoding="utf-8")
    assert "1 thread; engines: slow, fast." in page
    again = bench("latency", "--runs", copied, "--json")
    assert json.loads(again.out) == {"timed": {"demo": 0}, "pages": {}}


@pytest.mark.usefixtures("sleepers")
def test_a_run_times_its_rows_when_all_cells_are_done(tmp_path: Path) -> None:
    done = quick(tmp_path, "--latency", methods="majority")
    assert done.status == 0, done.err
    assert "timing 2 rows" in done.out
    assert {line["engine"] for line in lines(tmp_path).values()} == {"fast"}
    assert "timing" not in quick(tmp_path, "--latency", methods="majority").out
    (suite,) = (tmp_path / "suites").glob("*.json")
    assert "--latency" in json.loads(suite.read_text())["commands"][0]


def test_the_demo_times_on_plain_torch_alone(tmp_path: Path) -> None:
    words = [word for word in QUICK if word != "--no-latency"]
    done = bench("run", *words, "--methods", "majority", "--runs", tmp_path)
    assert done.status == 0, done.err
    for record in records(tmp_path).values():
        assert record.latency is not None
        assert list(record.latency["engines"]) == ["torch"]
        assert {row["engine"] for row in record.latency["rows"]} == {"torch"}


@pytest.mark.usefixtures("sleepers")
def test_nothing_is_timed_while_a_cell_runs(copied: Path) -> None:
    store = Store(copied)
    one = next(store.records())
    with store.lock(one.id):
        done = bench("latency", "--runs", copied)
    assert done.status == 0, done.err
    assert "nothing is timed while others run cells" in done.err
    assert all(record.latency is None for record in store.records())


@pytest.mark.usefixtures("sleepers")
def test_a_row_without_a_model_is_told_and_the_others_are_timed(copied: Path) -> None:
    cell = records(copied)["magnitude", 4.0, 0]
    (copied / cell.id / "model" / "config.json").unlink()
    done = bench("latency", "--runs", copied)
    assert done.status == 0, done.err
    said = "magnitude on demo-sentiment at 4× is not timed: its model was not kept."
    assert said in done.err
    assert [method for method, line in lines(copied).items() if not line["ms"]] == ["magnitude"]


def test_what_cannot_be_timed_is_one_line(copied: Path, tmp_path: Path) -> None:
    for words, said in (
        (("latency", "--runs", copied, "--batch", "2"), "name a MODEL"),
        (("latency", "--runs", copied, "--engine", "tensorrt"), "unknown engine"),
        (("latency", "--runs", tmp_path / "none"), "no suite has been run here"),
        (("run", "--latency", "--keep-models", "none"), "keeps none"),
    ):
        done = bench(*words)
        assert (done.status, said in done.err) == (2, True), done.err
