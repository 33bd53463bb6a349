"""Worker processes that run cells and trials as they are sent them: an executor.

A method that ends, kills or confuses its process harms one cell, and not the run. A process that
has run a plugin's method, which may have left anything changed in it, runs nothing else.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection as mp
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from bench import environment
from bench.errors import BenchError
from bench.runs.executor import POLL_S, Clock, Listener, Queue, tell_end
from bench.runs.limits import CellLimits, LimitError
from bench.runs.worker import work

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import Context

VISIBLE = "CUDA_VISIBLE_DEVICES"
FORKS = sys.version_info >= (3, 11) and "forkserver" in multiprocessing.get_all_start_methods()
PRELOADED = ["bench.runs.cells.execute", "evaluate", "optuna", "sklearn.metrics",
             "transformers.pipelines"]  # fmt: skip
"""What a worker needs for its first cell, seconds of imports."""

MOST_IN_VAIN = 3
"""Workers that may die before they have done anything: the next would do no better."""

PATIENCE_S = 5.0
"""How long a worker may take to leave."""


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
    since: float = 0.0  # when it was given its job, or has begun it
    has_worked: bool = False
    plugin: str | None = None  # the method of another package that it was given
    is_spent: bool = False  # it has run that method, and leaves

    def suits(self, plugin: str | None) -> bool:
        """Whether no other package's code than a job's own was in it."""
        return not self.is_spent and self.plugin in (None, plugin)


class Pool:
    """Worker processes.

    Args:
        size: Number of processes.
        gpus: GPUs by the names that `CUDA_VISIBLE_DEVICES` takes; each process sees only its own.
        limits: What a cell may take.
        kinds: What each of the GPUs is.

    Raises:
        BenchError: The system does not give so many.
    """

    def __init__(
        self,
        size: int,
        gpus: Sequence[str] = (),
        limits: CellLimits | None = None,
        kinds: Sequence[str] = (),
    ) -> None:
        self._processes: ForkServerContext | SpawnContext = (
            multiprocessing.get_context("forkserver")
            if FORKS and not gpus
            else multiprocessing.get_context("spawn")
        )
        self._gpus, self._limits = gpus, limits or CellLimits()
        self._kinds = kinds if len(set(kinds)) > 1 else ()
        self._blocks: dict[tuple[str, int], str] = {}
        self._workers: list[_Worker] = []
        self._in_vain = 0
        try:
            for number in range(size):
                self._workers.append(self._start(number))
        except OSError as error:
            self.close()
            raise BenchError(f"{size} worker processes cannot be started: {error}") from error

    def close(self) -> None:
        """Ends the processes, whatever they are doing: what is stored is whole at any time."""
        left = [worker for worker in self._workers if not worker.is_spent]
        for worker in left:
            worker.pipe.close()  # one that has nothing to do leaves by itself
        for worker in left:
            if worker.job is None and worker.has_worked:
                worker.process.join(timeout=PATIENCE_S)
            worker.process.terminate()
        for worker in left:
            _see_off(worker)

    def run(self, todo: Sequence[Job], context: Context, listener: Listener, clock: Clock) -> int:
        """Runs jobs, once; see `Executor.run`."""
        for worker in self._workers:
            self._send(worker, context)
        queue = Queue(todo)
        while True:
            for worker in list(self._workers):
                if worker.job is None and clock.has_time() and (job := self._next(worker, queue)):
                    self._give(worker, job, context)
            if all(worker.job is None for worker in self._workers) and not (
                queue and clock.has_time()
            ):
                for worker in self._workers:
                    worker.pipe.close()  # it leaves while the page is written
                return len(queue)
            for worker, event in self._events():
                job = worker.job
                if event is None or event[0] == "broke":
                    if (left := self._replace(worker, context, listener, event)) is not None:
                        queue.put_off(left)
                elif job is not None:
                    if event[0] == "started":
                        worker.has_worked, worker.since = True, time.monotonic()
                        self._in_vain = 0
                    if event[0] == "busy":
                        queue.put_off(job)
                    self._tell(event, job.cell, listener, clock)
                    if event[0] in ("busy", "ended"):
                        worker.job, worker.has_worked = None, True
                    if event[0] == "ended" and worker.plugin is not None:
                        self._retire(worker)

    def _next(self, worker: _Worker, queue: Queue) -> Job | None:
        """The next job for a worker: cells of a task and seed stay with one kind of GPU."""
        for _ in range(len(queue)):
            job = queue.take()
            if job is None or job.trial or not self._kinds:
                return job
            kind = self._kinds[worker.number % len(self._kinds)]
            if self._blocks.setdefault((job.cell.task, job.cell.seed), kind) == kind:
                return job
            queue.put_off(job)
        return None

    def _give(self, worker: _Worker, job: Job, context: Context) -> None:
        """Sends a worker a job, or where another package's code was in it, one that follows it."""
        plugin = job.cell.method if context.is_plugin(job.cell) else None
        if not worker.suits(plugin):
            self._retire(worker)
            worker = self._follow(worker, context)
        worker.job, worker.plugin, worker.since = job, plugin, time.monotonic()
        self._send(worker, job)

    def _retire(self, worker: _Worker) -> None:
        """Lets a worker leave, with all that a method may have left in it."""
        if not worker.is_spent:
            worker.is_spent = True
            worker.pipe.close()
            _see_off(worker)

    def _follow(self, worker: _Worker, context: Context) -> _Worker:
        """Starts a worker in the place of one that is gone."""
        self._workers.remove(worker)
        self._workers.append(self._start(worker.number))
        self._send(self._workers[-1], context)
        return self._workers[-1]

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
        heard = [worker for worker in self._workers if not worker.is_spent]
        handles = [h for worker in heard for h in (worker.pipe, worker.process.sentinel)]
        ready = mp.wait(handles, timeout=POLL_S)
        for worker in heard:
            event: tuple[Any, ...] | None = None
            if (excess := self._excess(worker)) is not None:
                worker.process.terminate()
                event = ("broke", excess, "")
            elif worker.pipe in ready:  # what it said before it died comes first
                with contextlib.suppress(Exception):  # the end, or what a method wrote there
                    event = worker.pipe.recv()
            elif worker.process.sentinel not in ready:
                continue
            yield worker, event

    def _excess(self, worker: _Worker) -> LimitError | None:
        """What a worker's cell takes more of than it may."""
        if worker.job is None or worker.process.pid is None:
            return None
        return self._limits.excess(worker.process.pid, time.monotonic() - worker.since)

    def _replace(
        self,
        worker: _Worker,
        context: Context,
        listener: Listener,
        broke: tuple[Any, ...] | None = None,
    ) -> Job | None:
        """Records the cell of a worker that has died as failed, and starts another worker.

        Args:
            worker: The worker.
            context: What the cells share.
            listener: Told of it.
            broke: Its last event, where it could say how it ended.

        Returns:
            What it was to do, where nothing came of that: a trial that it had not begun.

        Raises:
            BenchError: It died before it had done anything, as others have before.
        """
        how = _see_off(worker)
        error: BenchError = WorkerDiedError(f"the worker process was {how}")
        details = ""
        if broke is not None:
            _, said, details = broke
            error = said if isinstance(said, BenchError) else WorkerDiedError(str(said))
        job, left = worker.job, None
        if job is not None and not self._give_up(job, error, context, listener, details):
            left = job
        if not worker.has_worked and left is job:  # nothing came of it
            self._in_vain += 1
            if self._in_vain == MOST_IN_VAIN:
                before = "had a cell to run" if job is None else "had begun a trial"
                raise BenchError(f"a worker process was {how} before it {before}.")
        self._follow(worker, context)
        return left

    def _give_up(
        self, job: Job, error: Exception, context: Context, listener: Listener, details: str
    ) -> bool:
        """Counts a trial, or records a cell, as failed; whether there was one."""
        from bench.runs.cells.failure import give_up
        from bench.runs.cells.study import Study

        bound = context.bind(job.cell)
        if not job.trial:
            listener.ended(job.cell, give_up(bound, error, job.replaces, details))
            return True
        if not Study(bound).give_up_killed(str(error)):
            return False
        listener.tried(job.cell)
        return True

    def _start(self, number: int) -> _Worker:
        if FORKS and not self._gpus:
            warm_up()  # which is done, unless a method has killed what it came from
        here, there = self._processes.Pipe()
        variables = dict(os.environ)
        if self._gpus:
            variables[VISIBLE] = self._gpus[number % len(self._gpus)]
        process = self._processes.Process(target=work, args=(there, variables), daemon=True)
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


def _see_off(worker: _Worker) -> str:
    """Sees to it that a worker is gone, and all that it started; says how it ended."""
    process = worker.process
    process.join(timeout=PATIENCE_S)
    if is_stuck := process.exitcode is None:
        process.kill()
        process.join()
    _end_group(process.pid)
    if is_stuck:
        return "not heard of any more"
    code = process.exitcode or 0
    if code >= 0:
        return f"ended with status {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"killed by signal {-code}{hint}"


def _end_group(leader: int | None) -> None:
    """Ends what a worker that is gone has started, and waits for that a little.

    What lives on would hold its locks.
    """
    if leader is None or not hasattr(os, "killpg"):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        for _ in range(50):
            os.killpg(leader, signal.SIGKILL)
            time.sleep(0.01)
