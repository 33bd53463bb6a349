"""Methods that misbehave, as somebody's plugin might bring them; `harness.install` registers them.

They talk to a test through the folder that `UNRULY` names.
"""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PATIENCE_S = 120.0


def folder() -> Path:
    return Path(os.environ["UNRULY"])


def calls() -> list[str]:
    """A line a cell that was begun: the run that began it, and its process."""
    path = folder() / "calls"
    return path.read_text().splitlines() if path.exists() else []


def opened() -> bool:
    return (folder() / "open").exists()


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)


def info(name: str, version: int = 1) -> MethodInfo:
    return MethodInfo(
        name=name,
        summary="misbehaves",
        kind="unstructured",
        removes="single weights",
        starts_from="pretrained",
        version=version,
    )


class Unruly(Method):
    """Prunes by size like any other method, after it has misbehaved."""

    def misbehave(self) -> None:
        """What a subclass does first."""

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        with (folder() / "calls").open("a") as file:
            file.write(f"{os.environ.get('UNRULY_RUN', '')} {os.getpid()}\n")
        self.misbehave()
        model = run.pretrained()
        pruner = bench.GradualPruner(model, density=run.target.density(model))
        run.fit(model, loss=bench.task_loss, params=params, callbacks=[pruner])
        return pruner.finish()


class Counted(Unruly):
    info = info("counted")


class Raises(Unruly):
    """Fails until the test opens the way."""

    info = info("raises")

    def misbehave(self) -> None:
        if not opened():
            raise RuntimeError("no luck with /home/secret/place.txt today\nand a second line")


class Dies(Unruly):
    info = info("dies")

    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Waits(Unruly):
    """Holds its cell until the test opens the way."""

    info = info("waits")

    def misbehave(self) -> None:
        wait_until(opened)


class Meets(Unruly):
    """Holds its cell until two runs, A and B, have begun one each."""

    info = info("meets")

    def misbehave(self) -> None:
        wait_until(lambda: {line.split()[0] for line in calls()} == {"A", "B"})


class Interrupts(Unruly):
    """Sends this process, or the command if the test says so, the signal that the test names."""

    info = info("interrupts")

    def misbehave(self) -> None:
        if not opened():
            which, name = os.environ["UNRULY_SIGNAL"].split()
            parent = multiprocessing.parent_process()  # of a worker: the command
            pid = os.getpid() if which == "self" or parent is None else parent.pid
            os.kill(pid, signal.Signals[name])
            wait_until(opened)


class FullDisk(Unruly):
    info = info("full-disk")

    def misbehave(self) -> None:
        if not opened():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Diverges(Unruly):
    info = info("diverges")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        model = run.pretrained()
        run.fit(model, loss=lambda m, b: bench.task_loss(m, b) * float("nan"), params=params)
        return model


class ReturnsNothing(Unruly):
    info = info("returns-nothing")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        return None  # type: ignore[return-value]


ALL = (Counted, Raises, Dies, Waits, Meets, Interrupts, FullDisk, Diverges, ReturnsNothing)


class NoMethod:
    info = info("no-method")


class NoInfo(Unruly):
    pass


class OddKind(Unruly):
    info = dataclasses.replace(info("odd-kind"), kind="odd")  # type: ignore[arg-type]


class Needy(Unruly):
    """Needs a module of a package that is not there, and has a parameter without an upper end."""

    info = dataclasses.replace(info("needy"), requires={"nobody_has.this": "pip install it"})

    @dataclass(frozen=True, kw_only=True)
    class Params(bench.TrainParams):
        share: float = knob(0.6, low=0.5, tuned=False)


class Impostor(Unruly):
    """Wants the name of a built-in."""

    info = info("magnitude", version=99)
