"""The trackers that a run can be told to: accelerate's classes, and where each of them writes.

Unless the environment says otherwise, that is below `trackers/` of the run folder, and none of them
asks the network. A tracker has one run a cell, whatever was told before.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError, require, unknown_name
from bench.files import remove, short_hash
from bench.process_state import kept

FOLDER = "trackers"
"""Where a run folder has what its trackers write."""


@dataclass(frozen=True)
class Place:
    """What a tracker knows a cell by.

    Attributes:
        folder: Where the tracker writes, unless the user sends it elsewhere.
        suite: What it calls its project, or experiment.
        run: The run's name, which may be that of a file.
        record: The record's id.
    """

    folder: Path
    suite: str
    run: str
    record: str


Removals = list[Callable[[], object]]
"""What a tracker has of a cell: for each run, what takes it away."""


def _tensorboard(place: Place) -> dict[str, Any]:
    return {"run_name": f"{place.suite}/{place.run}", "logging_dir": place.folder}


def _held_by_tensorboard(place: Place) -> Removals:
    path = place.folder / place.suite / place.run
    return [functools.partial(remove, path, place.folder)] if path.exists() else []


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def _artifacts(folder: Path) -> str:
    return (folder / "artifacts").as_uri()


def _mlflow(place: Place) -> dict[str, Any]:
    scheme = os.environ["MLFLOW_TRACKING_URI"].partition(":")[0]
    server = scheme in ("http", "https", "databricks", "uc")  # which has files of its own
    artifacts = None if server else _artifacts(place.folder)  # else the working directory's
    return {"experiment_name": place.suite, "run_name": place.run, "logging_dir": artifacts}


def _held_by_mlflow(place: Place) -> Removals:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(place.suite)
    if os.environ["MLFLOW_TRACKING_URI"] == _database(place.folder):
        _relocate(place.folder)
    if experiment is None:
        return []
    # A killed process may leave a run without parameters; a user may have given one another name.
    for asked in (f"run_name = '{place.run}'", f"params.record = '{place.record}'"):
        if found := client.search_runs([experiment.experiment_id], asked):
            return [functools.partial(client.delete_run, run.info.run_id) for run in found]
    return []


def _relocate(folder: Path) -> None:
    """Has MLflow's database name the folder where it is now, for which MLflow has no call.

    It notes whole paths, which are wrong once a run folder is moved; those of its default
    experiment lead to the working directory.
    """
    root, ours = _artifacts(folder), f"%/{FOLDER}/mlflow/artifacts"
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE experiments SET artifact_location = :root WHERE artifact_location != :root AND "
            "(artifact_location LIKE :ours OR artifact_location LIKE '%/mlruns/0')",
            {"root": root, "ours": ours},
        )
        database.execute(
            "UPDATE runs SET artifact_uri = :root || '/' || run_uuid || '/artifacts' WHERE "
            "artifact_uri != :root || '/' || run_uuid || '/artifacts' AND "
            "artifact_uri LIKE :ours || '/' || run_uuid || '/artifacts'",
            {"root": root, "ours": ours},
        )


def _wandb(place: Place) -> dict[str, Any]:
    quiet = {"silent": True, "disable_git": True, "save_code": False, "console": "off"}
    mode = os.environ.get("WANDB_MODE", "offline")
    settings = {**quiet, "x_disable_stats": True}
    return {"run_name": place.suite, "name": place.run, "id": _wandb_id(place),
            "dir": place.folder, "mode": mode, "settings": settings}  # fmt: skip


def _wandb_id(place: Place) -> str:
    """The same for every telling of a cell, so that a server puts the last in the others' place."""
    return short_hash([place.suite, place.record])


def _held_by_wandb(place: Place) -> Removals:
    found = sorted((place.folder / "wandb").glob(f"*run-*-{_wandb_id(place)}"))
    return [functools.partial(remove, path, place.folder) for path in found]


def _trackio(place: Place) -> dict[str, Any]:
    return {"run_name": place.suite, "name": place.run, "embed": False, "auto_log_cpu": False,
            "auto_log_gpu": False}  # fmt: skip


def _held_by_trackio(place: Place) -> Removals | None:
    from trackio import Api
    from trackio.utils import TRACKIO_DIR  # of the variable as it was at the first import

    if (wanted := os.environ["TRACKIO_DIR"]) != str(TRACKIO_DIR):
        raise BenchError(f"this process has it write to {TRACKIO_DIR}, not to {wanted}")
    if any(os.environ.get(name) for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")):
        return None
    with contextlib.suppress(ValueError):  # there is no such project yet
        return [run.delete for run in Api().runs(place.suite) if run.name == place.run]
    return []


def _finish_trackio(tracker: Any) -> None:
    """Finishes the run, and forgets it, which would else be finished aloud when Python ends."""
    import trackio

    trackio.finish()


@dataclass(frozen=True)
class Kind:
    """A tracker by its name for accelerate, which is that of its package and of our extra.

    Attributes:
        arguments: What its class takes.
        held: What it has of a cell; `None` where it cannot be asked.
        asked: Variables by which the user sends it elsewhere.
        variables: Those that it reads where the user has set none, by its folder.
        unread: Those that would call our runs otherwise than we do.
        finish: Ends a run.
    """

    arguments: Callable[[Place], dict[str, Any]]
    held: Callable[[Place], Removals | None]
    asked: tuple[str, ...] = ()
    variables: Callable[[Path], dict[str, str]] = field(default=lambda _: {})
    unread: tuple[str, ...] = ()
    finish: Callable[[Any], None] = field(default=lambda tracker: tracker.finish())


# A server that does not answer is waited for half a minute at most, not for several.
TRACKERS = {
    "tensorboard": Kind(_tensorboard, _held_by_tensorboard),
    "mlflow": Kind(
        _mlflow,
        _held_by_mlflow,
        ("MLFLOW_TRACKING_URI",),
        lambda folder: {
            "MLFLOW_TRACKING_URI": _database(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        },
        ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_NESTED_RUN", "MLFLOW_RUN_ID"),
    ),
    "wandb": Kind(
        _wandb,
        _held_by_wandb,
        ("WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY"),
        lambda _: {
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_INIT_TIMEOUT": "20",
            "WANDB_FINISH_TIMEOUT": "30",
            "WANDB_FINISH_TIMEOUT_RAISES": "true",
        },
        (
            "WANDB_FORK_FROM", "WANDB_LAUNCH", "WANDB_NAME", "WANDB_PROJECT", "WANDB_RESUME",
            "WANDB_RESUME_FROM", "WANDB_RUN_ID", "WANDB_RUN_NAME", "WANDB_SWEEP_ID",
        ),
    ),
    "trackio": Kind(
        _trackio,
        _held_by_trackio,
        ("TRACKIO_DIR", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"),
        lambda folder: {"TRACKIO_DIR": str(folder)},
        finish=_finish_trackio,
    ),
}  # fmt: skip


def check_trackers(names: Iterable[str], *, installed: bool = True) -> None:
    """Checks names of trackers.

    Args:
        names: What was asked for.
        installed: Whether their packages have to be there.

    Raises:
        BenchError: One is unknown, or is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown_name("tracker", name, TRACKERS)
        if installed:
            require(name, extra=name)


def destination(name: str) -> str:
    """What tells places that a tracker writes to apart: its name, and a hash of what was asked."""
    asked = [os.environ.get(variable) for variable in TRACKERS[name].asked]
    return f"{name} {short_hash(asked)}" if any(asked) else name


def tell(
    name: str,
    runs: Path,
    *,
    suite: str,
    run: str,
    known: bool,
    settings: dict[str, Any],
    points: Iterable[tuple[int, dict[str, float]]],
    figures: dict[str, float],
) -> bool:
    """Tells a tracker of a run that is over, in the place of what it has of it.

    Args:
        name: The tracker.
        runs: The run folder.
        suite: What the tracker calls its project, or experiment.
        run: The run's name, which may be that of a file.
        known: Whether it was told the same before. It is told again only if it has lost that.
        settings: Its parameters, and what else tells it from others, such as its `record`.
        points: Steps in ascending order, and what is known of each.
        figures: What came of it.

    Returns:
        Whether it was told.

    Raises:
        Exception: Whatever the tracker raises.
    """
    kind, folder = TRACKERS[name], (runs / FOLDER / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder, suite, run, settings["record"])
    with kept(), _quiet(), _state():
        for variable in kind.unread:
            os.environ.pop(variable, None)
        for variable, value in kind.variables(folder).items():
            os.environ.setdefault(variable, value)
        held = kind.held(place)
        if known and held != []:
            return False
        for take_away in held or ():  # what a killed process left, or what the cell came to before
            take_away()
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        tracker = LOGGER_TYPE_TO_CLASS[name](**kind.arguments(place))
        tracker.start()
        try:
            tracker.store_init_configuration(settings)
            for step, values in points:
                tracker.log(values, step=step)
            tracker.log(figures)
        finally:
            kind.finish(tracker)
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what trackers print to itself; what goes wrong, they raise."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _state() -> Iterator[None]:
    """The state of one process, without which accelerate logs nothing; a training's own stays."""
    from accelerate import PartialState

    own = not PartialState._shared_state
    if own:
        PartialState(cpu=True)
    try:
        yield
    finally:
        if own:
            PartialState._reset_state()
