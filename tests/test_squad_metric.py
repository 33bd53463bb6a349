"""SQuAD's figures against its official scripts' rules, written out once more, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from squad_rules import official

from bench.answers import plain_answer, text_column
from bench.metrics import FIGURES, METRICS, objection, worth_of_each

CASES = [
    # answer, right ones, exact match and F1 by hand
    ("Denver Broncos", ["the Denver Broncos!"], 1, 1.0),
    (
        "the broncos of Denver",
        ["Denver Broncos"],
        0,
        2 * (2 / 3) * 1 / (2 / 3 + 1),
    ),  # 2 of 3, 2 of 2
    ("1,000 men", ["1000 men", "a thousand"], 1, 1.0),
    ("in May", ["June", "late May 1998"], 0, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
    ("New York New", ["new new york city"], 0, 2 * 1 * (3 / 4) / (1 + 3 / 4)),  # twice is twice
    ("Rome", ["Paris"], 0, 0.0),
    ("", ["Paris"], 0, 0.0),
]


@pytest.mark.parametrize(("given", "right", "exact", "f1"), CASES)
@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_figures_are_those_of_the_official_scripts_and_of_a_hand(
    given: str, right: list[str], exact: int, f1: float, version: str
) -> None:
    columns = text_column([given]), text_column([tuple(right)])
    found = [FIGURES[name].score(*columns) for name in METRICS["squad"].figures]
    assert found == pytest.approx([exact, f1])
    assert found == pytest.approx(official(given, right, version))


@pytest.mark.parametrize(("given", "worth"), [("", 1.0), ("the", 1.0), ("Paris", 0.0)])
def test_a_question_without_an_answer_wants_none(given: str, worth: float) -> None:
    columns = text_column([given]), text_column([()])
    found = tuple(FIGURES[name].score(*columns) for name in METRICS["squad"].figures)
    assert found == official(given, [], "2.0") == (worth, worth)


def test_an_answer_of_an_article_alone_counts_as_in_the_script_of_1_1() -> None:
    columns = text_column(["A"]), text_column([("a",)])
    found = tuple(FIGURES[name].score(*columns) for name in METRICS["squad"].figures)
    assert found == official("A", ["a"], "1.1") == (1.0, 0.0)


def test_a_score_is_the_mean_over_questions() -> None:
    given = text_column(given for given, *_ in CASES)
    right = text_column(tuple(right) for _, right, *_ in CASES)
    by_hand = np.array([(exact, f1) for *_, exact, f1 in CASES]).mean(axis=0)
    found = [FIGURES[name].score(given, right) for name in METRICS["squad"].figures]
    assert found == pytest.approx(by_hand)
    assert worth_of_each("squad", given, right).mean() == pytest.approx(by_hand.mean())


def test_blanks_of_other_kinds_and_articles_within_words_are_told() -> None:
    assert plain_answer(" An  apple\tand\u00a0the theatre.") == "apple and theatre"


def test_spans_need_the_labels_of_spans() -> None:
    assert objection("squad", ("begin", "end")) == ""
    assert "begin and end" in objection("squad", ("yes", "no"))
    assert "regression" in objection("squad", None)
