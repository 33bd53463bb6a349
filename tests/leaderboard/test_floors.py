"""What a page says of what answers without training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from example_page import FOLDER, record, suite

from bench.leaderboard.page import make_page
from bench.results.predictions import Predictions

if TYPE_CHECKING:
    from bench.results.record import Record

REFERENCE = {"kind": "reference", "control": True, "starts_from": "none", "teacher": "none"}
SCORES = {
    ("dense", 1.0): {"cola": [50.0, 51.0, 49.0, 50.0, 50.0], "rte": [70.0, 71.0, 72.0, 71.0, 71.0]},
    ("magnitude", 20.0): {"cola": [41.0] * 5, "rte": [61.0] * 5},
    ("move_ment", 20.0): {"cola": [56.0] * 5, "rte": [51.0] * 5},
}


def records(**floors: dict[str, float]) -> list[Record]:
    """Three methods of five seeds, and floors of one score each."""
    found = [
        record(method, task, ratio, seed, score)
        for (method, ratio), tasks in SCORES.items()
        for task, scores in tasks.items()
        for seed, score in enumerate(scores)
    ]
    found = [replace(r, method=REFERENCE) if r.cell["ratio"] == 1 else r for r in found]
    return found + [
        replace(
            record(name.replace("_", "-"), task, 1.0, seed, score),
            method={**REFERENCE, "delivers": "answers"},
            params={"predictor": "bag of words"},
            footprint={},
        )
        for name, tasks in floors.items()
        for task, score in tasks.items()
        for seed in range(5)
    ]


def page_of(found: list[Record], **more: object) -> str:
    return make_page(suite(found), found, FOLDER, **more).markdown  # type: ignore[arg-type]


def test_a_dense_model_below_a_floor_is_said_before_all_else() -> None:
    page = page_of(records(text_floor={"cola": 10.0, "rte": 71.5}, encoder_floor={"cola": 60.0}))
    assert page.split("\n\n")[1:3] == [
        "**The dense model is below a floor**, which is what answers without training reach:",
        "- cola: dense 50.0, encoder floor (bag of words) 60.0; not tested\n"
        "- rte: dense 71.0, text floor (bag of words) 71.5; not tested",
    ]


def test_a_dense_model_above_both_is_not_mentioned() -> None:
    page = page_of(records(text_floor={"cola": 10.0, "rte": 50.0}))
    assert "below a floor" not in page


def test_rows_below_a_floor_are_named_on_each_task() -> None:
    page = page_of(records(text_floor={"cola": 41.5, "rte": 71.5}, encoder_floor={"cola": 60.0}))
    assert (
        "- cola: text floor (bag of words) 41.5, 1 of 2 rows below it (magnitude); encoder floor "
        "(bag of words) 60.0, 2 of 2 rows below it (move\\_ment, magnitude).\n"
        "- rte: text floor (bag of words) 71.5, 2 of 2 rows below it (move\\_ment, magnitude)."
    ) in page
    assert "| text-floor (control)" in page


def test_a_test_says_whether_dense_and_floor_are_told_apart() -> None:
    """Of 400 rows dense is right on 200 to 204, the floor on 360 or, nearly alike, on 202.

    Of 252 ways to part ten scores, two are as far apart as these; of three seeds, 2 of 20.
    """

    def page(right: int, seeds: int = 5) -> str:
        labels = np.zeros(400, int)

        def answers(cell: str) -> Predictions:
            method, seed = cell.split("-cola")[0].split("-rte")[0], int(cell[-1])
            rights = {"dense": 200 + seed, "text-floor": right}.get(method, 100 + seed)
            return Predictions(labels, (np.arange(400) >= rights).astype(int))

        found = [r for r in records(text_floor={"cola": right / 4}) if r.cell["seed"] < seeds]
        for each in found:
            each.scores.clear()
            each.scores["accuracy"] = each.score or 0.0
        return page_of(found, answers=answers)

    assert "text floor (bag of words) 90.0; told apart (p = 0.0079)" in page(360)
    too_few = "not told apart (p = 0.1, the smallest that 3 seeds can give)"
    assert f"text floor (bag of words) 90.0; {too_few}" in page(360, seeds=3)
    assert "text floor (bag of words) 50.5; not told apart (p = " in page(202)


def test_pages_without_floors_say_nothing_of_them_but_that_they_are_missing() -> None:
    page = page_of(records())
    assert "Floors" not in page
    assert "below a floor" not in page
    assert "text-floor, encoder-floor" in page
