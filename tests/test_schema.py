"""What is read from files: bounded, checked, and told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.files import inside, lock
from bench.results.layout import Curve
from bench.schema import Count, Name, Positive, check, is_of, parse_json


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", "-Infinity", "1e999", '{"a": 1e400}', "9" * 5000,
     "[" * 100_000 + "]" * 100_000, '"\\ud800"', "01", "'a'", "{} {}", "\x00"],
)  # fmt: skip
def test_what_is_no_json_or_would_not_stay_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_numbers_stay_what_they_are_to_the_last_digit() -> None:
    for number in (0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2**60 + 1, -0.0):
        assert parse_json(repr(number)) == number


def test_a_wrong_value_is_told_by_its_field() -> None:
    with pytest.raises(BenchError, match=r"^steps\[1\]: expected `int`, got `str`$"):
        check({"steps": [1, "x"], "loss": [0.1, 0.2]}, Curve)
    assert check({"a": [1]}, dict[str, list[int]]) == {"a": [1]}
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BenchError):
        check(deep, list[int])


def test_a_flag_is_no_number_and_a_whole_number_is_a_figure() -> None:
    assert not is_of(True, Count)
    assert not is_of(True, float)
    assert is_of(3, Positive)
    assert not is_of(0, Positive)


@pytest.mark.parametrize("name", ["", "A", "a/b", "../a", "a b", "a\n", "-a", "a" * 101, "ä", 3])
def test_names_become_folders_and_table_cells(name: object) -> None:
    assert not is_of(name, Name)
    assert is_of("text-floor_2", Name)


@pytest.mark.parametrize(
    "name", ["/etc/uv", "../x", "..", ".", "a/b", "a\\b", "", "a\0", "a\n", "x" * 200, ".hidden"]
)
def test_a_name_that_would_lead_elsewhere_makes_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no name of a file"):
        inside(tmp_path, name)
    if name:
        with pytest.raises(BenchError, match="no name of a file"):
            lock(tmp_path, name)
    assert inside(tmp_path, "study-0a.1") == tmp_path / "study-0a.1"
