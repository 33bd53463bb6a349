"""Caps and cuts of training rows."""

from __future__ import annotations

import hashlib

import pytest

from bench.data.splits import cap, cut_tune

ROWS = [(f"text {i}", f"pair {i}") for i in range(6000)]


def test_the_cap_takes_the_first_rows_by_a_hash_of_their_texts() -> None:
    def place(i: int) -> str:
        return hashlib.sha256("\0".join(("cap", *ROWS[i])).encode()).hexdigest()

    assert cap(ROWS, 100) == sorted(sorted(range(len(ROWS)), key=place)[:100])


def test_the_cap_does_not_depend_on_the_order_of_the_rows() -> None:
    kept = {ROWS[i] for i in cap(ROWS, 100)}
    backwards = ROWS[::-1]
    assert {backwards[i] for i in cap(backwards, 100)} == kept


def test_a_larger_cap_holds_the_smaller_one() -> None:
    assert set(cap(ROWS, 100)) < set(cap(ROWS, 200))


@pytest.mark.parametrize("limit", [None, 6000, 10_000])
def test_no_cap_keeps_every_row(limit: int | None) -> None:
    assert cap(ROWS, limit) == list(range(6000))


@pytest.mark.parametrize(
    ("rows", "tune"), [(6000, 600), (5000, 500), (4999, 1000), (635, 127), (3, 1), (1, 0)]
)
def test_tune_takes_a_tenth_or_a_fifth_of_few(rows: int, tune: int) -> None:
    fit, held_out = cut_tune(ROWS[:rows])
    assert len(held_out) == tune
    assert sorted(fit + held_out) == list(range(rows))


def test_tune_takes_two_thousand_rows_at_most() -> None:
    assert len(cut_tune([(str(i),) for i in range(30_000)])[1]) == 2000


def test_equal_rows_fall_on_the_same_side() -> None:
    rows = [(f"text {i % 700}",) for i in range(6000)]
    fit, tune = cut_tune(rows)
    assert not {rows[i] for i in fit} & {rows[i] for i in tune}
    assert len(tune) == pytest.approx(600, abs=9)


def test_rows_that_are_all_equal_leave_nothing_to_tune_on() -> None:
    assert cut_tune([("the same",)] * 50) == (list(range(50)), [])


def test_cap_and_cut_are_salted_apart() -> None:
    """Otherwise the rows that a cap keeps would be the very ones that tune takes."""
    kept = cap(ROWS, 600)
    overlap = len(set(kept) & set(cut_tune(ROWS)[1]))
    assert overlap == pytest.approx(60, abs=30)
