"""Methods that end their process, change it for whoever comes after, or say what cannot be shown.

They are installed and talk to a test as those of `unruly.py` do.
"""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from unruly import Unruly, folder, info

import bench
from bench import Method, Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Untidy(Method):
    """Trains nothing; a subclass says what it does instead."""

    Params = bench.Params

    def act(self, run: Run) -> Any:
        """What it does; it delivers nothing."""

    def compress(self, run: Run, params: bench.Params) -> PreTrainedModel:
        return self.act(run)  # type: ignore[no-any-return]


class ExitsWell(Untidy):
    info = info("exits-well")

    def act(self, run: Run) -> Any:
        os._exit(0)


class ExitsIll(Untidy):
    info = info("exits-ill")

    def act(self, run: Run) -> Any:
        os._exit(7)


class Crashes(Untidy):
    info = info("crashes")

    def act(self, run: Run) -> Any:
        ctypes.string_at(0)  # a segmentation fault


class Interrupted(Untidy):
    info = info("interrupted")

    def act(self, run: Run) -> Any:
        raise KeyboardInterrupt


class ClosesAll(Untidy):
    """Cuts the line to the run, and stays."""

    info = info("closes-all")

    def act(self, run: Run) -> Any:
        os.closerange(3, 256)
        time.sleep(60)


class LeavesGenerator(Untidy):
    info = info("leaves-generator")

    def act(self, run: Run) -> Any:
        raise GeneratorExit


class OwnError(BaseException):
    """Is no `Exception`."""


class RaisesOwn(Untidy):
    info = info("raises-own")

    def act(self, run: Run) -> Any:
        raise OwnError("of its own")


class EndsFirstTrial(Unruly):
    """Ends its process in the first of its trials."""

    info = info("ends-first-trial")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        try:
            (folder() / "tried").touch(exist_ok=False)
        except FileExistsError:
            return super().compress(run, params)
        os._exit(0)


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class SaysNothing(Untidy):
    info = info("says-nothing")

    def act(self, run: Run) -> Any:
        error = UnspeakableError()
        error.__cause__ = error
        raise error


ODD = "half \udc80 a character, \x00 and \x1b[31m red"


class SaysTooMuch(Untidy):
    info = info("says-too-much")

    def act(self, run: Run) -> Any:
        run.log(ODD)
        raise type("Odd\x1bError", (Exception,), {})(ODD + "!" * 3_000_000)


class Changes(Unruly):
    """Changes all of its process that it can, after it has trained."""

    info = info("changes")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        model = super().compress(run, params)
        change_all()
        return model


def change_all() -> None:
    """What `bench.process_state` puts back."""
    import numpy as np
    import torch

    os.chdir("/")
    os.umask(0o777)
    os.environ["UNTIDY"] = "1"
    os.environ.pop("PATH", None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(1000)
    warnings.simplefilter("error")
    locale.setlocale(locale.LC_ALL, "C")
    gc.disable()
    sys.path[:] = ["/untidy"]
    sys.stdout = None
    np.seterr(all="raise")
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_autocast_enabled("cpu", True)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(2)
    torch.manual_seed(3)
    np.random.seed(3)
    sys.setrecursionlimit(120)  # room for no more than to be put back


class Patches(Untidy):
    """Puts its own functions in the place of others'."""

    info = info("patches")

    def act(self, run: Run) -> Any:
        import torch

        from bench.compression import losses
        from bench.training import loop

        losses.task_loss = lambda model, batch: None  # type: ignore[assignment,return-value]
        loop.optimizer_for = None  # type: ignore[assignment]
        torch.nn.functional.cross_entropy = lambda *_, **__: None
        torch.nn.Linear.forward = lambda self, x: x  # type: ignore[method-assign]


class LeavesAChild(Untidy):
    """Leaves a process and a thread that would live for an hour; it ends well once it may."""

    info = info("leaves-a-child")

    def act(self, run: Run) -> Any:
        child = subprocess.Popen(["sleep", "3600"])
        with (folder() / "children").open("a") as file:
            file.write(f"{child.pid}\n")
        if (folder() / "open").exists():
            threading.Thread(target=time.sleep, args=(3600,)).start()
        else:
            os._exit(0)


class Sleeps(Untidy):
    info = info("sleeps")

    def act(self, run: Run) -> Any:
        time.sleep(3600)


class Swells(Untidy):
    """Takes three gigabytes."""

    info = info("swells")

    def act(self, run: Run) -> Any:
        import numpy as np

        held = np.ones(3 * 10**9, dtype=np.int8)
        time.sleep(3600 + held[0])


class Asks(Untidy):
    """Asks on standard input, itself and through a child."""

    info = info("asks")

    def act(self, run: Run) -> Any:
        heard = subprocess.run(["cat"], stdout=subprocess.PIPE, check=False).stdout
        raise RuntimeError(f"heard {heard!r}, {sys.stdin.read()!r}")


class SpoilsTeacher(Unruly):
    """Changes its teacher, and then asks it."""

    info = info("spoils-teacher")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        import torch

        teacher = run.teacher()
        with torch.no_grad():
            for weights in teacher.parameters():
                weights.zero_()
        model = run.pretrained()

        def asked(model: PreTrainedModel, batch: bench.Batch) -> Any:
            bench.answer(teacher, batch)
            return bench.task_loss(model, batch)

        pruner = bench.GradualPruner(model, density=run.target.density(model))
        run.train(model, loss=asked, params=params, callbacks=[pruner])
        return pruner.finish()


class AsksUngraded(Unruly):
    """Asks for the fine-tuned model where no gradient is recorded."""

    info = info("asks-ungraded")

    def compress(self, run: Run, params: bench.TrainParams) -> PreTrainedModel:
        import torch

        with torch.no_grad():
            run.finetuned()
        return super().compress(run, params)


ALL = (ExitsWell, ExitsIll, Crashes, Interrupted, ClosesAll, LeavesGenerator, RaisesOwn,
       EndsFirstTrial, SaysNothing, SaysTooMuch, Changes, Patches, LeavesAChild, Sleeps, Swells,
       Asks, SpoilsTeacher, AsksUngraded)  # fmt: skip
