"""Measured speed: what is run, and against what it is checked."""

from __future__ import annotations

import math
import time

import pytest
import torch
from tiny_models import sparse_classifier, tiny_classifier

from bench.deploy.engines import Engine, Load
from bench.deploy.export import inputs_of
from bench.deploy.latency import Pace, measure, without_zeros
from bench.errors import BenchError
from bench.models.families import prunable

pytestmark = pytest.mark.usefixtures("short_measurements")


def sleeper(name: str, seconds: float, wrong: float = 0.0, **facts: str) -> Engine:
    """An engine that takes so long, and whose answer is off by so much."""

    def make(subject, load):
        def answer(inputs):
            time.sleep(seconds)
            return subject.model(**inputs).logits + wrong

        return answer

    return Engine(name=name, make=make, package="torch", **facts)


def test_the_gain_is_over_the_fastest_dense_engine() -> None:
    model = tiny_classifier("bert")
    timings = measure(model, None, [sleeper("slow", 0.04), sleeper("fast", 0.01)], [Load(2, 8, 1)])
    found = {(t.model, t.engine): t for t in timings}
    assert set(found) == {(m, e) for m in ("given", "dense") for e in ("slow", "fast")}
    fast = found["dense", "fast"].median_ms
    assert fast < found["dense", "slow"].median_ms
    for timing in timings:
        assert timing.gain == pytest.approx(fast / timing.median_ms)
        first, third = timing.quartiles_ms
        assert first <= timing.median_ms <= third
        assert (timing.batch, timing.seq_len, timing.agrees) == (2, 8, True)
        assert timing.calls >= 3


@pytest.mark.parametrize(("budget", "calls"), [(0.0, 3), (math.inf, 5)])
def test_beyond_its_time_a_measurement_makes_fewer_rounds(budget: float, calls: int) -> None:
    """A call that is longer than a round is made once a round."""
    pace = Pace(rounds=5, seconds=0.001, budget=budget)
    loads, told = [Load(2, 8, 1), Load(1, 4, 1)], []
    timings = measure(
        tiny_classifier("bert"), None, [sleeper("slow", 0.005)], loads,
        lambda load, step: told.append((load, step)), pace=pace,
    )  # fmt: skip
    assert [(t.model, t.batch, t.calls) for t in timings] == [
        (name, rows, calls) for rows in (2, 1) for name in ("given", "dense")
    ]
    steps = ["the given model on slow", "the dense model on slow"]
    steps += [f"round {number} of 5" for number in range(1, calls + 1)]
    small, large = "1 × 4 pieces, 1 threads", "2 × 8 pieces, 1 threads"
    assert told == [(load, step) for load in (small, large) for step in steps]


def test_an_answer_that_differs_is_told() -> None:
    model = sparse_classifier("bert")
    largest = float(model(**inputs_of(model, 1, 8)).logits.detach().abs().max())
    wrong = [
        sleeper("near", 0.0, wrong=5e-4 * largest),
        sleeper("far", 0.0, wrong=2e-3 * largest),
        sleeper("rounded", 0.0, wrong=0.03 * largest, precision="bf16"),
        sleeper("too rounded", 0.0, wrong=0.07 * largest, precision="bf16"),
        sleeper("int8", 0.0, wrong=0.09 * max(1, largest), precision="int8"),
        sleeper("too coarse", 0.0, wrong=0.11 * max(1, largest), precision="int8"),
        sleeper("broken", 0.0, wrong=float("nan")),
    ]
    timings = measure(model, None, wrong, [Load(1, 8, 1)])
    found = {t.engine: t.agrees for t in timings if t.model == "given"}
    assert found == {
        "near": True, "far": False, "rounded": True, "too rounded": False, "int8": True,
        "too coarse": False, "broken": False,
    }  # fmt: skip
    assert [t.difference for t in timings if t.engine == "broken"] == [None, None]


def test_the_dense_model_runs_on_engines_that_the_given_one_does_not() -> None:
    model = tiny_classifier("bert")
    slow, fast = sleeper("slow", 0.04), sleeper("fast", 0.01)
    timings = measure(model, None, [slow], [Load(1, 8, 1)], denominators=[slow, fast])
    found = {(t.model, t.engine): t for t in timings}
    assert set(found) == {("given", "slow"), ("dense", "slow"), ("dense", "fast")}
    gain = found["dense", "fast"].median_ms / found["given", "slow"].median_ms
    assert found["given", "slow"].gain == pytest.approx(gain)


def test_a_dense_answer_that_is_wrong_is_no_measure_of_speed() -> None:
    model = tiny_classifier("bert")
    right, wrong = sleeper("right", 0.01), sleeper("wrong", 0.0, wrong=100.0)
    timings = measure(model, None, [right], [Load(1, 8, 1)], denominators=[right, wrong])
    found = {(t.model, t.engine): t for t in timings}
    assert found["dense", "right"].gain == 1
    with pytest.raises(BenchError, match="no engine runs the dense model with the right answers"):
        measure(model, None, [wrong], [Load(1, 8, 1)])


def test_an_engine_that_cannot_run_a_model_leaves_the_others_alone() -> None:
    def make(subject, load):
        raise RuntimeError("no locator available\nfor this file")

    engines = [sleeper("able", 0.0), Engine(name="unable", make=make, package="torch")]
    model, said = tiny_classifier("bert"), []
    timings = measure(
        model, None, engines, [Load(1, 8, 1)], failed=lambda engine, why: said.append(why)
    )
    assert {timing.engine for timing in timings} == {"able"}
    assert said == ["no locator available"] * 2
    with pytest.raises(BenchError, match="unable cannot run this model: no locator available"):
        measure(model, None, engines, [Load(1, 8, 1)])


def test_the_dense_model_has_no_zeros_and_else_the_same_weights() -> None:
    model = tiny_classifier("bert")
    with torch.no_grad():
        for matrix in prunable(model).values():
            matrix.weight[:, ::2] = 0
    dense = without_zeros(model)
    for name, matrix in prunable(dense).items():
        own = prunable(model)[name].weight
        assert (matrix.weight != 0).all()
        assert torch.equal(matrix.weight[own != 0], own[own != 0])
