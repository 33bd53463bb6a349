"""Runs that are interrupted, killed, doubled, or whose cells fail: no result is lost or doubled."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import QUICK, bench, outcomes, quick, records, start, statuses
from unruly import calls, wait_until

from bench.errors import BenchError
from bench.machine import default_workers, visible_gpus
from bench.results.store import Store
from bench.runs.processes import Pool, _work, _Worker

METHODS = "counted,magnitude,waits,random-mask"
"""A plan in whose middle a cell waits until the test opens the way; `dense` comes first."""

pytestmark = pytest.mark.usefixtures("unruly")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def undisturbed(tmp_path: Path, unruly: Path) -> Path:
    """A run folder of `METHODS` that nothing came in the way of."""
    (unruly / "open").touch()
    assert quick(tmp_path / "undisturbed", methods=METHODS).status == 0
    (unruly / "open").unlink()
    (unruly / "calls").unlink()
    return tmp_path / "undisturbed"


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# Killed, interrupted, and begun again.


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_run_goes_on_where_it_was(runs, undisturbed, unruly, workers) -> None:
    command = ("run", *QUICK, "--methods", METHODS, "--runs", runs, "--workers", workers)
    with start(*command) as killed:
        # One cell waits; every other one that can be done beside it is.
        wanted = 3 if workers == "1" else 4
        wait_until(lambda: len(records(runs)) == wanted and len(calls()) == 2)
        worker = int(calls()[-1].split()[-1])
        (suite,) = json.loads(bench("status", "--runs", runs, "--json").out)["suites"]
        assert (suite["ok"], suite["running"], suite["left"]) == (wanted, 1, 4 - wanted)
        assert (worker == killed.pid) == (workers == "1")
        assert alive(worker)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        wait_until(lambda: not alive(worker))
        killed.communicate()
    kept = {key: record.created for key, record in records(runs).items()}
    (unruly / "open").touch()
    result = quick(runs, methods=METHODS)
    assert result.status == 0
    assert f"{wanted} done, {5 - wanted} to run" in result.out
    assert kept.items() <= {key: record.created for key, record in records(runs).items()}.items()
    assert outcomes(runs) == outcomes(undisturbed)
    assert not list(runs.rglob(".*"))  # no half-written file is left


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_interrupted_run_keeps_its_finished_cells(runs, unruly, monkeypatch, name) -> None:
    monkeypatch.setenv("UNRULY_SIGNAL", f"self {name}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    result = quick(runs, methods="magnitude,interrupts,random-mask")
    assert (result.status, result.err) == (130, "bench: interrupted; finished cells are kept.\n")
    assert statuses(runs) == {"dense": "ok", "magnitude": "ok"}
    (unruly / "open").touch()
    assert "2 done, 2 to run" in quick(runs, methods="magnitude,interrupts,random-mask").out
    assert len(records(runs)) == 4


def test_an_interrupted_rerun_leaves_what_was_finished(runs, unruly, monkeypatch) -> None:
    (unruly / "open").touch()
    assert quick(runs, methods="interrupts").status == 0
    folder = runs / records(runs)["interrupts", 4, 0].id
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "log.txt", "record.json"} <= {path.name for path in before}
    (unruly / "open").unlink()
    monkeypatch.setenv("UNRULY_SIGNAL", "self SIGTERM")
    assert quick(runs, "--rerun", "all", methods="interrupts").status == 130
    assert all(path.read_bytes() == content for path, content in before.items())
    (unruly / "open").touch()
    assert quick(runs, "--rerun", "all", methods="interrupts").status == 0
    assert (folder / "record.json").read_bytes() != before[folder / "record.json"]
    assert (folder / "log.txt").read_text().count("ok after") == 1
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_an_interrupt_ends_the_workers_too(runs, monkeypatch) -> None:
    monkeypatch.setenv("UNRULY_SIGNAL", "parent SIGTERM")
    result = quick(runs, "--workers", "2", methods="interrupts,waits")
    assert result.status == 130
    assert not any(alive(int(line.split()[-1])) for line in calls())
    assert "waits" not in statuses(runs)


def test_a_worker_that_is_ended_while_it_begins_says_nothing(monkeypatch, capfd) -> None:
    begun = []

    def interrupted(thread: threading.Thread) -> None:
        begun.append(thread.daemon)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    here, _ = multiprocessing.Pipe()
    _work(here, dict(os.environ))
    assert begun == [True]
    assert capfd.readouterr() == ("", "")


def test_a_record_that_was_cut_short_is_run_again(runs) -> None:
    quick(runs)
    before = outcomes(runs)
    path = runs / records(runs)["magnitude", 4, 0].id / "record.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = quick(runs)
    assert "1 done, 1 to run" in result.out
    assert outcomes(runs) == before


# Two at once.


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_runs_on_one_folder_run_each_cell_once(runs, monkeypatch, workers) -> None:
    command = ("--ratios", "2,3,4,5,6,7", "--workers", workers)
    plan = ("run", *QUICK, "--methods", "meets", "--runs", runs, *command)
    with start(*plan, UNRULY_RUN="A") as other:
        monkeypatch.setenv("UNRULY_RUN", "B")
        mine = quick(runs, *command, methods="meets")
        _, err = other.communicate(timeout=120)
    assert (mine.status, mine.err) == (0, "")
    assert (other.returncode, err) == (0, "")
    begun = Counter(line.split()[0] for line in calls())
    assert sum(begun.values()) == 6
    assert begun["A"] >= 1
    assert begun["B"] >= 1
    found = list(Store(runs).records())
    assert Counter(record.status for record in found) == {"ok": 7}
    assert len(list((runs / "references").iterdir())) == 1


def test_shards_together_are_one_run(runs, tmp_path, undisturbed, unruly) -> None:
    (unruly / "open").touch()
    quick(runs, "--shard", "1/2", methods=METHODS)
    assert len(records(runs)) == 3
    assert "**2 of 5 cells are not done yet.**" in (runs / "demo.md").read_text()
    assert "2 cells, 0 done, 2 to run" in quick(runs, "--shard", "2/2", methods=METHODS).out
    assert outcomes(runs) == outcomes(undisturbed)
    assert (runs / "demo.md").read_text() == (undisturbed / "demo.md").read_text()


def test_a_time_limit_stops_early_and_the_same_command_goes_on(runs) -> None:
    result = quick(runs, "--max-hours", "1e-9", methods="majority,magnitude")
    assert result.status == 0
    assert len(records(runs)) < 3
    assert "the same command goes on" in result.out
    for _ in range(3):
        quick(runs, "--max-hours", "1", methods="majority,magnitude")
    assert len(records(runs)) == 3


def test_a_rerun_that_ended_early_goes_on_with_the_oldest_records(runs) -> None:
    """It begins with what it did not come to; what it has made anew comes last."""
    methods = "majority,magnitude"
    quick(runs, methods=methods)
    (newest,) = (r for r in records(runs).values() if r.cell["method"] == "magnitude")
    dense = records(runs)["dense", 1, 0]
    Store(runs).put(dataclasses.replace(dense, created=f"{newest.created}+"))
    result = quick(runs, "--max-hours", "1e-9", "--rerun", "all", methods=methods)
    assert "are left; the same command goes on with them, the oldest records first" in result.out
    assert quick(runs, "--rerun", "all", methods=methods).status == 0
    made = sorted(records(runs).values(), key=lambda record: record.created)
    assert [record.cell["method"] for record in made] == ["majority", "magnitude", "dense"]


# Cells that fail.


def test_a_task_whose_loss_is_infinite_fails_alone(runs, tmp_path) -> None:
    """Nor does the estimate of the time end the run."""
    for name, first in (("train", 0), ("dev", 60)):
        rows = [f"some words {n},{n}e29" for n in range(first, first + 60)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,y", *rows, ""]))
    (tmp_path / "far.toml").write_text(
        'name = "far"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\nlabel = "y"\n'
        "regression = true\n"
    )
    result = bench("run", "--tasks", f"demo-sentiment,{tmp_path / 'far.toml'}", "--model", "demo",
                   "--methods", "majority", "--ratios", "4", "--epochs", "1", "--seeds", "1",
                   "--trials", "0", "--max-train-samples", "60", "--workers", "1",
                   "--runs", runs)  # fmt: skip
    assert result.status == 1
    assert "dense on far, seed 0: the loss is inf" in result.err
    assert "dense on demo-sentiment" not in result.err


def test_a_method_that_raises_fails_its_cell_alone(runs, unruly) -> None:
    result = quick(runs, methods="raises,magnitude")
    assert result.status == 1
    assert statuses(runs) == {"dense": "ok", "raises": "failed", "magnitude": "ok"}
    record = records(runs)["raises", 4, 0]
    assert record.error is not None
    assert record.error["type"] == "RuntimeError"
    assert "no luck" in record.error["message"]
    log = runs / record.error["log"]
    assert "Traceback" in log.read_text()
    assert "and a second line" in log.read_text()
    assert result.err.startswith("bench: failed: raises on demo-sentiment, seed 0: no luck")
    assert str(log) in result.err
    assert result.err.count("\n") == 1
    assert "failed: raises on demo-sentiment" in (runs / "demo.md").read_text()
    assert "/home/secret" not in (runs / "demo.md").read_text()

    again = quick(runs, methods="raises,magnitude")
    assert (again.status, "3 done, 0 to run" in again.out) == (1, True)
    (unruly / "open").touch()
    mended = quick(runs, "--rerun", "failed", methods="raises,magnitude")
    assert (mended.status, "2 done, 1 to run" in mended.out) == (0, True)
    assert statuses(runs)["raises"] == "ok"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("diverges", "loss"),
        ("returns-nothing", "NoneType, not a model"),
        ("quits", "asked the process to exit (3)"),
        ("wrapped", "query.weight_orig"),
        ("other-head", "such as classifier.weight"),
    ],
)
def test_a_failed_record_says_what_went_wrong(runs, method, said) -> None:
    result = quick(runs, methods=method)
    assert result.status == 1
    record = records(runs)[method, 4, 0]
    assert record.status == "failed"
    assert record.score is None
    assert said in (record.error or {})["message"]
    if method == "diverges":
        assert (record.error or {})["type"] == "DivergedError"


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


# A disk that is full.


def test_a_disk_that_becomes_full_ends_the_run_and_keeps_what_is_done(runs, unruly) -> None:
    result = quick(runs, methods="magnitude,full-disk,random-mask")
    assert result.status == 1
    assert result.err.startswith(f"bench: {runs} cannot be written: ")
    assert "No space left" in result.err
    assert result.err.count("\n") == 1
    assert statuses(runs) == {"dense": "ok", "magnitude": "ok"}
    (unruly / "open").touch()
    assert quick(runs, methods="magnitude,full-disk,random-mask").status == 0
    assert set(statuses(runs).values()) == {"ok"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_real_disk_fills_up(small_disk: Path, workers: str) -> None:
    ratios = ",".join(map(str, range(2, 30)))
    result = quick(small_disk / "runs", "--ratios", ratios, "--workers", workers,
                   "--keep-models", "all")  # fmt: skip
    assert result.status == 1
    assert "No space left" in result.err
    assert result.err.count("\n") == 1
    found = records(small_disk / "runs")
    assert 0 < len(found) < 29
    assert {record.status for record in found.values()} == {"ok"}


def test_a_disk_that_is_full_from_the_start_runs_nothing(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass
    result = quick(small_disk / "runs")
    assert result.status == 2
    assert result.err.startswith(f"bench: {small_disk / 'runs'} cannot be written: ")
    assert result.err.count("\n") == 1


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


# Worker processes that die, or cannot be had.


def dead_worker(pool: Pool, monkeypatch: pytest.MonkeyPatch, *, has_worked: bool) -> _Worker:
    """A worker that was killed while it had nothing to do; whoever follows it is `None`."""
    process = SimpleNamespace(join=lambda: None, exitcode=-9)
    worker = _Worker(process, None, 0, has_worked=has_worked)
    pool._workers = [worker]
    monkeypatch.setattr(pool, "_start", lambda number: None)
    monkeypatch.setattr(pool, "_send", lambda worker, what: None)
    return worker


def test_the_death_of_an_idle_worker_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(0)
    pool._replace(dead_worker(pool, monkeypatch, has_worked=True), None, None)
    assert pool._workers == [None]
    with pytest.raises(BenchError, match="killed by signal 9 before it had a cell"):
        pool._replace(dead_worker(pool, monkeypatch, has_worked=False), None, None)


def test_more_workers_than_the_system_gives_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Pool, number: int) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Pool, "_start", refused)
    with pytest.raises(BenchError, match="2000 worker processes cannot be started"):
        Pool(2000)
