"""Caps and cuts of training rows, and those that are report rows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest

from bench.data.equal_texts import normalised
from bench.data.splits import cap, cut_tune, find_twins

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
    cut = cut_tune(ROWS[:rows])
    assert len(cut.tune) == tune
    assert sorted(cut.fit + cut.tune) == list(range(rows))
    assert cut.shared == 0


def test_tune_takes_two_thousand_rows_at_most() -> None:
    assert len(cut_tune([(str(i),) for i in range(30_000)]).tune) == 2000


def test_equal_rows_fall_on_the_same_side() -> None:
    rows = [(f"text {i % 700}",) for i in range(6000)]
    fit, tune, _ = cut_tune(rows)
    assert not {rows[i] for i in fit} & {rows[i] for i in tune}
    assert len(tune) == pytest.approx(600, abs=9)


def components(rows: Sequence[Sequence[str]]) -> list[set[int]]:
    """Rows that hang together by equal texts, found by joining sets until none can be joined."""
    groups = [({i}, set(map(normalised, texts))) for i, texts in enumerate(rows)]
    joined = True
    while joined:
        joined = False
        for one in groups:
            for other in groups:
                if one is not other and one[1] & other[1]:
                    groups.remove(other)
                    one[0].update(other[0])
                    one[1].update(other[1])
                    joined = True
                    break
            if joined:
                break
    return [numbers for numbers, _ in groups]


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_hang_together_by_a_text_fall_on_one_side(seed: int) -> None:
    """As questions of QNLI, premises of MNLI or sentences of STS-B, which come in several pairs."""
    draw = random.Random(seed)
    texts = [f"Text, number {i}!" for i in range(250)]
    rows = [tuple(draw.sample(texts, 2)) for _ in range(100)]
    rows += [(b.upper(), a.replace(",", " -")) for a, b in draw.sample(rows, 20)]
    draw.shuffle(rows)
    cut = cut_tune(rows)
    groups = components(rows)
    assert max(map(len, groups)) > 2
    assert all(group <= set(cut.fit) or group <= set(cut.tune) for group in groups)
    left = 24 - len(cut.tune)  # of a fifth of 120: no group that stayed in fit would have filled it
    assert 0 <= left < min(len(group) for group in groups if group <= set(cut.fit))
    assert cut.shared == 0


def test_the_cut_does_not_depend_on_the_order_of_the_rows() -> None:
    rows = [(f"premise {i // 3}", f"hypothesis {i}") for i in range(300)]
    tune = {rows[i] for i in cut_tune(rows).tune}
    backwards = rows[::-1]
    assert {backwards[i] for i in cut_tune(backwards).tune} == tune


def test_a_group_larger_than_the_share_of_tune_stays_in_fit() -> None:
    rows = [("the same", f"other {i}") for i in range(50)]
    rows += [(f"alone {i}", f"pair {i}") for i in range(50)]
    cut = cut_tune(rows)
    assert len(cut.tune) == 20
    assert set(range(50)) <= set(cut.fit)
    assert cut.shared == 0


def test_where_nearly_all_rows_hang_together_the_cut_says_that_texts_are_shared() -> None:
    rows = [("the same", f"other {i}") for i in range(95)]
    rows += [("the same", "other 1")] * 3 + [("alone", "pair"), ("single", "two")]
    cut = cut_tune(rows)
    assert len(cut.tune) == pytest.approx(20, abs=3)
    assert cut.shared == sum(rows[i][0] == "the same" for i in cut.tune) > 0
    same = [1, 95, 96, 97]  # equal rows stay together all the same
    assert set(same) <= set(cut.fit) or set(same) <= set(cut.tune)


def test_rows_that_are_all_equal_leave_nothing_to_tune_on() -> None:
    assert cut_tune([("the same",)] * 50) == (list(range(50)), [], 0)


def test_cap_and_cut_are_salted_apart() -> None:
    """Otherwise the rows that a cap keeps would be the very ones that tune takes."""
    kept = cap(ROWS, 600)
    overlap = len(set(kept) & set(cut_tune(ROWS).tune))
    assert overlap == pytest.approx(60, abs=30)


def test_training_rows_that_are_report_rows_are_found_however_they_are_written() -> None:
    report = [("A man plays.", "He is playing!"), ("One", "Two"), ("x + y", "z")]
    train = [
        ("A man plays.", "He is playing!"),  # to the letter
        ("He is playing!", "A man plays."),  # the pair turned round
        ("a  MAN plays", "he is playing"),
        ("A man plays.", "Another text"),  # one text alone is no row
        ("One", "One"),
        ("x - y", "z"),
        ("x+y", "z"),  # the symbol stays, and with it what stands around it
        ("ｏｎｅ", "Ｔｗｏ?"),
    ]
    found = find_twins(train, report)
    assert found.rows == [0, 1, 2, 7]
    assert found.exact == 1


@pytest.mark.parametrize(("texts", "reported"), [(1, 5), (2, 40)])
def test_twins_are_those_of_a_comparison_of_every_row_with_every_other(
    texts: int, reported: int
) -> None:
    draw = random.Random(0)
    words = ["Yes", "yes.", "no", "No!", "maybe", "(maybe)", "…"]

    def rows(count: int) -> list[tuple[str, ...]]:
        return [
            tuple(" ".join(draw.choices(words, k=2)) for _ in range(texts)) for _ in range(count)
        ]

    def same(one: Sequence[str], other: Sequence[str]) -> bool:
        plain = [normalised(text) for text in one]
        turned = [normalised(text) for text in other]
        return plain in (turned, turned[::-1])

    train, report = rows(300), rows(reported)
    wanted = [i for i, row in enumerate(train) if any(same(row, other) for other in report)]
    found = find_twins(train, report)
    assert found.rows == wanted
    assert found.exact == sum(row in report for row in train)
    assert 0 < found.exact < len(wanted) < len(train)
