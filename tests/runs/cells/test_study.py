"""Studies: equal effort, nothing learnt from rows that a trial is scored on, nothing lost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from studies import TRIALS, cell, outcome

from bench.errors import BenchError
from bench.results.seeds import TRIAL_SEED
from bench.results.store import Store
from bench.runs.cells.claim import Job
from bench.runs.cells.execute import execute_trial
from bench.runs.cells.study import Claim, Study, TrialFailure
from bench.runs.limits import LimitError
from bench.runs.processes import MOST_IN_VAIN, Pool, _Worker

if TYPE_CHECKING:
    from bench.runs.cells.context import Context

TRAINED = "magnitude,tinybert,small-dense,one-shot-magnitude"


def test_what_is_pinned_or_cannot_be_reached_is_not_searched(context: Context) -> None:
    pinned = Study(context.bind(cell(context, "magnitude:scope=global"))).space
    assert set(pinned) == {"learning_rate", "warmup", "decay", "final_phase"}
    assert Study(context.bind(cell(context, "magnitude", ratio=1e6))).space == {}
    assert Study(context.bind(cell(context, "majority"))).space == {}


def test_a_trial_is_made_once_and_no_more_than_there_are(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    with study.claim() as one, study.claim() as two, study.claim() as three, study.claim() as four:
        assert four is None
        claims = [claim for claim in (one, two, three) if claim is not None]
        assert [claim.index for claim in claims] == [0, 1, 2]
        assert not study.summary()["complete"]
        for claim in claims:
            claim.settle(outcome(50.0 + claim.index))
    assert study.summary()["complete"]
    assert study.summary()["best"] == 2


def score(claim: Claim) -> float:
    """The higher, the higher the rate: the range moves up after the first half."""
    return 99 + math.log(claim.params["learning_rate"])


def with_trials(context: Context, trials: int, runs: Path | None = None) -> Context:
    protocol = dataclasses.replace(context.protocol, trials=trials)
    return dataclasses.replace(context, protocol=protocol, runs=runs or context.runs)


def undisturbed(context: Context, method: str, trials: int) -> list[dict[str, Any]]:
    """The trials that one worker makes in a folder of its own."""
    there = with_trials(context, trials, context.runs / "undisturbed")
    study = Study(there.bind(cell(there, method)))
    for _ in range(trials):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(score(claim)))
    summary = study.summary()
    assert summary["complete"]
    assert len(summary["rates"]) == 2
    return list(summary["trials"])


@pytest.mark.parametrize(("method", "killed"), [("magnitude", 0), ("tinybert", 2), ("tinybert", 4)])
def test_a_trial_that_was_killed_in_either_half_is_made_again_with_its_parameters(
    context: Context, method: str, killed: int
) -> None:
    there = with_trials(context, 6)
    study = Study(there.bind(cell(there, method)))
    for index in range(6):
        if index == killed:
            with study.claim() as lost:
                assert lost is not None
        with study.claim() as claim:
            assert claim is not None
            assert claim.index == index
            claim.settle(outcome(score(claim)))
    assert study.summary()["trials"] == undisturbed(context, method, 6)


def test_the_second_half_waits_for_all_of_the_first(context: Context) -> None:
    there = with_trials(context, 6)
    study = Study(there.bind(cell(there, "magnitude")))
    with study.claim() as first, study.claim() as second, study.claim() as third:
        for claim in (third, first):
            with study.claim() as early:
                assert early is None
            assert claim is not None
            claim.settle(outcome(score(claim)))
        with study.claim() as early:
            assert early is None
        assert second is not None
        second.settle(TrialFailure("no luck"))  # has ended, too
        with study.claim() as claim:
            assert claim is not None
            assert claim.index == 3


def test_a_first_half_whose_worker_was_killed_keeps_nobody_waiting(context: Context) -> None:
    there = with_trials(context, 4)
    study = Study(there.bind(cell(there, "magnitude")))
    with study.claim() as killed:
        assert killed is not None
    for _ in range(3):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(score(claim)))
    with study.claim() as claim:
        assert claim is not None
        assert claim.index == 3


def test_two_workers_make_the_trials_that_one_makes(context: Context) -> None:
    """Whichever of two ends first, and with one that works ahead as far as it may."""
    there = with_trials(context, 8)
    study = Study(there.bind(cell(there, "tinybert")))
    rng = random.Random(3)
    with contextlib.ExitStack() as working:
        at_work: list[Claim] = []
        for _ in range(100):
            while len(at_work) < 2:
                claim = working.enter_context(study.claim())
                if claim is None:
                    break
                at_work.append(claim)
            if not at_work:
                break
            ended = at_work.pop(rng.randrange(len(at_work)))
            ended.settle(outcome(score(ended)))
    assert study.summary()["trials"] == undisturbed(context, "tinybert", 8)


def test_a_trial_whose_worker_died_before_it_began_is_made_by_another(context: Context) -> None:
    """And where none of several workers comes as far as a trial, the run stops."""
    told: list[str] = []
    listener = SimpleNamespace(tried=lambda of: told.append(of.method))
    job = Job(cell(context, "magnitude"), trial=True)
    process = SimpleNamespace(join=lambda timeout: None, exitcode=-9, pid=None)

    def died(*, has_worked: bool, broke: Any = None) -> Job | None:
        pool: Any = object.__new__(Pool)
        next_one = SimpleNamespace(pipe=SimpleNamespace(send=lambda what: None))
        worker: Any = _Worker(process, None, 0)  # type: ignore[arg-type]
        worker.job, worker.has_worked = job, has_worked
        pool._workers, pool._start = [worker], lambda number: next_one
        pool._in_vain = MOST_IN_VAIN - 1
        left: Job | None = pool._replace(worker, context, listener, broke)
        return left

    assert died(has_worked=True) == job
    with pytest.raises(BenchError, match=r"killed by signal 9 .* before it had begun a trial"):
        died(has_worked=False)
    study = Study(context.bind(job.cell))
    assert study.summary()["trials"] == []
    with study.claim() as claim:
        assert claim is not None
    assert died(has_worked=True) is None  # it had begun one, which counts as made
    assert told == ["magnitude"]
    (trial,) = study.summary()["trials"]
    assert "killed by signal 9" in trial["error"]
    with study.claim() as claim:
        assert claim is not None
    assert died(has_worked=True, broke=("broke", LimitError("it took longer"), "")) is None
    assert study.summary()["trials"][1]["error"] == "it took longer"


def test_what_a_kill_left_between_queueing_and_asking_is_made_first(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = with_trials(context, 6)
    study = Study(there.bind(cell(there, "magnitude")))
    with monkeypatch.context() as patch:
        patch.setattr("optuna.Study.ask", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError), study.claim():
            pass
    for index in range(6):
        with study.claim() as claim:
            assert claim is not None
            assert claim.index == index
            claim.settle(outcome(score(claim)))
    assert study.summary()["trials"] == undisturbed(context, "magnitude", 6)


def test_a_trial_that_was_killed_before_the_folder_was_moved_is_made_again(
    context: Context, tmp_path: Path
) -> None:
    before = dataclasses.replace(context, runs=tmp_path / "before")
    with Study(before.bind(cell(context, "magnitude"))).claim() as claim:
        assert claim is not None
    before.runs.rename(tmp_path / "after")
    moved = dataclasses.replace(context, runs=tmp_path / "after")
    study = Study(moved.bind(cell(context, "magnitude")))
    for index in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            assert claim.index == index
            claim.settle(outcome(50.0))
    assert study.summary()["complete"]


def test_a_trial_that_fails_or_kills_its_worker_counts(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    with study.claim() as claim:
        assert claim is not None
        claim.settle(TrialFailure("no luck", {"flops": {"training": 4}}))
    with study.claim() as claim:
        assert claim is not None
    study.give_up_killed("the worker process was killed")
    with study.claim() as claim:
        assert claim is not None
        claim.settle(outcome(60.0))
    summary = study.summary()
    assert summary["complete"]
    assert [t.get("error") for t in summary["trials"]] == [
        "no luck", "the worker process was killed", None,
    ]  # fmt: skip
    assert summary["best"] == 2
    assert summary["train_flops"] == 4 + 10


def test_a_line_that_a_killed_process_left_unfinished_harms_nothing(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    with study.claim() as claim:
        assert claim is not None
        claim.settle(outcome(50.0))
    journal = study.folder / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "worker')
    with study.claim() as claim:
        assert claim is not None
        assert claim.index == 1
        claim.settle(outcome(51.0))
    assert len(study.summary()["trials"]) == 2


def test_cost_counts_what_was_kept_once(context: Context) -> None:
    study = Study(context.bind(cell(context, "magnitude")))
    for key in ("a", "a", "b"):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(dataclasses.replace(outcome(50.0), kept={key: ("reference", 7)}))
    assert study.summary()["train_flops"] == 3 * 10 + 2 * 7


def test_any_storage_of_optunas_will_do(context: Context, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    study = Study(dataclasses.replace(context, storage=url).bind(cell(context, "magnitude")))
    for number in range(TRIALS):
        with study.claim() as claim:
            assert claim is not None
            claim.settle(outcome(number))
    stored = optuna.load_study(study_name=study.id, storage=url)
    assert [trial.value for trial in stored.trials] == [0.0, 1.0, 2.0]
    assert stored.best_trial.number == 2
    assert not (study.folder / "journal.log").exists()


def test_trials_have_a_seed_that_no_report_has(context: Context) -> None:
    assert Study(context.bind(cell(context, "magnitude"))).bound.cell.seed == TRIAL_SEED
    assert execute_trial(context.bind(cell(context, "dense")), None)
    (log,) = Store(context.runs).root.glob("tuning/*/0.log")
    assert "learning_rate" in log.read_text()
    reference = next(Store(context.runs).root.glob("references/*/reference.json"))
    assert json.loads(reference.read_text())["seed"] == TRIAL_SEED
