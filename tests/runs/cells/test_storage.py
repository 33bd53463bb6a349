"""Studies in a database and behind Optuna's proxy, both real ones on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from harness import QUICK, bench, outcomes, quick, start
from postgres import PASSWORD, STARTED_S, Postgres, started
from studies import TRIALS, cell, outcome

from bench.errors import BenchError
from bench.runs.cells.storage import check_storage, open_storage
from bench.runs.cells.study import Study

if TYPE_CHECKING:
    from bench.runs.cells.context import Context

psycopg = pytest.importorskip("psycopg", reason="needs pip install 'prunebench[postgres]'")

SERVE = """
import sys
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""
"""What docs/tuning.md says starts a proxy."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with started() as server:
        yield server


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Each test opens its storages itself."""
    yield
    open_storage.cache_clear()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@contextlib.contextmanager
def proxied(url: str) -> Iterator[str]:
    """Optuna's proxy of a storage, in a process of its own."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SERVE, url, str(port)])
    try:
        deadline = time.monotonic() + STARTED_S
        while True:
            with contextlib.suppress(BenchError):
                check_storage(f"grpc://127.0.0.1:{port}")
                break
            assert server.poll() is None
            assert time.monotonic() < deadline
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def trials(context: Context, storage: str | None, folder: str) -> list[dict[str, Any]]:
    """The trials of a study in a storage, one of which is left as a kill leaves it."""
    there = dataclasses.replace(context, storage=storage, runs=context.runs / folder)
    study = Study(there.bind(cell(there, "magnitude")))
    for index in range(TRIALS):
        if index == 1:
            with study.claim() as killed:
                assert killed is not None
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(50.0 + index))
    summary = study.summary()
    assert summary["complete"]
    return list(summary["trials"])


def test_postgresql_and_a_proxy_of_it_hold_the_trials_that_a_journal_does(
    context: Context, postgres: Postgres
) -> None:
    own, url = trials(context, None, "journal"), postgres.database("same")
    assert trials(context, url, "database") == own
    study = Study(context.bind(cell(context, "magnitude")))
    stored = optuna.load_study(study_name=study.id, storage=url)
    assert [trial.state.name for trial in stored.trials].count("FAIL") == 1  # the killed one
    assert stored.best_value == 52.0
    assert stored.user_attrs == {
        "method": "magnitude", "task": "demo-sentiment", "axis": "weights", "ratio": 4.0,
    }  # fmt: skip
    with proxied(postgres.database("proxied")) as proxy:
        assert trials(context, proxy, "proxy") == own
    with pytest.raises(BenchError, match=r"grpc://127.0.0.1:\d+ cannot be used: .*onnect"):
        trials(context, proxy, "gone")
    # Studies of one database are those of every run folder: nothing is left to be made.
    there = dataclasses.replace(context, storage=url, runs=context.runs / "another")
    with Study(there.bind(cell(there, "magnitude"))).claim() as claim:
        assert claim is None


def test_studies_share_connections_and_one_that_is_closed_is_made_anew(
    context: Context, postgres: Postgres
) -> None:
    there = dataclasses.replace(context, storage=postgres.database("closed"))
    studies = [Study(there.bind(cell(there, "magnitude", ratio))) for ratio in (2.0, 3.0, 4.0, 5.0)]
    with contextlib.ExitStack() as working:
        claims = [working.enter_context(study.claim()) for study in studies]
        ((count,),) = postgres.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                   "WHERE datname = 'closed'")  # fmt: skip
        assert count <= 2
        for claim in claims:
            assert claim is not None
            claim.settle(outcome(50.0))
    assert [len(study.summary()["trials"]) for study in studies] == [1] * 4


def test_the_password_is_shown_and_stored_nowhere(
    tmp_path: Path, postgres: Postgres, capfd: pytest.CaptureFixture[str]
) -> None:
    url, secrets = postgres.database("hidden"), ("s3cret", PASSWORD)
    result = quick(tmp_path / "runs", "--trials", "1", "--storage", url)
    assert result.status == 0, result.err
    said = [result.out, result.err, *capfd.readouterr()]
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(files) > 10
    said += [path.read_bytes().decode(errors="replace") for path in files]
    assert not [text for text in said for secret in secrets if secret in text]
    for wrong in (url.replace("s3cret", "s3cret9"), url.replace("%2F", "@")):
        result = quick(tmp_path / "other", "--trials", "1", "--storage", wrong)
        assert (result.status, result.err.count("\n")) == (2, 1)
        assert "postgresql://bench:***@127.0.0.1" in result.err
        assert "s3cret" not in result.err
        assert "rd:" not in result.err
    assert "%40 for @" in result.err


def test_a_password_may_come_from_where_postgresql_looks_for_it(
    context: Context, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchError, match="no password supplied"):
        check_storage(postgres.url(password=""))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    check_storage(postgres.url(password=""))


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [("postgresql://me:s3cret@127.0.0.1:1/x", "psycopg", "postgres"),
     ("grpc://127.0.0.1:1", "grpc", "grpc")],
)  # fmt: skip
def test_a_library_that_is_missing_is_one_line_with_the_command(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("optuna.storages._grpc.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BenchError) as caught:
        check_storage(url)
    assert f"pip install 'prunebench[{extra}]'" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["grpc://", "grpc://host", "grpc://host:port", "grpc://h:1/x"])
def test_a_proxy_that_is_named_otherwise_is_one_line(url: str) -> None:
    with pytest.raises(BenchError, match=r"--storage grpc://\S* cannot be used: "):
        check_storage(url)


def test_a_proxy_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runs.cells.storage.ANSWERS_S", 0.2)
    with pytest.raises(BenchError, match="cannot be used: GRPC connection timeout"):
        check_storage(f"grpc://127.0.0.1:{free_port()}")


@pytest.mark.slow
def test_a_run_that_was_killed_in_a_trial_goes_on_in_the_same_database(
    tmp_path: Path, postgres: Postgres
) -> None:
    words = ("run", *QUICK, "--methods", "magnitude", "--trials", "3", "--epochs", "4", "--runs")
    assert bench(*words, tmp_path / "journal").status == 0
    url, runs = postgres.database("killed"), tmp_path / "runs"
    command = (*words, runs, "--storage", url)

    def trials() -> Counter[str]:
        """How many there are of each state, of the dense model and of the method."""
        try:
            return Counter(state for (state,) in postgres.ask("SELECT state FROM trials", "killed"))
        except psycopg.errors.UndefinedTable:  # not yet
            return Counter()

    with start(*command) as run:
        deadline = time.monotonic() + STARTED_S
        while not (trials()["COMPLETE"] >= 4 and trials()["RUNNING"]):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run.kill()
        run.communicate()
    left = trials()
    assert left["RUNNING"]
    result = bench(*command)
    assert result.status == 0, result.err
    assert outcomes(runs) == outcomes(tmp_path / "journal")
    assert trials() == {"COMPLETE": 6, "FAIL": left["RUNNING"]}
