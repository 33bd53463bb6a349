"""What a page says of curves, and how it decides that a task tells nothing, on planted trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from example_record import RECORD

from bench.leaderboard.convergence import convergence_svg, gaining_note, trainings
from bench.leaderboard.prose import uninformative_note
from bench.leaderboard.ranking import is_uninformative, standings
from bench.results.predictions import Predictions
from bench.results.record import AGAINST_MAJORITY, Record

STEPS = list(range(10, 110, 10))


def study(
    gain: float, half_width: float = 0.5, method: str = "slow", task: str = "stsb",
    ratio: float = 20.0,
) -> dict[str, Any]:  # fmt: skip
    """A study whose second trial is the best, and gained so much over its last fifth."""
    scores = [60.0 + gain * step / 20 for step in STEPS]
    curve = {"steps": STEPS, "loss": [3 / step for step in STEPS], "score": scores,
             "gain": {"points": gain, "half_width": half_width}}  # fmt: skip
    worse = {"params": {}, "score": 1.0, "ratio": ratio,
             "curve": curve | {"gain": {"points": 50.0, "half_width": 0.1}}}  # fmt: skip
    best = {"params": {}, "score": scores[-1], "ratio": ratio, "curve": curve}
    return {"cell": {"method": method, "task": task, "ratio": ratio}, "best": 1,
            "trials": [worse, best]}  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "half_width", "fires"),
    [(4.0, 1.0, True), (1.6, 0.5, True), (1.4, 0.5, False), (4.0, 3.5, False), (0.0, 0.2, False)],
)
def test_still_gaining_is_an_interval_above_one_point(
    gain: float, half_width: float, fires: bool
) -> None:
    note = gaining_note([study(gain, half_width)], 20.0)
    assert (f"slow on stsb ({gain:+.1f} ± {half_width:.1f})" in note) is fires
    assert bool(note) is fires


def test_a_page_speaks_of_its_ratio_and_the_references() -> None:
    every = [study(5, ratio=4.0), study(6, method="dense", ratio=1.0), study(7, task="cola")]
    assert "slow on stsb" in gaining_note(every, 4.0)
    hardest = gaining_note(every, 20.0)
    assert "dense on stsb (+6.0" in hardest
    assert "slow on cola (+7.0" in hardest
    assert "slow on stsb" not in hardest


def test_curves_of_the_hardest_ratio_are_drawn_and_the_same_bytes() -> None:
    every = [study(5, ratio=4.0, method="easy"), study(0), study(6, method="dense", ratio=1.0)]
    drawn = convergence_svg(every)
    assert drawn == convergence_svg(every)
    assert "slow" in drawn
    assert "dense" in drawn
    assert "easy" not in drawn


def test_studies_without_curves_are_no_curves() -> None:
    old = {**study(5), "trials": [{"params": {}, "score": 1.0, "ratio": 20.0}] * 2}
    failed = {**study(5), "best": None}
    short = study(5)
    short["trials"][1]["curve"] |= {"gain": None}
    assert trainings([old, failed]) == []
    assert convergence_svg([old, failed]) == gaining_note([old, failed], 20.0) == ""
    assert gaining_note([short], 20.0) == ""


def reference(method: str, score: float, **tuning: Any) -> Record:
    cell = {**RECORD.cell, "method": method}
    return replace(
        RECORD, id=method, cell=cell, score=score, scores={"accuracy": score}, tuning=tuning,
        data={"report": 400}, method={"kind": "reference", "control": True},
    )  # fmt: skip


def answers(right: float):
    rng = np.random.default_rng(0)
    labels = np.zeros(400, np.int64)
    return Predictions(labels, (rng.random(400) > right).astype(np.int64))


def test_a_task_tells_something_by_the_tune_rows_alone() -> None:
    """Whatever the report rows say: there the dense model is far above, or far below."""
    for before, tells in (
        ({"dense": 80.0, "score": 60.0, "p": 1e-6}, True),
        ({"dense": 62.0, "score": 60.0, "p": 0.2}, False),
        ({"dense": 40.0, "score": 60.0, "p": 1e-6}, False),
    ):
        for dense, majority in ((0.95, 0.5), (0.5, 0.95)):
            found = {"dense": answers(dense), "majority": answers(majority)}
            made = [
                reference("dense", 100 * dense, **{AGAINST_MAJORITY: before}),
                reference("majority", 100 * majority),
            ]
            assert is_uninformative(made, "cola", found.get) is not tells
            note = uninformative_note(standings([], made, ["cola"], found.get))
            assert ("decided on the tune rows, before" in note) is not tells


def test_old_records_are_tested_on_the_report_rows_and_the_page_says_so() -> None:
    seeds = [
        replace(
            reference(method, 50.0),
            id=f"{method}{seed}",
            cell={**RECORD.cell, "method": method, "seed": seed},
        )
        for method in ("dense", "majority")
        for seed in range(3)
    ]
    found = {record.id: answers(0.5) for record in seeds}
    assert is_uninformative(seeds, "cola", found.get)
    note = uninformative_note(standings([], seeds, ["cola"], found.get))
    assert "Of cola this was decided on the report rows." in note
