"""Claims as descriptions of suites hold them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import BenchError
from bench.results.claims import Claim, merge_claims, same_claim

CLAIM = Claim(
    better="a", worse=("b", "c"), tasks=("cola", "rte"), ratio=20.0, by=2.0, seeds=(10, 11, 12),
    versions={"a": 1, "b": 1, "c": 2}, sentence="a wins", written="2026-01-02T00:00:00+00:00",
)  # fmt: skip
PLAIN = CLAIM.to_json()


def test_a_claim_is_read_back_and_said() -> None:
    assert Claim.from_json(PLAIN) == CLAIM
    assert str(CLAIM) == (
        "a is better than b and than c by more than 2 points on the average of cola, rte at 20×, "
        "seeds 10–12"
    )


@pytest.mark.parametrize(
    "odd",
    [{"better": 1}, {"worse": []}, {"worse": "b"}, {"tasks": [1]}, {"seeds": [1.0]}, {"ratio": "4"},
     {"by": None}, {"seeds": [True]}, {"versions": []}, {"sentence": None}, {"ratio": 0.0}],
)  # fmt: skip
def test_what_is_no_claim_is_told_apart(odd: dict[str, Any]) -> None:
    (field,) = odd
    with pytest.raises(BenchError, match=f"^{field}"):
        Claim.from_json({**PLAIN, **odd})
    if field != "sentence":
        with pytest.raises(BenchError, match=f"`{field}`"):
            Claim.from_json({key: value for key, value in PLAIN.items() if key != field})


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"sentence": "other", "written": "2027-01-01T00:00:00+00:00"}, True),
        ({"worse": ["c", "b"], "tasks": ["rte", "cola"]}, True),
        ({"better": "d"}, False), ({"worse": ["b"]}, False), ({"tasks": ["rte"]}, False),
        ({"ratio": 4.0}, False), ({"by": 1.0}, False), ({"seeds": [10, 11]}, False),
        ({"versions": {"a": 2, "b": 1, "c": 2}}, False),
    ],
)  # fmt: skip
def test_another_sentence_makes_no_other_claim_and_anything_else_does(
    changes: dict[str, Any], same: bool
) -> None:
    assert same_claim(PLAIN, {**PLAIN, **changes}) is same


def test_merged_descriptions_have_the_claims_of_both_each_with_its_first_date() -> None:
    later = {**PLAIN, "sentence": "a surely wins", "written": "2026-05-01T00:00:00+00:00"}
    other = {**later, "by": 5.0}
    assert merge_claims([PLAIN], [later, other]) == [
        {**PLAIN, "sentence": "a surely wins"}, other,
    ]  # fmt: skip
    assert merge_claims([later], [PLAIN]) == [PLAIN]  # a page that a later sitting was added to
    assert merge_claims([PLAIN], []) == [PLAIN]  # it was made
    raised = {**later, "versions": {"a": 2, "b": 1, "c": 2}}
    assert merge_claims([PLAIN], [raised]) == [raised]
