"""What a page says of challenge sets, by hand."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from example_page import FOLDER, record, records, suite

from bench.leaderboard.page import Page, make_page

if TYPE_CHECKING:
    from bench.results.record import Record


def scored(one: Record, **sets: float | None) -> Record:
    """The record with a score on some sets."""
    found: dict[str, dict[str, Any]] = {
        name: {"score": score, "scores": {"accuracy": score}, "fingerprint": f"of {name}",
               "rows": 50, "seen": 2, "cut": 1, "skipped_rows": 0, "source": "folder",
               "groups": {"hard": score, "hard: odd": score / 2}}
        for name, score in sets.items()
        if score is not None
    }  # fmt: skip
    return dataclasses.replace(one, challenges=found)


def page(found: list[Record]) -> Page:
    known = {"cola": {"hans": "of hans", "round-1": "of round-1"}}
    return make_page({**suite(found), "challenges": known}, found, FOLDER)


def cells(markdown: str, heading: str) -> dict[str, list[str]]:
    table = markdown.partition(heading)[2].strip().partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {row[0]: row[1:] for row in rows}


def every() -> list[Record]:
    return [
        scored(one, hans=60.0 + one.cell["seed"]) if one.cell["task"] == "cola" else one
        for one in records()
    ]


def test_each_set_stands_beside_its_report_split() -> None:
    made = page(every())
    shown = cells(made.markdown, "### Challenge sets")
    assert shown["magnitude"] == ["42.0", "60.5", "–"]
    assert shown["dense (control)"] == ["51.0", "60.5", "–"]
    groups = cells(made.markdown, "cola: hans, by group</summary>")
    assert groups["hard"] == ["60.5"] * 4
    assert groups["hard: odd"] == ["30.2"] * 4  # 30 and 30.5
    heads, _ = made.tables["20× fewer prunable weights: challenge sets"]
    assert heads == ["method", "cola (matthews)", "cola: hans (accuracy)", "cola: round-1 (?)"]
    assert made.files == page(every()[::-1]).files  # a pure function of records


def test_scores_of_other_rows_are_left_out() -> None:
    found = every()
    for one in found:
        if one.challenges:
            one.challenges["hans"]["fingerprint"] = "of other rows"
    assert "### Challenge sets" not in page(found).markdown


def test_they_change_nothing_else_of_a_page() -> None:
    plain = make_page(suite(records()), records(), FOLDER)
    rows = json.loads(plain.files[FOLDER / "example.json"])["rows"]
    made = json.loads(page(every()).files[FOLDER / "example.json"])
    assert made["rows"][0].pop("challenges") == {"cola: hans": [60.0, 61.0]}
    assert {**made["rows"][0]} == rows[0]
    assert plain.files[FOLDER / "example.csv"] == page(every()).files[FOLDER / "example.csv"]


def test_what_rows_were_written_against_is_marked() -> None:
    found = [scored(one, **{"round-1": 40.0}) if one.cell["task"] == "cola" else one
             for one in records()]  # fmt: skip
    assert "¶" not in page(found).markdown
    for one in found:
        if one.challenges and (one.cell["method"], one.cell["seed"]) == ("magnitude", 0):
            one.challenges["round-1"]["target"] = True
    made = page(found)
    shown = cells(made.markdown, "### Challenge sets")
    assert shown["magnitude"][2] == "40.0 ¶"
    assert shown["random-mask (control)"][2] == "40.0"
    assert "¶ The rows were written against this model" in made.markdown


def test_a_record_without_any_is_as_it_was() -> None:
    from bench.results.record import slim

    assert "challenges" not in slim(record("dense", "cola", 1.0, 0, 1.0))
