"""Worker processes that stay, and run cells and trials as they are sent them: an executor.

A method that ends, kills or confuses its process harms one cell, and not the run.

Where the system can fork, they come from a server process that has imported torch and the rest
while the plan was made; where each is to see a GPU of its own, or on Windows, each imports for
itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection as mp
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from bench import environment
from bench.errors import BenchError
from bench.results.store import Store
from bench.runs.cells.claim import Job, attempt
from bench.runs.executor import POLL_S, Clock, Listener, tell_end

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context

VISIBLE = "CUDA_VISIBLE_DEVICES"
FORKS = sys.version_info >= (3, 11) and "forkserver" in multiprocessing.get_all_start_methods()
PRELOADED = ["bench.runs.cells.execute", "evaluate", "sklearn.metrics", "transformers.pipelines"]
"""What a worker needs for its first cell, seconds of imports."""


def warm_up() -> None:
    """Starts the process that workers are forked from; it imports what they need meanwhile."""
    environment.set_defaults()
    if not FORKS:
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    # Python before 3.13 lets it import from the working directory first, whatever lies there.
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
    here = threading.current_thread() is threading.main_thread()  # elsewhere it cannot be said
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if here else None  # inherited
    own = dict(os.environ)
    try:
        os.environ.update(path)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(own)
        if here:
            signal.signal(signal.SIGINT, before)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: mp.Connection
    number: int
    job: Job | None = None
    has_worked: bool = False


class Pool:
    """Worker processes.

    Args:
        size: Number of processes.
        gpus: GPUs by the names that `CUDA_VISIBLE_DEVICES` takes; each process sees only its own.

    Raises:
        BenchError: The system does not give so many.
    """

    def __init__(self, size: int, gpus: Sequence[str] = ()) -> None:
        self._processes: ForkServerContext | SpawnContext = (
            multiprocessing.get_context("forkserver")
            if FORKS and not gpus
            else multiprocessing.get_context("spawn")
        )
        self._gpus = gpus
        self._workers: list[_Worker] = []
        try:
            for number in range(size):
                self._workers.append(self._start(number))
        except OSError as error:
            self.close()
            raise BenchError(f"{size} worker processes cannot be started: {error}") from error

    def close(self) -> None:
        """Ends the processes, whatever they are doing: what is stored is whole at any time."""
        for worker in self._workers:
            worker.pipe.close()  # one that has nothing to do leaves by itself
        for worker in self._workers:
            if worker.job is None and worker.has_worked:
                worker.process.join(timeout=5)
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(timeout=5)
            worker.process.kill()

    def run(self, todo: Sequence[Job], context: Context, listener: Listener, clock: Clock) -> int:
        """Runs jobs, once; see `Executor.run`."""
        for worker in self._workers:
            self._send(worker, context)
        retry_at = 0.0
        waiting, busy = deque(todo), deque[Job]()
        while True:
            if busy and time.monotonic() >= retry_at:
                waiting.extendleft(reversed(busy))
                busy.clear()
            for worker in self._workers:
                if worker.job is None and waiting and clock.has_time():
                    worker.job = waiting.popleft()
                    self._send(worker, worker.job)
            if all(worker.job is None for worker in self._workers) and not (
                busy and clock.has_time()
            ):
                for worker in self._workers:
                    worker.pipe.close()  # it leaves while the page is written
                return len(waiting) + len(busy)
            for worker, event in self._events():
                job = worker.job
                if event is None:
                    if (left := self._replace(worker, context, listener)) is not None:
                        busy.append(left)
                elif job is not None:
                    if event[0] == "started":
                        worker.has_worked = True
                    if event[0] == "busy":
                        busy.append(job)
                        retry_at = time.monotonic() + POLL_S
                    self._tell(event, job.cell, listener, clock)
                    if event[0] in ("busy", "ended"):
                        worker.job, worker.has_worked = None, True

    def _tell(self, event: tuple[Any, ...], cell: Cell, listener: Listener, clock: Clock) -> None:
        kind, *rest = event
        if kind == "started":
            listener.started(cell)
        elif kind == "progress":
            listener.progressed(cell, *rest)
        elif kind == "ended":
            clock.ended(rest[0])
            tell_end(cell, rest[0], listener)
        elif kind == "stop":
            raise rest[0]

    def _send(self, worker: _Worker, what: Context | Job) -> None:
        with contextlib.suppress(BrokenPipeError):  # `_events` tells of one that has died
            worker.pipe.send(what)

    def _events(self) -> Iterator[tuple[_Worker, tuple[Any, ...] | None]]:
        """What the workers say, within a poll's time; `None` for one that has died."""
        handles = [h for w in self._workers for h in (w.pipe, w.process.sentinel)]
        ready = mp.wait(handles, timeout=POLL_S)
        for worker in list(self._workers):
            event = None
            if worker.pipe in ready:  # what it said before it died comes first
                with contextlib.suppress(EOFError, OSError):
                    event = worker.pipe.recv()
            elif worker.process.sentinel not in ready:
                continue
            yield worker, event

    def _replace(self, worker: _Worker, context: Context, listener: Listener) -> Job | None:
        """Records the cell of a worker that has died as failed, and starts another worker.

        Returns:
            What it was to do, where nothing came of that: a trial that it had not begun.

        Raises:
            BenchError: It died before it had done anything: the next would do no better.
        """
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        self._workers.remove(worker)
        if worker.job is None and not worker.has_worked:
            raise BenchError(f"a worker process was {how} before it had a cell to run.")
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        error = WorkerDiedError(f"the worker process was {how}{hint}")
        left = None
        if worker.job is not None and not self._give_up(worker.job, error, context, listener):
            if not worker.has_worked:
                raise BenchError(f"a worker process was {how} before it had begun a trial.")
            left = worker.job
        self._workers.append(self._start(worker.number))
        self._send(self._workers[-1], context)
        return left

    def _give_up(self, job: Job, error: Exception, context: Context, listener: Listener) -> bool:
        """Counts a trial, or records a cell, as failed; whether there was one."""
        from bench.runs.cells.execute import ended_early
        from bench.runs.cells.study import Study

        cell, bound = job.cell, context.bind(job.cell)
        if job.trial:
            if not Study(bound).give_up_killed(str(error)):
                return False
            listener.tried(cell)
            return True
        store = Store(context.runs)
        record = store.get(bound.id)
        if record is None or record.created == job.replaces:
            record = ended_early("failed", cell, bound.id, error)
            store.put(record)
        listener.ended(cell, record)
        return True

    def _start(self, number: int) -> _Worker:
        here, there = self._processes.Pipe()
        variables = dict(os.environ)
        if self._gpus:
            variables[VISIBLE] = self._gpus[number % len(self._gpus)]
        process = self._processes.Process(target=_work, args=(there, variables), daemon=True)
        with _without_main():
            process.start()
        there.close()
        return _Worker(process, here, number)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keeps a new process from running the script that called us, which would call us again."""
    main = sys.modules["__main__"]
    held = {name: vars(main).get(name) for name in ("__file__", "__spec__")}
    try:
        vars(main).pop("__file__", None)
        vars(main)["__spec__"] = None
        yield
    finally:
        vars(main).update({name: value for name, value in held.items() if value is not None})


class WorkerDiedError(BenchError):
    """A worker process ended in the middle of a cell."""


def _work(pipe: mp.Connection, variables: Mapping[str, str]) -> None:
    """The life of a worker process: one context, then cells until the pipe closes."""
    os.environ.clear()
    os.environ.update(variables)  # before torch looks for GPUs; a server's is that of its start
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    sys.unraisablehook = _unless_interrupted
    with contextlib.suppress(KeyboardInterrupt):
        # As an interrupt, rather than die and leave semaphores behind.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    with machine.limited_threads(context.threads):
        _attempt_all(pipe, context)


def _attempt_all(pipe: mp.Connection, context: Context) -> None:
    last_sent = 0.0

    def progress(step: int, total: int) -> None:
        nonlocal last_sent
        if time.monotonic() - last_sent > 0.2 or step == total:
            last_sent = time.monotonic()
            pipe.send(("progress", step, total))

    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        try:
            record = attempt(job, context, lambda: pipe.send(("started",)), progress)
        except BenchError as error:
            pipe.send(("stop", error))
            continue
        pipe.send(("busy",) if record is None else ("ended", record))


def _unless_interrupted(unraisable: sys.UnraisableHookArgs) -> None:
    """Tells of an error in a destructor, but not of the interrupt that met one."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
