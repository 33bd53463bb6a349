"""How the end-to-end tests run `bench`, in this process and in others, and read what it left."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from bench.cli.main import main
from bench.data import probe
from bench.results.record import Record, outcome
from bench.results.store import Store
from bench.runs import launch, processes
from bench.runs.executor import InProcess

if TYPE_CHECKING:
    from bench.runs.executor import Executor
    from bench.runs.suite import Suite

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "leaderboards"
"""The published pages, and the records that they are made from."""

QUICK = (
    "--tasks", "demo-sentiment", "--epochs", "1", "--max-train-samples", "600", "--ratios", "4",
    "--workers", "1", "--no-latency",
)  # fmt: skip
"""A suite whose cells take some tenths of a second."""


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


def bench(*words: str | Path, in_workers: bool = False) -> Result:
    """Runs a command in this process, and its cells too, unless it has several workers."""
    out, err = io.StringIO(), io.StringIO()
    place = contextlib.nullcontext() if in_workers else cells_here()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), place:
        status = main([str(word) for word in words])
    return Result(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def cells_here() -> Iterator[None]:
    """Runs the cells of one worker in this process."""
    own, warm_up = launch.executor_of, processes.warm_up

    def here(suite: Suite) -> Executor:
        if suite.workers == 1:
            return InProcess()
        with mock.patch.object(processes, "warm_up", warm_up):
            return own(suite)

    with (
        mock.patch.object(launch, "executor_of", here),
        mock.patch.object(processes, "warm_up", lambda: None),
    ):
        yield


@contextlib.contextmanager
def unprobed() -> Iterator[None]:
    """Runs ask no model what it has kept of its pre-training, which takes longer than all else."""
    with mock.patch.object(probe, "prepare_probe", lambda *_, **__: None):
        yield


def quick(
    runs: Path,
    *words: str | Path,
    methods: str = "magnitude",
    in_workers: bool = False,
    probed: bool = False,
) -> Result:
    """Runs the quick suite into a folder; what is said later wins."""
    command = ("run", *QUICK, "--methods", methods, "--runs", runs, *words)
    with contextlib.nullcontext() if probed or "--probe-text" in words else unprobed():
        return bench(*command, in_workers=in_workers)


def start(
    *words: str | Path, cwd: Path | None = None, stdin: int | None = None, **environment: str
) -> subprocess.Popen[str]:
    """Starts a command in a process of its own."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("bench"), *map(str, words)],  # the one that is installed
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | environment,
    )


def alive(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def records(runs: Path) -> dict[tuple[Any, ...], Record]:
    """A folder's records by method, ratio and seed."""
    return {(r.cell["method"], r.cell["ratio"], r.cell["seed"]): r for r in Store(runs).records()}


def outcomes(runs: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """All that records say but when, how fast and from which commit."""
    return {key: outcome(record) for key, record in records(runs).items()}


def statuses(runs: Path) -> dict[str, str]:
    """How each method's cells ended; only for one ratio and seed."""
    return {method: record.status for (method, _, _), record in records(runs).items()}


def install(site: Path, distribution: str, group: str, **points: str) -> None:
    """Lays out what an installed package with entry points looks like.

    Args:
        site: A folder of the module path.
        distribution: Name of the package.
        group: Group of the entry points.
        points: Objects by the name of their method or task, with `_` for `-`.
    """
    folder = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in points.items()]
    (folder / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
