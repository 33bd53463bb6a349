"""Methods and tasks that misbehave, as somebody's plugin might bring them.

`harness.install` registers them; methods talk to a test through the folder that `UNRULY` names.
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
from typing import TYPE_CHECKING, Any, ClassVar

from datasets import Dataset

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


def _shows_convergence(run: Any) -> bool:
    """Whether this is the training that comes before a cell where nothing is tuned."""
    return run.trial and not run.context.protocol.trials


class Unruly(Method):
    """Prunes by size like any other method, after it has misbehaved."""

    def misbehave(self) -> None:
        """What a subclass does first."""

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        if not _shows_convergence(run):
            with (folder() / "calls").open("a") as file:
                file.write(f"{os.environ.get('UNRULY_RUN', '')} {os.getpid()}\n")
            self.misbehave()
        model = run.pretrained()
        pruner = bench.GradualPruner(model, density=run.target.density(model))
        run.train(model, loss=bench.task_loss, params=params, callbacks=[pruner])
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
        run.train(model, loss=lambda m, b: bench.task_loss(m, b) * float("nan"), params=params)
        return model


class Quits(Unruly):
    info = info("quits")

    def misbehave(self) -> None:
        raise SystemExit(3)


class ReturnsNothing(Unruly):
    info = info("returns-nothing")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        return None  # type: ignore[return-value]


class Wrapped(Unruly):
    """Leaves torch's pruning in the model."""

    info = info("wrapped")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        from torch.nn.utils import prune

        model = run.pretrained()
        for linear in bench.prunable(model).values():
            prune.l1_unstructured(linear, "weight", amount=0.75)
        return model


class OtherHead(Unruly):
    """Returns a model of seven labels."""

    info = info("other-head")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        from torch import nn

        model = run.pretrained()
        model.classifier = nn.Linear(model.config.hidden_size, 7)
        return model


ALL = (Counted, Raises, Dies, Waits, Meets, Interrupts, FullDisk, Diverges, Quits, ReturnsNothing,
       Wrapped, OtherHead)  # fmt: skip


class NoMethod:
    info = info("no-method")


class NoInfo(Unruly):
    pass


class OddKind(Unruly):
    info = dataclasses.replace(info("odd-kind"), kind="odd")  # type: ignore[arg-type]


class WorksFromNo(Unruly):
    info = dataclasses.replace(info("works-from-no"), works_from=False)


class WorksBackwards(Unruly):
    info = dataclasses.replace(info("works-backwards"), works_from=-540)


class Needy(Unruly):
    """Needs a module of a package that is not there, and has a parameter without an upper end."""

    info = dataclasses.replace(info("needy"), requires={"nobody_has.this": "pip install it"})

    @dataclass(frozen=True, kw_only=True)
    class Params(bench.TrainParams):
        share: float = knob(0.6, low=0.5, tuned=False)


class Speechless(Unruly):
    """Cannot say what to tune."""

    info = info("speechless")

    @classmethod
    def search_space(cls, config: Any, target: bench.Target) -> dict[str, Any]:
        raise RuntimeError("no idea")


class Abrupt(Unruly):
    """Leaves when it is asked what to tune, and the place where it was."""

    info = info("abrupt")

    @classmethod
    def search_space(cls, config: Any, target: bench.Target) -> dict[str, Any]:
        os.chdir("/")
        raise SystemExit(3)


class Late(Unruly):
    """Cannot say what to tune at a high ratio."""

    info = info("late")

    @classmethod
    def search_space(cls, config: Any, target: bench.Target) -> dict[str, Any]:
        if target.ratio > 5:
            raise RuntimeError("too high")
        return super().search_space(config, target)


class Wide(Unruly):
    """Wants to tune beyond what its parameters allow."""

    info = info("wide")

    @classmethod
    def search_space(cls, config: Any, target: bench.Target) -> dict[str, Any]:
        return {"warmup": bench.Knob(low=0.5, high=0.9)}


class Untunable(Unruly):
    """Has a parameter that no storage of trials can hold."""

    info = info("untunable")

    @dataclass(frozen=True, kw_only=True)
    class Params(bench.TrainParams):
        layers: tuple[int, ...] = knob((1, 2), choices=((1, 2), (2, 3)))


class Impostor(Unruly):
    """Wants the name of a built-in."""

    info = info("magnitude", version=99)


class Plain(bench.Task):
    """A task that keeps its promises; the others each break one."""

    info = bench.TaskInfo(name="plain", summary="", labels=("a", "b"), metric="accuracy")
    changes: ClassVar[dict[str, Any]] = {}

    def load(self, source: bench.Source) -> bench.Splits:
        rows = {
            "id": [str(number) for number in range(20)],
            "text": [f"the film {number}" for number in range(20)],
            "label": [number % 2 for number in range(20)],
        }
        other = {"text": [f"the play {number}" for number in range(20)]}
        changed = {name: col for name, col in (rows | other | self.changes).items() if col}
        return bench.Splits(train=Dataset.from_dict(rows), dev=Dataset.from_dict(changed))


class NeedsAWord(Plain):
    info = dataclasses.replace(Plain.info, name="needs-a-word")

    def __init__(self, word: str) -> None:
        self.word = word


class OddMetric(Plain):
    info = dataclasses.replace(Plain.info, name="odd-metric", metric="perplexity")


class NoClasses(Plain):
    info = dataclasses.replace(Plain.info, name="no-classes", labels=None)


class OneClass(Plain):
    info = dataclasses.replace(Plain.info, name="one-class", labels=("a",))


class Fails(Plain):
    info = dataclasses.replace(Plain.info, name="fails")

    def load(self, source: bench.Source) -> bench.Splits:
        raise KeyError("no such column")


class Forgets(Plain):
    info = dataclasses.replace(Plain.info, name="forgets")

    def load(self, source: bench.Source) -> bench.Splits:
        return None  # type: ignore[return-value]


class NoLabel(Plain):
    info = dataclasses.replace(Plain.info, name="no-label")
    changes: ClassVar[dict[str, Any]] = {"label": []}


class FarLabel(Plain):
    info = dataclasses.replace(Plain.info, name="far-label")
    changes: ClassVar[dict[str, Any]] = {"label": [2] * 20}


class NoNumber(Plain):
    info = dataclasses.replace(Plain.info, name="no-number")
    changes: ClassVar[dict[str, Any]] = {"label": ["a"] * 20}


class Twice(Plain):
    info = dataclasses.replace(Plain.info, name="twice")
    changes: ClassVar[dict[str, Any]] = {"id": ["1"] * 20}


class NoText(Plain):
    info = dataclasses.replace(Plain.info, name="no-text")
    changes: ClassVar[dict[str, Any]] = {"text": [None] * 20}
