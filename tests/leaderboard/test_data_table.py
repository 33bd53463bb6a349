"""What a page says of the rows that were used."""

from __future__ import annotations

import dataclasses
from typing import Any

from example_record import RECORD

from bench.leaderboard.data_table import TWINS, data_table

FACTS = {
    "source": "folder",
    "train": 8533,
    "train_available": 8551,
    "report": 1043,
    "skipped_rows": 0,
    "cut_to_fit": {"pieces": 128, "train": 0, "report": 0},
}


def table(**more: Any) -> str:
    return data_table([dataclasses.replace(RECORD, data={**FACTS, **more})])


def test_a_page_says_which_rows_stand_on_both_sides() -> None:
    said = table(overlap={"rows": 18, "exact": 16, "are": "removed"}, tune=10, tune_shared=0)
    assert TWINS in said
    assert "| 18 (16 to the letter): removed" in said
    assert "share a text" not in said
    assert "| none " in table(overlap={"rows": 0, "exact": 0, "are": "removed"})


def test_a_page_says_where_fit_and_tune_share_texts() -> None:
    said = table(overlap={"rows": 0, "exact": 0, "are": "kept"}, tune=1200, tune_shared=1100)
    assert "cola: 1,100 of 1,200 tune rows share a text with fit rows" in said


def test_records_of_before_they_were_counted_have_no_such_column() -> None:
    assert TWINS not in table()
    assert "| 8,533 of 8,551 " in table()
