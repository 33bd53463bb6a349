"""The critical-difference view: who is joined, and by which test."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from standing_rows import standings_of

from bench.leaderboard import critical, plots
from bench.leaderboard.ranking import Standings


def judged(averages: dict[str, float], apart: list[str], untested: str = "") -> Standings:
    """Standings in which the page's test tells the given pairs apart, written as `ab`, and no more.

    Args:
        averages: The highest first; competitors have one letter.
        apart: Pairs.
        untested: One that was not tested.
    """

    class Told(Standings):
        def told_apart(self, pairs: Any, one: str, other: str) -> bool:
            return one + other in apart or other + one in apart

    rows = standings_of({name: {"t": [score]} for name, score in averages.items()}).rows
    names = [name for name in averages if len(name) == 1]
    pairs: Any = {p: object() for p in itertools.combinations(names, 2) if "".join(p) != untested}
    return Told(rows, ["t"], ["t"], [], average_pairs=pairs, overall=dict.fromkeys(names, 1))


AVERAGES = {"a": 90.0, "b": 80.0, "c": 70.0, "d": 60.0, "dense": 95.0}


@pytest.mark.parametrize(
    ("apart", "joined"),
    [
        (["ab", "ac", "ad", "bc", "bd", "cd"], []),
        ([], ["abcd"]),
        (["ac", "ad", "bd"], ["ab", "bc", "cd"]),
        (["ad"], ["abc", "bcd"]),
        (["ab", "bc", "bd"], ["acd"]),  # b alone is apart, between others
    ],
)
def test_sets_are_the_largest_that_no_test_tells_apart(apart: list[str], joined: list[str]) -> None:
    assert critical.groups(judged(AVERAGES, apart)) == [list(names) for names in joined]


def test_sets_are_those_of_trying_all() -> None:
    rng = np.random.default_rng(0)
    averages = {name: 90.0 - place for place, name in enumerate("abcdefg")}
    for _ in range(20):
        pairs = ["".join(pair) for pair in itertools.combinations(averages, 2)]
        apart = [pair for pair in pairs if rng.random() < 0.4]
        fine = [
            names
            for size in range(2, 8)
            for names in itertools.combinations(averages, size)
            if not any("".join(pair) in apart for pair in itertools.combinations(names, 2))
        ]
        largest = {names for names in fine if not any(set(names) < set(other) for other in fine)}
        found = critical.groups(judged(averages, apart))
        assert {tuple(names) for names in found} == largest
        assert len(found) == len(largest)


def test_a_pair_that_was_not_tested_is_not_joined() -> None:
    assert critical.groups(judged(AVERAGES, [], untested="ab")) == [list("acd"), list("bcd")]


def test_fewer_than_three_tested_competitors_make_no_view() -> None:
    two = {"a": 90.0, "b": 80.0, "dense": 95.0}
    assert critical.tested_averages(judged(two, [])) == {}
    assert critical.groups(judged(two, [])) == []
    assert list(critical.tested_averages(judged(AVERAGES, []))) == list("abcd")
    unranked = standings_of({name: {"t": [score]} for name, score in AVERAGES.items()})
    assert critical.tested_averages(unranked) == {}


def test_the_figure_has_a_dot_a_member_and_the_same_bytes_again() -> None:
    result = judged(AVERAGES, ["ac", "ad", "bd"])
    averages, sets = critical.tested_averages(result), critical.groups(result)
    svg = plots.critical_svg({"4×": (averages, sets), "20×": ({}, [])})
    assert svg == plots.critical_svg({"4×": (averages, sets)})
    for name in "abcd":
        assert f">{name}<" in svg
    assert ">4×<" in svg
    assert "20×" not in svg
    assert plots.critical_svg({"4×": ({}, [])}) == ""
