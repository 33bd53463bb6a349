"""Parameters: declared once, checked everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import bench
from bench import BenchError, Params, TrainParams, knob


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
    assert set(Example.search_space()) == {"learning_rate", "warmup", "share", "fast", "shape"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("share=0.25", 0.25),
        ("count=7", 7),
        ("fast=True", True),
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
        ("fast", "yes", "Known: False, True"),
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


def test_what_is_exported_is_what_there_is() -> None:
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    assert set(bench._LAZY) <= set(bench.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        bench.nothing_of_the_kind  # noqa: B018
