"""The arena's figures against cases made by hand, and against published ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from bench.arena.answers import Answer
from bench.arena.examples import Example
from bench.arena.figures import (
    Metric,
    Share,
    accuracy,
    agreement,
    dynascores,
    error_rates,
    median_seconds,
)
from bench.arena.verdicts import Rule
from bench.errors import BenchError

RULE = Rule()


def example(
    label: int = 0,
    small: int = 0,
    dense: int = 0,
    votes: tuple[int | None, ...] = (),
    number: int = 1,
) -> Example:
    answers = {
        name: Answer(name, said, (0.5, 0.5), 1.0) for name, said in (("s", small), ("d", dense))
    }
    return Example(number, 1, 1, ("text",), label, None, 5.0 * number, "", answers,
                   dict(enumerate(votes)))  # fmt: skip


def test_an_example_counts_when_two_of_three_agree_with_its_author() -> None:
    verdicts = {
        (): "open", (0,): "open", (0, 0): "validated", (0, 1): "open", (1, None): "rejected",
        (0, 1, 0): "validated", (0, 1, None): "rejected", (1, 1): "rejected",
    }  # fmt: skip
    assert {votes: RULE.verdict(0, votes) for votes in verdicts} == verdicts
    assert Rule(votes=5, agreeing=4).verdict(0, (0, 0, 0)) == "open"


@pytest.mark.parametrize(("votes", "agreeing"), [(3, 4), (3, 0), (0, 0)])
def test_a_rule_that_nobody_can_meet_is_refused(votes: int, agreeing: int) -> None:
    with pytest.raises(BenchError, match="cannot agree"):
        Rule(votes, agreeing)


def test_rates_are_of_all_that_was_written() -> None:
    """Six examples: four fool, three of them count, and of those dense gets two right."""
    examples = [
        example(small=1, votes=(0, 0)),
        example(small=1, votes=(0, 1, 0)),
        example(small=1, dense=1, votes=(0, 0)),
        example(small=1, votes=(1, 1)),
        example(votes=(0, 0)),
        example(dense=1),
    ]
    rates = error_rates(examples, "s", "d", RULE)
    assert (rates.mer, rates.vmer, rates.lost) == (Share(4, 6), Share(3, 6), Share(2, 6))
    dense = error_rates(examples, "d", None, RULE)
    assert (dense.mer, dense.vmer, dense.lost) == (Share(2, 6), Share(1, 6), None)
    assert accuracy(examples, "s", RULE) == Share(1, 4)


def test_a_model_that_joined_late_is_judged_by_what_it_answered() -> None:
    assert error_rates([example(small=1)], "another", "d", RULE).mer == Share(0, 0)
    assert Share(0, 0).value is None
    assert Share(0, 0).interval is None


def test_intervals_are_exact() -> None:
    low, high = Share(3, 10).interval or (0, 0)
    exact = stats.binomtest(3, 10).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high))


def test_time_is_a_median() -> None:
    assert median_seconds([example(number=n) for n in (1, 2, 100)]) == 10
    assert median_seconds([]) is None


def test_agreement_is_krippendorffs_own_example() -> None:
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C: nominal, 0.743."""
    pytest.importorskip("nltk")
    rows = {
        "A": "1 2 3 3 2 1 4 1 2 . . .",
        "B": "1 2 3 3 2 2 4 1 2 5 . 3",
        "C": ". 3 3 3 2 3 4 2 2 5 1 .",
        "D": "1 2 3 3 2 4 4 1 2 5 1 .",
    }
    columns = zip(*(row.split() for row in rows.values()), strict=True)
    units = [
        SimpleNamespace(id=number, votes=dict(zip(rows, unit, strict=True)))
        for number, unit in enumerate(columns)
    ]
    for unit in units:
        unit.votes = {coder: vote for coder, vote in unit.votes.items() if vote != "."}
    found: Any = agreement(units)  # type: ignore[arg-type]
    assert round(found, 3) == 0.743


def test_agreement_needs_votes_that_differ() -> None:
    pytest.importorskip("nltk")
    assert agreement([]) is None
    assert agreement([example(votes=(0,)), example(votes=(1,), number=2)]) is None
    assert agreement([example(votes=(0, 0))]) is None
    assert agreement([example(votes=(0, 0)), example(votes=(1, 1), number=2)]) == 1


PEOPLE = {
    "small": {"performance": 60.0, "megabytes": 10.0, "robustness": 50.0},
    "middle": {"performance": 70.0, "megabytes": 40.0, "robustness": 45.0},
    "large": {"performance": 75.0, "megabytes": 100.0, "robustness": 55.0},
}
WEIGHTS = {
    "performance": Metric(2),
    "megabytes": Metric(1, cost=True),
    "robustness": Metric(1),
}


def test_the_score_is_that_of_a_sum_by_hand() -> None:
    """AMRS: megabytes (30/10 + 60/5)/2 = 7.5; robustness (5/10 + 10/5)/2 = 1.25."""
    expected = {
        name: 0.5 * held["performance"] - 0.25 * held["megabytes"] / 7.5
        + 0.25 * held["robustness"] / 1.25
        for name, held in PEOPLE.items()
    }  # fmt: skip
    assert dynascores(PEOPLE, WEIGHTS, "performance") == pytest.approx(expected)


def test_the_score_knows_no_order_of_models() -> None:
    turned = dict(reversed(PEOPLE.items()))
    assert dynascores(turned, WEIGHTS, "performance") == pytest.approx(
        dynascores(PEOPLE, WEIGHTS, "performance")
    )


def test_models_that_are_equally_good_are_no_exchange() -> None:
    """Their difference of megabytes would be divided by nothing."""
    twin = {**PEOPLE, "twin": {"performance": 70.0, "megabytes": 40.0, "robustness": 45.0}}
    found, alone = (dynascores(held, WEIGHTS, "performance") for held in (twin, PEOPLE))
    assert found is not None
    assert alone is not None
    assert found["large"] == pytest.approx(alone["large"])


def test_one_model_has_no_score() -> None:
    assert dynascores({"small": PEOPLE["small"]}, WEIGHTS, "performance") is None
    assert dynascores({}, WEIGHTS, "performance") is None


def test_what_all_models_have_decides_nothing() -> None:
    level = {name: {**held, "robustness": 50.0} for name, held in PEOPLE.items()}
    found = dynascores(level, WEIGHTS, "performance")
    assert found is not None
    assert found["small"] == pytest.approx(0.5 * 60 - 0.25 * 10 / 7.5)
