"""The life of a worker process: it runs cells and trials as they are sent, and tells what came.

What it says are tuples: `("started",)`, `("progress", step, total)`, `("busy",)` where others are
at the job, `("ended", result)`, `("broke", how, traceback)` where the job has ended this process,
and `("stop", error)` where no other job would fare better.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing import connection as mp
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, kind_and_line
from bench.runs.cells.claim import Job, StorageError, attempt

if TYPE_CHECKING:
    from bench.runs.cells.context import Context


class _Ended(KeyboardInterrupt):
    """The run ends this process, or is not heard of any more: no error of what it is at."""


def work(pipe: mp.Connection, variables: Mapping[str, str]) -> None:
    """One context, then jobs until the pipe closes, or until one of a plugin's was run."""
    if hasattr(os, "setpgid"):  # what a method starts is in this group, and ends with it
        os.setpgid(0, 0)
    with Path(os.devnull).open("rb") as nothing:  # nobody asks, and no child takes what is typed
        os.dup2(nothing.fileno(), 0)
    os.environ.clear()
    os.environ.update(variables)  # before torch looks for GPUs; a server's is that of its start
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    sys.unraisablehook = _unless_interrupted
    with contextlib.suppress(_Ended):
        # As an interrupt, rather than die and leave semaphores behind.
        signal.signal(signal.SIGTERM, _end)
        threading.Thread(target=_die_with_parent, daemon=True).start()
        _run_jobs(pipe)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it leaves: there is nothing to interrupt


def _run_jobs(pipe: mp.Connection) -> None:
    from bench import machine

    try:
        context: Context = pipe.recv()
    except EOFError:  # the run was given up
        return
    # A library that is loaded later has its threads from here.
    os.environ.update(dict.fromkeys(machine.POOLS, str(context.threads)))
    machine.bound_gpu_memory(context.workers_per_gpu)
    with machine.limited_threads(context.threads):
        _attempt_all(pipe, context)


def _attempt_all(pipe: mp.Connection, context: Context) -> None:
    last_sent = 0.0

    def tell(*event: Any) -> None:
        try:
            pipe.send(event)
        except OSError:  # the run is gone, or a method has closed what is not its own
            raise _Ended from None

    def progress(step: int, total: int) -> None:
        nonlocal last_sent
        if time.monotonic() - last_sent > 0.2 or step == total:
            last_sent = time.monotonic()
            tell("progress", step, total)

    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        result: Any
        is_plugin = context.is_plugin(job.cell)
        try:
            result = attempt(job, context, lambda: tell("started"), progress)
        except _Ended:
            raise
        except BaseException as error:  # of a method, which may raise what it likes
            if isinstance(error, StorageError) or (isinstance(error, BenchError) and not is_plugin):
                tell("stop", error)
                continue
            tell("broke", kind_and_line(error), traceback.format_exc())
            return
        tell("busy") if result is None else tell("ended", result)
        if result is not None and is_plugin:
            return


def _end(number: int, frame: Any) -> None:
    raise _Ended


def _unless_interrupted(unraisable: sys.UnraisableHookArgs) -> None:
    """Tells of an error in a destructor, but not of the interrupt that met one."""
    if not isinstance(unraisable.exc_value, _Ended):
        sys.__unraisablehook__(unraisable)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
