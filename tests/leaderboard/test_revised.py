"""What a page promises of its report split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from example_page import FOLDER, records, suite

from bench.leaderboard.page import make_page

PROMISE = "Scores are those on the report split. Nothing was chosen on it."
NAMED = "before it methods were revised: magnitude (notes under the tables)."


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({}, None),  # the oldest records say no version
        ({"version": 1}, None),
        ({"version": 1, "revised_after": None}, None),
        ({"version": 3, "revised_after": []}, None),
        ({"version": 2, "revised_after": ["stsb"]}, None),  # which this page does not show
        ({"version": 2, "revised_after": ["stsb", "cola"]}, "revised after seeing this task: cola"),
        ({"version": 2, "revised_after": ["wnli", "cola"]},
         "revised after seeing these tasks: cola, wnli"),
        ({"version": 2}, "was raised once. Which tasks had been seen by then is not recorded"),
        ({"version": 5, "revised_after": None}, "was raised 4 times. Which tasks"),
    ],
)  # fmt: skip
def test_nothing_chosen_is_promised_only_where_it_holds(
    facts: dict[str, Any], note: str | None
) -> None:
    found = [
        replace(r, method=r.method | facts) if r.cell["method"] == "magnitude" else r
        for r in records()
    ]
    page = make_page(suite(found), found, FOLDER).markdown
    assert (PROMISE in page) is (note is None)
    assert (NAMED in page) is (note is not None)
    assert ("<sub>magnitude: " in page) is (note is not None)
    assert note is None or note in page
