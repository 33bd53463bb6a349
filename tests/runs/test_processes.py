"""Worker processes: what they see, and what comes of one that dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness import QUICK, alive, outcomes, quick, records, start, statuses
from unruly import calls

from bench.errors import BenchError
from bench.machine import GPU_ROOM, default_workers, limited_threads, visible_gpus
from bench.runs.cells.cell import Cell
from bench.runs.cells.claim import Job
from bench.runs.executor import Queue
from bench.runs.processes import MOST_IN_VAIN, Pool, _Worker, warm_up
from bench.runs.request import Request, resolve
from bench.runs.worker import _Ended, _run_jobs, work

pytestmark = pytest.mark.usefixtures("unruly")


@pytest.mark.slow
def test_an_interrupt_ends_the_workers_too(runs) -> None:
    """In a process of its own: a signal that comes late would end the tests."""
    words = ("--methods", "interrupts,waits", "--workers", "2", "--runs", runs)
    with start("run", *QUICK, *words, UNRULY_SIGNAL="parent SIGTERM") as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert not any(alive(int(line.split()[-1])) for line in calls())
    assert "waits" not in statuses(runs)


@pytest.fixture
def interrupted_worker(monkeypatch) -> Iterator[list[bool]]:
    """A worker in this process that is ended when its first thread starts, and whether it did."""
    begun: list[bool] = []

    def interrupted(thread: threading.Thread) -> None:
        begun.append(thread.daemon)
        raise _Ended

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(os, "setpgid", lambda process, group: None)
    own = os.dup(0)
    yield begun
    os.dup2(own, 0)
    os.close(own)


def test_a_worker_that_is_ended_while_it_begins_says_nothing(interrupted_worker, capfd) -> None:
    here, _ = multiprocessing.Pipe()
    work(here, dict(os.environ))
    assert interrupted_worker == [True]
    assert capfd.readouterr() == ("", "")


def test_a_worker_reads_nothing_from_standard_input(interrupted_worker) -> None:
    end, typed = os.pipe()
    os.write(typed, b"y\n")
    os.dup2(end, 0)
    here, _ = multiprocessing.Pipe()
    work(here, dict(os.environ))
    assert os.read(0, 9) == b""
    assert os.read(end, 9) == b"y\n"


@pytest.mark.slow
def test_workers_import_nothing_from_the_working_directory(runs, tmp_path) -> None:
    for name in ("bench", "evaluate"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open(__file__ + '.imported', 'w').close()")
    command = ("run", *QUICK, "--methods", "magnitude", "--runs", runs, "--workers", "2")
    with start(*command, cwd=tmp_path) as run:
        _, err = run.communicate(timeout=120)
    assert (run.returncode, err) == (0, "")
    assert not list(tmp_path.glob("*/*.imported"))


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_cell_alone(runs) -> None:
    result = quick(runs, "--workers", "2", methods="dies,magnitude,random-mask")
    assert result.status == 1
    assert statuses(runs) == (
        {"dense": "ok", "dies": "failed", "magnitude": "ok", "random-mask": "ok"}
    )
    error = records(runs)["dies", 4, 0].error
    assert error is not None
    assert "killed by signal 9" in error["message"]
    assert (runs / error["log"]).is_file()
    assert "Traceback" not in result.err


def test_each_worker_sees_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Process:
        def __init__(self, *, args: tuple[object, dict[str, str]], **_: object) -> None:
            seen.append(args[1]["CUDA_VISIBLE_DEVICES"])

        def start(self) -> None:
            pass

    contexts = {"spawn": SimpleNamespace(Process=Process, Pipe=multiprocessing.Pipe)}
    monkeypatch.setattr("multiprocessing.get_context", contexts.__getitem__)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-abc")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert visible_gpus() == ["4", "GPU-abc"]
    assert default_workers("cuda") == 2
    Pool(3, visible_gpus())
    assert seen == ["4", "GPU-abc", "4"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,GPU-abc"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == ["0", "1"]
    Pool(2, visible_gpus())
    assert seen[3:] == ["0", "1"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert default_workers("cuda", 2) == 4
    Pool(4, visible_gpus())
    assert seen[5:] == ["0", "1", "0", "1"]


def test_workers_that_share_a_gpu_have_a_part_of_its_memory(monkeypatch) -> None:
    parts: list[float] = []
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", parts.append)
    for share in (1, 3):
        said: list[Any] = [SimpleNamespace(threads=1, workers_per_gpu=share)]
        pipe: Any = SimpleNamespace(recv=lambda said=said: said.pop() if said else ended())
        _run_jobs(pipe)
    assert parts == [GPU_ROOM / 3]
    assert 3 * parts[0] < 1


def ended() -> None:
    raise EOFError


def test_the_cells_of_a_task_and_seed_stay_with_one_kind_of_gpu(monkeypatch) -> None:
    monkeypatch.setattr("bench.runs.executor.POLL_S", 1e9)

    def job(task: str, method: str = "m", *, trial: bool = False) -> Job:
        return Job(Cell(method, task, "weights", 4.0, 0, "e", "p"), trial=trial)

    pool: Any = object.__new__(Pool)
    pool._kinds, pool._blocks = ("new", "old"), {}
    new, old = (_Worker(None, None, number) for number in (0, 1))  # type: ignore[arg-type]
    queue = Queue(
        [job("a", "1"), job("a", "2"), job("b", "1"), job("a", trial=True), job("b", "2")]
    )
    assert pool._next(new, queue) == job("a", "1")
    assert pool._next(old, queue) == job("b", "1")  # and not what stays with the new one
    assert pool._next(new, queue) == job("a", trial=True)  # which may be made anywhere
    assert pool._next(new, queue) is None  # what is left is the old one's, or is looked at again
    assert len(queue) == 2
    pool._kinds = ()
    assert pool._next(new, Queue([job("b", "2")])) == job("b", "2")


def test_a_run_has_as_many_workers_a_gpu_as_it_is_asked_for(tmp_path, monkeypatch) -> None:
    def asked(**more: Any) -> Any:
        methods = {"methods": ["dense"], "tasks": ["demo-sentiment"], "runs": tmp_path / "runs"}
        return resolve(Request(**methods, **more))

    with pytest.raises(BenchError, match="--workers-per-gpu: this run computes on the processor"):
        asked(workers_per_gpu=2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    assert (asked().workers, asked().workers_per_gpu) == (2, 1)  # the demo's own number
    assert (asked(workers_per_gpu=4).workers, asked(workers_per_gpu=4).workers_per_gpu) == (12, 4)
    assert asked(workers_per_gpu=4, workers=5).workers == 5


def dead_worker(pool: Pool, monkeypatch: pytest.MonkeyPatch, *, has_worked: bool) -> _Worker:
    """A worker that was killed while it had nothing to do; whoever follows it is `None`."""
    process = SimpleNamespace(join=lambda timeout: None, exitcode=-9, pid=None)
    worker = _Worker(process, None, 0, has_worked=has_worked)
    pool._workers = [worker]
    monkeypatch.setattr(pool, "_start", lambda number: None)
    monkeypatch.setattr(pool, "_send", lambda worker, what: None)
    return worker


def test_the_death_of_an_idle_worker_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(0)
    pool._replace(dead_worker(pool, monkeypatch, has_worked=True), None, None)
    assert pool._workers == [None]
    for _ in range(MOST_IN_VAIN - 1):  # as often as it may happen by chance
        pool._replace(dead_worker(pool, monkeypatch, has_worked=False), None, None)
    with pytest.raises(BenchError, match=r"killed by signal 9 .* before it had a cell"):
        pool._replace(dead_worker(pool, monkeypatch, has_worked=False), None, None)


def test_more_workers_than_the_system_gives_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Pool, number: int) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Pool, "_start", refused)
    with pytest.raises(BenchError, match="2000 worker processes cannot be started"):
        Pool(2000)


def test_one_and_two_workers_give_the_same_digits(runs: Path, monkeypatch) -> None:
    """Or the last digits of a page would say how many workers there were."""
    import torch

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)  # which sums in another order
    one, two = runs / "one", runs / "two"
    said = quick(one, "--workers", "1"), quick(two, "--workers", "2")
    assert [result.status for result in said] == [0, 0]
    assert outcomes(one) == outcomes(two)
    assert {record.environment["threads"] for record in records(two).values()} == {1}
    for record in records(one).values():
        path = Path(record.id, "predictions.parquet")
        assert (one / path).read_bytes() == (two / path).read_bytes()
    for path in sorted(one.rglob("*.safetensors")):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    assert "1 thread a cell" in (one / "demo.md").read_text()


def test_threads_are_limited_for_every_library_and_given_back() -> None:
    import torch
    from threadpoolctl import threadpool_info

    torch.set_num_threads(2)
    before = [pool["num_threads"] for pool in threadpool_info()]
    with limited_threads(1):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before
    assert torch.get_num_threads() == 2


def test_a_run_may_begin_in_a_thread_and_asks_its_threads_not_to_spin(monkeypatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    failed: list[BaseException] = []

    def begin() -> None:
        try:
            warm_up()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert not failed
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
