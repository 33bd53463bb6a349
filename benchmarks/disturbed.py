"""The suite that `chaos.py` disturbs, how its commands are run, and what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.results.record import outcome
from bench.results.store import Store

SUITE = (
    "--methods", "knowledge-aware,tinybert", "--tasks", "demo-sentiment",
    "--ratios", "4", "--epochs", "1", "--max-train-samples", "200", "--trials", "2",
    "--seeds", "1", "--workers", "2", "--keep-models", "all", "--no-latency",
)  # fmt: skip
"""All that a run folder can hold (studies, references, answers, shared tensors, models) in nine
trainings of a few tenths of a second, since each disturbance costs a start and the rest of them."""

MAIN = "import sys; from bench.cli.main import main; sys.exit(main())"
"""The command of this interpreter, whatever is installed as `bench`."""

PATIENCE_S = 600
"""A command that takes longer hangs."""


@dataclass
class Tally:
    """What one kind of disturbance came to."""

    name: str
    made: int = 0
    said: int = 0
    wrong: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Its row of the table."""
        return f"| {self.name} | {self.made} | {self.said} | {len(self.wrong)} |"


def bench(*words: object) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own."""
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    return subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip


def ended(process: subprocess.Popen[str], tally: Tally) -> tuple[int, str]:
    """Status and error output of a command; a traceback, or no end, is noted."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        kill(process)
        tally.wrong.append(f"no end after {PATIENCE_S} s: {process.args}")
        return -1, ""
    if "Traceback" in said:
        tally.wrong.append(f"traceback of {process.args}:\n{said}")
    return process.returncode, said


def kill(process: subprocess.Popen[str]) -> None:
    """Kills a command with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def outcomes(runs: Path) -> dict[str, dict[str, Any]]:
    """All that records say but when, how fast and from which commit."""
    return {record.id: outcome(record) for record in Store(runs).records()}


def finished(runs: Path) -> dict[str, str]:
    """When each cell was finished, of those that did not fail."""
    return {r.id: r.created for r in Store(runs).records() if r.status != "failed"}


def compare(runs: Path, wanted: Mapping[str, Any], kept: Mapping[str, str], tally: Tally) -> None:
    """Notes what a folder lost, repeated or has otherwise than the undisturbed run."""
    found, now = outcomes(runs), finished(runs)
    for cell, created in kept.items():
        if now.get(cell) != created:
            tally.wrong.append(f"finished cell {cell} was {'run again' if cell in now else 'lost'}")
    for cell in sorted(wanted.keys() | found.keys()):
        if found.get(cell) != wanted.get(cell):
            tally.wrong.append(f"cell {cell} differs from that of the undisturbed run")
    tally.wrong += [f"{path} is left" for path in runs.rglob(".*") if path.is_file()]
