"""The trackers that a run can be told to: accelerate's classes, and where each of them writes.

Unless the environment says otherwise, that is below `trackers/` of the run folder, and none of them
asks the network.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError, require, unknown_name
from bench.files import remove, short_hash
from bench.process_state import kept

FOLDER = "trackers"
"""Where a run folder has what its trackers write."""


def _tensorboard(folder: Path, suite: str, run: str) -> dict[str, Any]:
    remove(folder / suite / run, folder)  # of a cell that was run again
    return {"run_name": f"{suite}/{run}", "logging_dir": folder}


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def _mlflow(folder: Path, suite: str, run: str) -> dict[str, Any]:
    own = os.environ["MLFLOW_TRACKING_URI"] == _database(folder)  # a server has files of its own
    artifacts = (folder / "artifacts").as_uri() if own else None
    return {"experiment_name": suite, "run_name": run, "logging_dir": artifacts}


def _wandb(folder: Path, suite: str, run: str) -> dict[str, Any]:
    quiet = {"silent": True, "disable_git": True, "save_code": False, "console": "off"}
    mode = os.environ.get("WANDB_MODE", "offline")
    settings = {**quiet, "x_disable_stats": True}
    return {"run_name": suite, "name": run, "dir": folder, "mode": mode, "settings": settings}


def _trackio(folder: Path, suite: str, run: str) -> dict[str, Any]:
    from trackio.utils import TRACKIO_DIR  # of the variable as it was at the first import

    if (wanted := os.environ["TRACKIO_DIR"]) != str(TRACKIO_DIR):
        raise BenchError(f"this process has it write to {TRACKIO_DIR}, not to {wanted}")
    return {"run_name": suite, "name": run, "embed": False, "auto_log_cpu": False,
            "auto_log_gpu": False}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A tracker by its name for accelerate, which is that of its package and of our extra.

    Attributes:
        arguments: What its class takes, by the tracker's folder, a suite and the name of a run.
        asked: Variables by which the user sends it elsewhere.
        variables: Those that it reads where the user has set none, by its folder.
    """

    arguments: Callable[[Path, str, str], dict[str, Any]]
    asked: tuple[str, ...] = ()
    variables: Callable[[Path], dict[str, str]] = field(default=lambda _: {})


TRACKERS = {
    "tensorboard": Kind(_tensorboard),
    "mlflow": Kind(
        _mlflow,
        ("MLFLOW_TRACKING_URI",),
        lambda folder: {
            "MLFLOW_TRACKING_URI": _database(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    ),
    "wandb": Kind(
        _wandb,
        ("WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY"),
        lambda _: {"WANDB_ERROR_REPORTING": "false"},
    ),
    "trackio": Kind(
        _trackio,
        ("TRACKIO_DIR", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"),
        lambda folder: {"TRACKIO_DIR": str(folder)},
    ),
}


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


def log_run(
    name: str,
    runs: Path,
    *,
    suite: str,
    run: str,
    settings: dict[str, Any],
    points: Iterable[tuple[int, dict[str, float]]],
    figures: dict[str, float],
) -> None:
    """Tells a tracker of a run that is over.

    Args:
        name: The tracker.
        runs: The run folder.
        suite: What the tracker calls its project, or experiment.
        run: The run's name, which may be that of a file.
        settings: Its parameters, and what else tells it from others.
        points: Steps in ascending order, and what is known of each.
        figures: What came of it.

    Raises:
        Exception: Whatever the tracker raises.
    """
    folder = (runs / FOLDER / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with kept(), _quiet(), _state():
        for variable, value in TRACKERS[name].variables(folder).items():
            os.environ.setdefault(variable, value)
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        tracker = LOGGER_TYPE_TO_CLASS[name](**TRACKERS[name].arguments(folder, suite, run))
        tracker.start()
        try:
            tracker.store_init_configuration(settings)
            for step, values in points:
                tracker.log(values, step=step)
            tracker.log(figures)
        finally:
            tracker.finish()


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
