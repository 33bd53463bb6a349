"""What trackers hold of the runs that they were told of, by their own readers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

Runs = dict[str, tuple[dict[str, str], dict[str, list[tuple[int, float]]]]]
"""Parameters and metrics of each run, by the record's id."""


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
        assert said["record"] not in found
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


def of_wandb(runs: Path) -> Runs:
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record as Message

    wandb.teardown()  # its own process writes on for a moment after a run has ended
    found: Runs = {}
    for path in (runs / "trackers/wandb/wandb").glob("offline-run-*/run-*.wandb"):
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
        assert said["record"] not in found
        found[said["record"]] = said, metrics
    return found


def of_trackio(runs: Path) -> Runs:
    from trackio.sqlite_storage import SQLiteStorage

    found: Runs = {}
    for run in SQLiteStorage.get_run_records("demo"):
        said = SQLiteStorage.get_run_config("demo", run["name"])
        metrics: dict[str, list[tuple[int, float]]] = {}
        for row in SQLiteStorage.get_logs("demo", run["name"]):
            for name, value in row.items():
                if name not in ("step", "timestamp"):
                    metrics.setdefault(name, []).append((row["step"], value))
        assert said["record"] not in found
        found[said["record"]] = {name: str(value) for name, value in said.items()}, metrics
    return found
