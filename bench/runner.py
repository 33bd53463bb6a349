"""Cells to records: in this process, or in worker processes that import torch once and stay.

A cell is claimed by a lock that the process which runs it holds, so that several runs may share a
folder and a killed one leaves nothing behind but the cell to be done again.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection as mp
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.errors import BenchError
from bench.plan import ALWAYS, reference_cell
from bench.records import Record, Store

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from bench.lending import Context
    from bench.plan import Cell

Rerun = Literal["never", "failed", "missed", "all"]

VISIBLE = "CUDA_VISIBLE_DEVICES"

POLL_S = 1.0
"""How often cells that another process has claimed are looked at again."""


class Listener(Protocol):
    """Who is told how the run goes on."""

    def started(self, cell: Cell) -> None:
        """A cell has begun."""

    def progressed(self, cell: Cell, step: int, total: int) -> None:
        """A training of the cell has made `step` of `total` steps."""

    def ended(self, cell: Cell, record: Record) -> None:
        """A cell has a record, made by this run or by another process meanwhile."""

    def tried(self, cell: Cell) -> None:
        """A trial of the cell's study has ended, or another process has made the last of them."""


class StorageError(BenchError):
    """The run folder cannot be written any more."""


@dataclass(frozen=True)
class Job:
    """A cell to be run, or one more trial of its study.

    Attributes:
        cell: The cell; that of the study, where it is a trial.
        trial: Whether it is a trial.
        replaces: The `created` of the record that it is to replace, if any.
    """

    cell: Cell
    trial: bool = False
    replaces: str | None = None


def select(cells: Sequence[Cell], context: Context, rerun: Rerun) -> tuple[list[Job], int]:
    """Splits a plan into what is to be run and the number of cells that are done.

    Trials precede the cells that they are for. The dense models' come first, since whatever learns
    from one waits for them; then, for each task and ratio, the first trial of every method, the
    second of every method and so on, so that several workers are rarely at the same study and each
    of its trials knows the ones before.

    Args:
        cells: The plan.
        context: Gives the folder and the cells' ids.
        rerun: Which records are to be replaced: none, failed ones, failed and missed ones, or all.
    """
    again = {
        "never": (),
        "failed": ("failed",),
        "missed": ("failed", "missed"),
        "all": ("ok", "failed", "missed", "unreachable"),
    }[rerun]
    store = Store(context.runs)
    found = [(cell, store.get(context.cell_id(cell))) for cell in cells]
    todo = [
        Job(cell, replaces=None if record is None else record.created)
        for cell, record in found
        if record is None or record.status in again
    ]
    return _with_trials(todo, context), len(cells) - len(todo)


def _with_trials(todo: list[Job], context: Context) -> list[Job]:
    """Puts the trials that are yet to be made before the cells."""
    if not context.protocol.trials:
        return todo
    from bench.tuning import Study

    cells = [job.cell for job in todo]
    left: dict[tuple[str, float], dict[Cell, int]] = {}
    for cell in [*map(reference_cell, cells), *cells]:
        study = Study(cell, context)
        missing = study.trials - len(study.summary()["trials"]) if study.space else 0
        left.setdefault((cell.task, cell.ratio), {})[study.cell] = missing

    def trials(task: str, ratio: float) -> Iterator[Job]:
        studies = left.pop((task, ratio), {})
        for number in range(context.protocol.trials):
            yield from (Job(c, trial=True) for c, missing in studies.items() if missing > number)

    jobs = [job for task in dict.fromkeys(c.task for c in cells) for job in trials(task, 1.0)]
    for job in todo:
        jobs += [*trials(job.cell.task, job.cell.ratio), job]
    return jobs


def run(
    todo: Sequence[Job],
    context: Context,
    listener: Listener,
    *,
    pool: Pool | None = None,
    max_hours: float | None = None,
) -> int:
    """Runs cells, waiting for those that another process has claimed.

    Args:
        todo: What to run, in order.
        context: What the cells share.
        listener: Told of every event.
        pool: Worker processes; without them the cells run in this process.
        max_hours: No cell is begun that would likely end later than this.

    Returns:
        Cells that were left because of `max_hours`.

    Raises:
        StorageError: The run folder cannot be written.
        KeyboardInterrupt: The run was interrupted; finished cells are kept.
    """
    clock = _Clock(max_hours)
    if pool is None:
        return _run_here(deque(todo), context, listener, clock)
    return pool.run(deque(todo), context, listener, clock)


class _Clock:
    """Whether there is time for one more cell, given how long they took so far."""

    def __init__(self, max_hours: float | None) -> None:
        self._begin = time.monotonic()
        self._limit = float("inf") if max_hours is None else max_hours * 3600
        self._longest = 0.0

    def has_time(self) -> bool:
        return time.monotonic() - self._begin + self._longest < self._limit

    def ended(self, result: Record | float) -> None:
        took = result.cost.get("wall_s", 0.0) if isinstance(result, Record) else result
        self._longest = max(self._longest, took)


def attempt(
    job: Job,
    context: Context,
    started: Callable[[], None],
    progress: Callable[[int, int], None],
) -> Record | float | None:
    """Runs a cell or a trial if nobody else does.

    Args:
        job: The cell.
        context: What the cells share.
        started: Called once the cell is claimed and about to run.
        progress: Called with steps made and steps in all.

    Returns:
        Its record, which another process may have written meanwhile, or for a trial the seconds
        that it took; `None` if it has to wait for what other processes are at.

    Raises:
        StorageError: The run folder cannot be written; nothing else would fare better there.
    """
    from filelock import Timeout

    from bench.execution import execute, is_storage_error
    from bench.tuning import tuned

    store = Store(context.runs)
    cell_id = context.cell_id(job.cell)
    try:
        if job.cell.method != ALWAYS and tuned(reference_cell(job.cell), context) is None:
            return None
        if job.trial:
            return _attempt_trial(job.cell, context, started, progress)
        if tuned(job.cell, context) is None:
            return None
        with store.lock(cell_id).acquire(timeout=0):
            found = store.get(cell_id)
            if found is not None and found.created != job.replaces:
                return found
            started()
            return execute(job.cell, context, progress)
    except Timeout:
        return None
    except Exception as error:
        if is_storage_error(error):
            raise StorageError(f"{context.runs} cannot be written: {error}") from error
        raise


def _attempt_trial(
    cell: Cell,
    context: Context,
    started: Callable[[], None],
    progress: Callable[[int, int], None],
) -> float | None:
    from bench.execution import execute_trial
    from bench.tuning import tuned

    begin = time.monotonic()
    if tuned(cell, context) is None:
        started()
        if not execute_trial(cell, context, progress) and tuned(cell, context) is None:
            return None
    return time.monotonic() - begin


def _run_here(todo: deque[Job], context: Context, listener: Listener, clock: _Clock) -> int:
    import torch

    torch.set_num_threads(context.threads)
    busy = 0
    while todo and clock.has_time():
        job = todo.popleft()
        started = functools.partial(listener.started, job.cell)
        progress = functools.partial(listener.progressed, job.cell)
        record = attempt(job, context, started, progress)
        if record is None:
            todo.append(job)
            busy += 1
            if busy >= len(todo):
                time.sleep(POLL_S)
            continue
        busy = 0
        clock.ended(record)
        _tell_end(job.cell, record, listener)
    return len(todo)


def _tell_end(cell: Cell, result: Record | float, listener: Listener) -> None:
    if isinstance(result, Record):
        listener.ended(cell, result)
    else:
        listener.tried(cell)


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: mp.Connection
    number: int
    job: Job | None = None


class Pool:
    """Worker processes; starting them early lets them import torch while the plan is made.

    Args:
        size: Number of processes.
        gpus: GPUs by the names that `CUDA_VISIBLE_DEVICES` takes; each process sees only its own.
    """

    def __init__(self, size: int, gpus: Sequence[str] = ()) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        self._gpus = gpus
        self._workers = [self._start(number) for number in range(size)]

    def close(self) -> None:
        """Ends the processes, whatever they are doing: what is stored is whole at any time."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(timeout=5)
            worker.process.kill()
            worker.pipe.close()

    def run(self, todo: deque[Job], context: Context, listener: Listener, clock: _Clock) -> int:
        """Runs cells; see `bench.runner.run`."""
        for worker in self._workers:
            self._send(worker, context)
        retry_at = 0.0
        busy: deque[Job] = deque()
        while True:
            if busy and time.monotonic() >= retry_at:
                todo.extendleft(reversed(busy))
                busy.clear()
            for worker in self._workers:
                if worker.job is None and todo and clock.has_time():
                    worker.job = todo.popleft()
                    self._send(worker, worker.job)
            if all(worker.job is None for worker in self._workers) and not (
                busy and clock.has_time()
            ):
                return len(todo) + len(busy)
            for worker, event in self._events():
                job = worker.job
                if event is None:
                    self._replace(worker, context, listener)
                elif job is not None:
                    if event[0] == "busy":
                        busy.append(job)
                        retry_at = time.monotonic() + POLL_S
                    self._tell(event, job.cell, listener, clock)
                    if event[0] in ("busy", "ended"):
                        worker.job = None

    def _tell(self, event: tuple[Any, ...], cell: Cell, listener: Listener, clock: _Clock) -> None:
        kind, *rest = event
        if kind == "started":
            listener.started(cell)
        elif kind == "progress":
            listener.progressed(cell, *rest)
        elif kind == "ended":
            clock.ended(rest[0])
            _tell_end(cell, rest[0], listener)
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

    def _replace(self, worker: _Worker, context: Context, listener: Listener) -> None:
        """Records the cell of a worker that has died as failed, and starts another worker."""
        from bench.execution import ended_early

        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        self._workers.remove(worker)
        if worker.job is None:
            raise BenchError(f"a worker process was {how} before it had a cell to run.")
        cell = worker.job.cell
        cell_id = context.cell_id(cell)
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        error = WorkerDiedError(f"the worker process was {how}{hint}")
        if worker.job.trial:
            from bench.tuning import Study

            Study(cell, context).give_up_killed(str(error))
            listener.tried(cell)
        else:
            store = Store(context.runs)
            record = store.get(cell_id)
            if record is None or record.created == worker.job.replaces:
                record = ended_early("failed", cell, cell_id, error)
                store.put(record)
            listener.ended(cell, record)
        self._workers.append(self._start(worker.number))
        self._send(self._workers[-1], context)

    def _start(self, number: int) -> _Worker:
        here, there = self._spawn.Pipe()
        process = self._spawn.Process(target=_work, args=(there,), daemon=True)
        with self._only_gpu(number):
            process.start()
        there.close()
        return _Worker(process, here, number)

    @contextlib.contextmanager
    def _only_gpu(self, number: int) -> Iterator[None]:
        """Processes that are started inside the block see one GPU, before they import torch."""
        if not self._gpus:
            yield
            return
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = self._gpus[number % len(self._gpus)]
        try:
            yield
        finally:
            del os.environ[VISIBLE]
            if before is not None:
                os.environ[VISIBLE] = before


class WorkerDiedError(BenchError):
    """A worker process ended in the middle of a cell."""


def _work(pipe: mp.Connection) -> None:
    """The life of a worker process: one context, then cells until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # libraries leave their semaphores else
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    import bench.execution  # noqa: F401 - with all that it needs, while the plan is made

    try:
        context: Context = pipe.recv()
    except EOFError:  # there was nothing to run
        return
    torch.set_num_threads(context.threads)
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


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
