"""What waits for what on a cluster."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.runs.cells.cell import Cell
from bench.runs.cells.claim import Job
from bench.runs.cluster.turns import Turns

PLAIN = SimpleNamespace(pretrain_steps=0)
OWN = SimpleNamespace(corpus=None, protocol=PLAIN)
TEXT = SimpleNamespace(corpus="text", protocol=PLAIN)


def job(method: str, task: str = "t", seed: int = 0, *, trial: bool = False) -> Job:
    ratio = 1.0 if method == "dense" else 4.0
    return Job(Cell(method, task, "weights", ratio, seed, "m", "p"), trial=trial)


def test_a_cell_waits_for_the_dense_one_of_its_task_and_seed() -> None:
    turns, dense = Turns(), job("dense")
    assert turns.has_to_wait(job("a"), [dense], OWN)
    assert not turns.has_to_wait(job("a", seed=1), [dense], OWN)
    assert not turns.has_to_wait(job("a", "other"), [dense], OWN)
    assert not turns.has_to_wait(job("dense", seed=1), [dense], OWN)


@pytest.mark.parametrize("shares", [True, False])
def test_one_cell_shows_what_a_method_shares_before_others_of_it_begin(shares: bool) -> None:
    turns, first = Turns(), job("a")
    assert turns.has_to_wait(job("a", seed=1), [first], OWN)
    assert not turns.has_to_wait(job("b", seed=1), [first], OWN)
    assert not turns.has_to_wait(job("a", "other"), [first], OWN)  # another text
    assert turns.has_to_wait(job("a", "other"), [first], TEXT)
    turns.ended(first, OWN, ["shared/x/cost.json"] if shares else ["references/x"])
    assert not turns.has_to_wait(job("a", seed=1), [job("a", seed=2)], OWN)
    other = job("a", "other")
    assert turns.has_to_wait(other, [job("a", "other", seed=1)], OWN) is shares


def test_one_cell_lets_the_encoder_go_on_learning_before_others_begin() -> None:
    turns, context = Turns(), SimpleNamespace(
        corpus="text", protocol=SimpleNamespace(pretrain_steps=100)
    )  # fmt: skip
    assert not turns.has_to_wait(job("dense"), [], context)
    assert turns.has_to_wait(job("dense", "other"), [job("dense")], context)
    turns.ended(job("dense"), context, [])
    assert not turns.has_to_wait(job("dense", "other"), [job("dense", seed=1)], context)
