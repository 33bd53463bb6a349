"""What can go wrong by the user's hand, in one line."""

from __future__ import annotations

from bench.errors import unknown_name


def test_an_unknown_name_among_thousands_is_one_readable_line() -> None:
    known = [f"{number:016x}" for number in range(10_000)]
    said = str(unknown_name("cell", "nosuch", known))
    assert len(said) < 1_500
    assert said.endswith(" and 9950 more.")
    assert str(unknown_name("cell", "x", ["b", "a", "b"])).endswith("Known: a, b.")
