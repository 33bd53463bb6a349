"""Parameters: declared once, checked everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from bench import BenchError, Knob, Method, Params, TrainParams, knob
from bench.protocol import Protocol
from bench.runs.cells.parameters import resolve_params


@dataclass(frozen=True, kw_only=True)
class Example(TrainParams):
    share: float = knob(0.5, low=0.0, high=1.0)
    count: int = knob(3, low=1, high=9, tuned=False)
    fast: bool = knob(False)
    shape: str = knob("round", choices=("round", "square"))


def test_defaults_are_valid_and_in_order() -> None:
    assert list(Example.defaults())[-4:] == ["share", "count", "fast", "shape"]
    assert Example().share == 0.5


def test_the_search_space_is_what_tuning_may_move() -> None:
    assert set(Example.search_space()) == {
        "learning_rate",
        "warmup",
        "decay",
        "share",
        "fast",
        "shape",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("share=0.25", 0.25),
        ("count=7", 7),
        ("fast=true", True),
        ("fast=True", True),
        ("fast=false", False),
        ("fast=False", False),
        ("shape=square", "square"),
    ],
)
def test_texts_become_values_of_the_defaults_type(text: str, value: Any) -> None:
    name, _, given = text.partition("=")
    parsed = Example.parse({name: given})
    assert parsed == {name: value}
    assert type(parsed[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("share", "1.5", "outside 0 … 1"),
        ("share", "nan", "outside"),
        ("share", "half", "not of type float"),
        ("count", "2.5", "not of type int"),
        ("shape", "squar", "Did you mean 'square'"),
        ("fast", "yes", "Known: false, true"),
        ("shar", "0.5", "Did you mean 'share'"),
    ],
)
def test_what_is_wrong_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Example.parse({name: text})


def test_values_are_checked_however_they_come() -> None:
    with pytest.raises(BenchError, match="outside"):
        Example(share=-0.1)
    with pytest.raises(BenchError, match="shape"):
        Example(shape="oval")


def test_a_method_without_parameters_is_possible() -> None:
    assert Params().knobs() == {}


@pytest.mark.parametrize(
    ("declared", "default", "said"),
    [
        (Knob(0, 1), 0.5, ""),
        (Knob(1, 9), 3, ""),
        (Knob(choices=("a", None, 1, True)), "a", ""),
        (Knob(1.5, 3.5), 2, "whole bounds"),
        (Knob(low=0.0), 0.5, "no range"),
        (Knob(0.0, math.inf), 0.5, "no range"),
        (Knob(0.2, 0.1), 0.2, "empty range"),
        (Knob(0.0, 1.0, log=True), 0.5, "above 0"),
        (Knob(choices=()), "a", "no choices"),
        (Knob(choices=((1, 2), (2, 3))), (1, 2), "choice (1, 2)"),
    ],
)
def test_what_tuning_cannot_search_is_said(declared: Knob, default: Any, said: str) -> None:
    found = declared.objection("share", default)
    assert bool(found) == bool(said)
    assert said in found


def test_the_nearest_valid_value() -> None:
    assert [Knob(1, 9).nearest(value) for value in (0, 5, 12)] == [1, 5, 9]
    assert [Knob(choices=(1e-5, 1e-3)).nearest(value) for value in (0.0, 0.01)] == [1e-5, 1e-3]
    assert Knob().nearest(7.5) == 7.5


def test_a_range_of_rates_of_ones_own_bounds_the_protocols() -> None:
    class Careful(Method):
        @dataclass(frozen=True, kw_only=True)
        class Params(TrainParams):
            learning_rate: float = knob(1e-5, low=1e-6, high=1e-4, log=True)

    params = resolve_params(
        Careful, {}, Protocol(epochs=1, trials=0, precision="fp32", learning_rate=4e-3)
    )
    assert params.learning_rate == 1e-4
