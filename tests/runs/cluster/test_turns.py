"""What waits for what on a cluster."""

from __future__ import annotations

from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any

import pytest

from bench.results.seeds import TRIAL_SEED
from bench.runs.cells.cell import Cell
from bench.runs.cells.claim import Job
from bench.runs.cluster.turns import Turns

PLAIN = SimpleNamespace(pretrain_steps=0)
OWN = SimpleNamespace(corpus=None, protocol=PLAIN)
TEXT = SimpleNamespace(corpus="text", protocol=PLAIN)


def job(method: str, task: str = "t", seed: int = 0, *, trial: bool = False) -> Job:
    ratio = 1.0 if method == "dense" else 4.0
    return Job(Cell(method, task, "weights", ratio, TRIAL_SEED if trial else seed, "m", "p"), trial)


def bound(context: Any, trials: int = 6) -> Any:
    return SimpleNamespace(context=context, trials=trials)


def wait(turns: Turns, other: Job, context: Any = OWN) -> bool:
    return turns.waits_for(other, bound(context)) is not None


def end(turns: Turns, over: Job, context: Any = OWN, files: Any = None) -> list[Hashable]:
    turns.stops(over, context)
    return turns.ended(over, bound(context), files)


def test_a_cell_waits_for_the_dense_one_of_its_task_and_seed() -> None:
    turns, dense = Turns(()), job("dense")
    turns.begins(dense, OWN)
    what = turns.waits_for(job("a"), bound(OWN))
    assert what is not None
    assert not wait(turns, job("a", seed=1))
    assert not wait(turns, job("a", "other"))
    assert not wait(turns, job("dense", seed=1))
    assert what in end(turns, dense)
    assert not wait(turns, job("a"))


def test_cells_wait_for_the_trials_that_the_run_has_to_make() -> None:
    dense, own = job("dense", trial=True), job("a", trial=True)
    turns = Turns([dense, own, own, job("dense"), job("a")])
    assert wait(turns, job("dense"))

    assert wait(turns, own)  # for those of the dense model
    assert not wait(turns, dense)
    turns.begins(dense, OWN)
    over = end(turns, dense)
    assert turns.waits_for(own, bound(OWN)) is None
    assert not wait(turns, job("dense"))
    what = turns.waits_for(job("a"), bound(OWN))
    assert what is not None
    assert what not in over
    for last in (False, True):
        turns.begins(own, OWN)
        assert (what in end(turns, own, files=[])) is last
    assert not wait(turns, job("a"))


def test_the_second_half_of_a_study_waits_for_all_of_the_first() -> None:
    own = job("dense", trial=True)
    turns = Turns([own] * 6)
    for _ in range(3):
        assert not wait(turns, own)
        turns.begins(own, OWN)
    what = turns.waits_for(own, bound(OWN))
    assert what is not None
    for _ in range(2):
        assert what not in end(turns, own)
        assert wait(turns, own)
    turns.stops(own, OWN)  # lost: it is begun anew
    assert not wait(turns, own)
    turns.begins(own, OWN)
    assert what in end(turns, own)
    assert not wait(turns, own)


@pytest.mark.parametrize("shares", [True, False])
def test_one_cell_shows_what_a_method_shares_before_others_of_it_begin(shares: bool) -> None:
    turns, first = Turns(()), job("a")
    turns.begins(first, OWN)
    assert wait(turns, job("a", seed=1))
    assert not wait(turns, job("b", seed=1))
    assert not wait(turns, job("a", "other"))  # another text
    whole = Turns(())
    whole.begins(first, TEXT)
    assert wait(whole, job("a", "other"), TEXT)
    turns.begins(job("a", "third"), OWN)
    third = turns.waits_for(job("a", "third", seed=1), bound(OWN))
    over = end(turns, first, files=["shared/x/cost.json"] if shares else ["references/x"])
    assert (third in over) is not shares
    assert not wait(turns, job("a", seed=1))
    turns.begins(job("a", "other", seed=1), OWN)
    assert wait(turns, job("a", "other")) is shares


def test_a_cell_that_somebody_else_has_made_says_nothing_of_what_is_shared() -> None:
    turns = Turns(())
    turns.begins(job("a"), OWN)
    turns.ended(job("a", "other"), bound(OWN))
    assert wait(turns, job("a", seed=1))


def test_one_cell_lets_the_encoder_go_on_learning_before_others_begin() -> None:
    turns = Turns(())
    context = SimpleNamespace(corpus="text", protocol=SimpleNamespace(pretrain_steps=100))
    assert not wait(turns, job("dense"), context)
    turns.begins(job("dense"), context)
    what = turns.waits_for(job("dense", "other"), bound(context))
    assert what is not None
    assert what in end(turns, job("dense"), context, [])
    assert not wait(turns, job("dense", "other"), context)
