"""Trackers: what their own readers find is what records say, and none of them stops a run."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from example_record import CELL, RECORD
from harness import PAGES, bench, quick, records
from studies import studies

from bench.results.record import Record
from bench.results.suites import read_records
from bench.runs.tracking import figures_of, points_of, run_name, settings_of

Runs = dict[str, tuple[dict[str, str], dict[str, list[tuple[int, float]]]]]
"""Parameters and metrics of each run, by the record's id."""


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "WANDB_", "TRACKIO_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two cells, told to two trackers at once, that finds no network."""
    for package in ("tensorboard", "mlflow"):
        pytest.importorskip(package, reason=f"prunebench[{package}] is not installed")
    runs = tmp_path_factory.mktemp("tracked") / "runs"
    connect, asked = socket.socket.connect, []

    def watched(self: socket.socket, address: Any) -> None:
        asked.append(address)
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watched)
        done = quick(runs, "--track", "tensorboard,mlflow", methods="majority")
    assert done.status == 0, done.err
    assert not [address for address in asked if isinstance(address, tuple)]
    assert "MLFLOW_TRACKING_URI" not in os.environ
    return runs


def expected(runs: Path) -> dict[str, Record]:
    found = {record.id: record for record in records(runs).values()}
    assert len(found) == 2
    return found


def check(runs: Path, found: Runs, exact: float = 0.0) -> None:
    """What a reader found is what the records say."""
    assert found.keys() == expected(runs).keys()
    for key, record in expected(runs).items():
        said, metrics = found[key]
        assert said["method"] == record.cell["method"]
        for name, value in record.params.items():
            assert said[f"params/{name}"] == str(value)
        counted = {
            "score": record.score,
            "scores/accuracy": record.scores["accuracy"],
            "cost/train_flops": record.cost["train_flops"],
            "cost/wall_s": record.cost["wall_s"],
            "cost/part/training": record.cost["parts"].get("training"),
            "ratio/weights": record.footprint.get("weights", {}).get("ratio"),
        }
        for name, value in counted.items():
            if value is not None:
                ((_, last),) = metrics[name]
                assert last == pytest.approx(value, rel=exact, abs=0), name
        if record.curve is None:
            assert "curve/loss" not in metrics
        else:
            steps, losses = zip(*metrics["curve/loss"], strict=True)
            assert list(steps) == record.curve["steps"]
            assert losses == pytest.approx(record.curve["loss"], rel=exact, abs=0)
            study = studies(runs)[record.cell["method"]]
            trial = study["trials"][study["best"]]["curve"]
            points = list(zip(trial["steps"], trial["score"], strict=True))
            assert metrics["tuning/score"] == [
                (step, pytest.approx(score, rel=exact, abs=0)) for step, score in points
            ]


def of_tensorboard(runs: Path) -> Runs:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = {}
    for folder in (runs / "trackers/tensorboard/demo").iterdir():
        said, metrics = {}, {}
        for inner in [folder, *(path for path in folder.iterdir() if path.is_dir())]:
            events = EventAccumulator(str(inner)).Reload()
            for tag in events.Tags()["scalars"]:
                metrics[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
            held = events.summary_metadata.get("_hparams_/session_start_info")
            if held is not None:
                start = HParamsPluginData.FromString(held.plugin_data.content).session_start_info
                said = {
                    name: value.string_value or str(value.number_value)
                    for name, value in start.hparams.items()
                }
        found[said["record"]] = said, metrics
    return found


def of_mlflow(uri: str) -> Runs:
    from mlflow import MlflowClient

    client, found = MlflowClient(uri), {}
    (experiment,) = client.search_experiments(filter_string="name = 'demo'")
    for run in client.search_runs([experiment.experiment_id]):
        metrics = {
            name: sorted(
                (m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)
            )
            for name in run.data.metrics
        }
        assert run.info.status == "FINISHED"
        assert run.data.params["record"] not in found
        found[run.data.params["record"]] = run.data.params, metrics
    return found


def uri_of(runs: Path) -> str:
    return f"sqlite:///{runs / 'trackers/mlflow/mlflow.db'}"


def test_tensorboard_and_mlflow_have_the_figures_of_the_records(tracked: Path) -> None:
    check(tracked, of_mlflow(uri_of(tracked)))
    check(tracked, of_tensorboard(tracked), exact=2**-23)  # which has 32 bits


def test_what_is_known_is_not_told_again(tracked: Path) -> None:
    done = bench("track", "mlflow,tensorboard", "--runs", tracked)
    assert done.out.count("told of 0 of 2 cells") == 2, done.err
    assert len(of_mlflow(uri_of(tracked))) == 2


@pytest.mark.slow
def test_another_place_knows_nothing_yet(tracked: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    for count in (2, 0):
        done = bench("track", "mlflow", "--runs", tracked)
        assert f"mlflow: told of {count} of 2 cells" in done.out, done.err
    check(tracked, of_mlflow(f"sqlite:///{tmp_path / 'other.db'}"))


def test_wandb_is_offline_and_has_the_figures_of_the_records(tracked: Path) -> None:
    pytest.importorskip("wandb", reason="prunebench[wandb] is not installed")
    import json

    from wandb.proto.wandb_internal_pb2 import Record as Message

    done = bench("track", "wandb", "--runs", tracked)
    assert "told of 2 of 2 cells" in done.out, done.err
    again = bench("track", "wandb", "--runs", tracked)  # a log is linked to, in wandb's cache
    assert "told of 0 of 2 cells" in again.out, again.err
    found: Runs = {}
    for path in (tracked / "trackers/wandb/wandb").glob("offline-run-*/run-*.wandb"):
        said: dict[str, str] = {}
        metrics: dict[str, list[tuple[int, float]]] = {}
        for data in messages(path.read_bytes()):
            message = Message.FromString(data)
            for item in [*message.run.config.update, *message.config.update]:
                name = item.key or "/".join(item.nested_key)
                held = json.loads(item.value_json)
                said[name] = held if isinstance(held, str) else str(held)
            row = {item.key or item.nested_key[0]: json.loads(item.value_json)
                   for item in message.history.item}  # fmt: skip
            for name, value in row.items():
                if not name.startswith("_"):
                    metrics.setdefault(name, []).append((row["_step"], value))
        found[said["record"]] = said, metrics
    check(tracked, found)


def messages(data: bytes) -> Iterator[bytes]:
    """The records of a log of LevelDB's kind, after wandb's own header of seven bytes."""
    at, whole, block = 7, b"", 32768
    while at < len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def test_trackio_has_the_figures_of_the_records(tracked: Path) -> None:
    if find_spec("trackio") is None:  # not imported here: it reads its variables once
        pytest.skip("prunebench[trackio] is not installed")
    done = bench("track", "trackio", "--runs", tracked)
    assert "told of 2 of 2 cells" in done.out, done.err
    from trackio.sqlite_storage import SQLiteStorage

    found: Runs = {}
    for run in SQLiteStorage.get_run_records("demo"):
        said = SQLiteStorage.get_run_config("demo", run["name"])
        metrics: dict[str, list[tuple[int, float]]] = {}
        for row in SQLiteStorage.get_logs("demo", run["name"]):
            for name, value in row.items():
                if name not in ("step", "timestamp"):
                    metrics.setdefault(name, []).append((row["step"], value))
        found[said["record"]] = {name: str(value) for name, value in said.items()}, metrics
    check(tracked, found)


def test_a_tracker_that_fails_is_one_line_and_no_cell(runs: Path, monkeypatch) -> None:
    pytest.importorskip("tensorboard", reason="prunebench[tensorboard] is not installed")
    from accelerate.tracking import TensorBoardTracker

    def fail(self: Any, values: Any, step: int | None = None) -> None:
        raise ConnectionError("the server\nsays no")

    with monkeypatch.context() as patch:
        patch.setattr(TensorBoardTracker, "log", fail)
        done = quick(runs, "--track", "tensorboard", methods="majority")
    assert done.status == 0, done.err
    assert done.out.count("note: tensorboard is told no more: ConnectionError: the server. ") == 1
    assert {record.status for record in records(runs).values()} == {"ok"}
    done = bench("track", "tensorboard", "--runs", runs)
    assert "told of 2 of 2 cells" in done.out
    check(runs, of_tensorboard(runs), exact=2**-23)


def test_a_tracker_has_to_be_known_and_installed(runs: Path, monkeypatch) -> None:
    done = quick(runs, "--track", "tensorbord")
    assert (done.status, "Did you mean 'tensorboard'?" in done.err) == (2, True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = bench("track", "mlflow", "--runs", runs)
    assert "not installed: mlflow; pip install 'prunebench[mlflow]' brings it." in done.err
    assert not runs.exists()


def test_old_records_and_strange_names_are_told_too() -> None:
    old = read_records(PAGES, "glue-mini")[0]
    assert old.schema == 1
    assert figures_of(old)["score"] == old.score
    assert figures_of(old)["cost/part/reference_s_tuning"] > 0
    assert settings_of("s", old)["params/scope"] == "local"
    strange = Record(**{**RECORD.to_json(), "cell": {**CELL, "method": "../x: y/\n"}})
    assert run_name(strange) == "cola-..-x-y-1x-seed-0-abc"
    curve = {"steps": [1, 2], "loss": [0.5, 0.25], "score": [60.0, 70.0]}
    cell = {"method": "dense", "task": "cola", "ratio": 1.0}
    tried = [
        {"cell": {**cell, "task": "rte"}, "best": 0, "trials": [{"curve": None}]},
        {"cell": cell, "best": 1, "trials": [{}, {"curve": curve}]},
    ]
    known = Record(**{**RECORD.to_json(), "curve": {"steps": [2, 3], "loss": [2.0, 1.0]}})
    assert points_of(known, tried) == [
        (1, {"tuning/loss": 0.5, "tuning/score": 60.0}),
        (2, {"curve/loss": 2.0, "tuning/loss": 0.25, "tuning/score": 70.0}),
        (3, {"curve/loss": 1.0}),
    ]
