"""Trackers: what their own readers find is what records say, and none of them stops a run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from example_record import CELL, RECORD
from harness import PAGES, QUICK, bench, quick, records
from studies import studies
from tracked_runs import Runs, of_mlflow, of_tensorboard, of_trackio, of_wandb, uri_of

from bench.results.record import Record
from bench.results.suites import read_records
from bench.runs.tracking import figures_of, points_of, run_name, settings_of


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
    from mlflow import MlflowClient

    experiment = MlflowClient(f"sqlite:///{tmp_path / 'other.db'}").get_experiment_by_name("demo")
    assert experiment is not None  # its files are none of the working directory's
    assert experiment.artifact_location == (tracked / "trackers/mlflow/artifacts").as_uri()


def test_wandb_is_offline_and_has_the_figures_of_the_records(tracked: Path) -> None:
    pytest.importorskip("wandb", reason="prunebench[wandb] is not installed")
    done = bench("track", "wandb", "--runs", tracked)
    assert "told of 2 of 2 cells" in done.out, done.err
    again = bench("track", "wandb", "--runs", tracked)  # a log is linked to, in wandb's cache
    assert "told of 0 of 2 cells" in again.out, again.err
    check(tracked, of_wandb(tracked))


def test_trackio_has_the_figures_of_the_records(tracked: Path, capfd) -> None:
    if find_spec("trackio") is None:  # not imported here: it reads its variables once
        pytest.skip("prunebench[trackio] is not installed")
    done = bench("track", "trackio", "--runs", tracked)
    assert "told of 2 of 2 cells" in done.out, done.err
    from trackio import context_vars

    assert context_vars.current_run.get() is None  # or it would be finished aloud at the end
    check(tracked, of_trackio(tracked))


READERS = {
    "tensorboard": of_tensorboard,
    "mlflow": lambda runs: of_mlflow(uri_of(runs)),
    "wandb": of_wandb,
    "trackio": of_trackio,
}


@pytest.mark.parametrize("name", READERS)
def test_what_a_killed_process_left_is_replaced(name: str, tracked: Path) -> None:
    """A kill before the cell's folder says that it was told: of all, or of a part."""
    if find_spec(name) is None:
        pytest.skip(f"prunebench[{name}] is not installed")
    bench("track", name, "--runs", tracked)
    for path in tracked.glob("*/tracked.json"):
        path.unlink()
    if name == "mlflow":
        from mlflow import MlflowClient

        client = MlflowClient(uri_of(tracked))
        (experiment,) = client.search_experiments(filter_string="name = 'demo'")
        for record in expected(tracked).values():
            client.create_run(experiment.experiment_id, run_name=run_name(record))
    done = bench("track", name, "--runs", tracked)
    assert f"{name}: told of 2 of 2 cells" in done.out, done.err
    check(tracked, READERS[name](tracked), exact=2**-23)


@pytest.mark.slow
def test_a_run_that_is_killed_and_goes_on_has_a_run_a_cell(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="prunebench[mlflow] is not installed")
    runs = tmp_path / "runs"
    words = ["run", *QUICK, "--methods", "majority", "--runs", str(runs), "--track", "mlflow"]
    killed = (
        "import os, signal, sys\n"
        "from accelerate.tracking import MLflowTracker\n"
        "from bench.cli.main import main\n"
        "def kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
        "MLflowTracker.log = kill\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, *words], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert bench(*words).status == 0
    check(runs, of_mlflow(uri_of(runs)))


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("tensorboard", "trackers"),
        ("tensorboard", "trackers/tensorboard/demo"),
        ("mlflow", "trackers/mlflow"),
        ("wandb", "trackers"),
    ],
)
def test_what_is_gone_is_told_again(name: str, gone: str, tracked: Path, tmp_path: Path) -> None:
    """And to all cells: the first that is told makes the place anew."""
    if find_spec(name) is None:
        pytest.skip(f"prunebench[{name}] is not installed")
    bench("track", name, "--runs", tracked)
    runs = Path(shutil.copytree(tracked, tmp_path / "runs", symlinks=True))
    shutil.rmtree(runs / gone)
    done = bench("track", name, "--runs", runs)
    assert f"{name}: told of 2 of 2 cells" in done.out, done.err
    check(runs, READERS[name](runs), exact=2**-23)


def test_mlflow_keeps_files_where_the_folder_is_now(tracked: Path, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(tracked, tmp_path / "moved", symlinks=True))
    done = bench("track", "mlflow", "--runs", runs)
    assert "mlflow: told of 0 of 2 cells" in done.out, done.err
    from mlflow import MlflowClient

    client, root = MlflowClient(uri_of(runs)), (runs / "trackers/mlflow/artifacts").as_uri()
    experiments = client.search_experiments()
    assert {one.name for one in experiments} == {"Default", "demo"}
    assert {one.artifact_location for one in experiments} == {root}
    found = client.search_runs([one.experiment_id for one in experiments])
    assert [run.info.artifact_uri for run in found] == [
        f"{root}/{run.info.run_id}/artifacts" for run in found
    ]


def test_names_of_the_shell_are_not_ours(tracked: Path, tmp_path: Path, monkeypatch) -> None:
    wandb = pytest.importorskip("wandb", reason="prunebench[wandb] is not installed")
    runs = Path(shutil.copytree(tracked, tmp_path / "runs", symlinks=True))
    for path in runs.glob("*/tracked.json"):
        path.unlink()
    for variable, value in {
        "MLFLOW_EXPERIMENT_NAME": "shell",
        "MLFLOW_EXPERIMENT_ID": "7",
        "MLFLOW_RUN_ID": "0" * 32,
        "WANDB_RUN_ID": "shell",
        "WANDB_NAME": "shell",
        "WANDB_PROJECT": "shell",
        "WANDB_RESUME": "must",
    }.items():
        monkeypatch.setenv(variable, value)
    wandb.teardown()  # which reads its variables once
    done = bench("track", "mlflow,wandb", "--runs", runs)
    assert done.out.count("told of 2 of 2 cells") == 2, done.err
    check(runs, of_mlflow(uri_of(runs)))
    check(runs, of_wandb(runs))
    assert os.environ["WANDB_RUN_ID"] == "shell"


def test_a_server_is_not_waited_for_long(tracked: Path, monkeypatch) -> None:
    """By what its package reads of our bounds; a user's own come first."""
    wandb = pytest.importorskip("wandb", reason="prunebench[wandb] is not installed")
    import mlflow
    from mlflow import environment_variables as variables

    read: list[Any] = []

    def ask_mlflow(*_: Any) -> None:
        read.append(variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get())
        read.append(variables.MLFLOW_HTTP_REQUEST_TIMEOUT.get())
        raise ConnectionError("nobody there")

    def ask_wandb(**_: Any) -> None:
        settings = wandb.Settings()
        settings.update_from_env_vars(dict(os.environ))
        read.extend(
            [settings.init_timeout, settings.finish_timeout, settings.finish_timeout_raises]
        )
        raise ConnectionError("nobody there")

    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", ask_mlflow)
    monkeypatch.setattr(wandb, "init", ask_wandb)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_MODE", "online")
    done = bench("track", "mlflow,wandb", "--runs", tracked)
    assert (done.status, done.err.count("is told no more: ConnectionError: nobody there")) == (1, 2)
    assert read == [1, 10, 20, 30, True]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "90")
    bench("track", "mlflow,wandb", "--runs", tracked)
    assert read[5:] == [1, 120, 90, 30, True]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("mlflow", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}),
        ("wandb", {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40,
                   "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "2"}),
    ],
)  # fmt: skip
def test_a_server_that_does_not_answer_is_one_line(
    name: str, variables: dict[str, str], tracked: Path, monkeypatch
) -> None:
    pytest.importorskip(name, reason=f"prunebench[{name}] is not installed")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    if name == "wandb":
        import wandb

        wandb.teardown()  # which reads its variables once
    done = bench("track", name, "--runs", tracked)
    assert (done.status, done.err.count(f"{name} is told no more: ")) == (1, 1)
    assert done.err.count("\n") == 1
    assert f"{name}: told of 0 of 2 cells" in done.out


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
