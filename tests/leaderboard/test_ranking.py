"""Rows of a table: over which tasks a figure is, and which tasks tell nothing."""

from __future__ import annotations

from dataclasses import replace

from bench.leaderboard.prose import protocol_lines
from bench.leaderboard.ranking import LEAST_ROWS, is_uninformative, rows_of, standings
from bench.results.layout import AXES
from bench.results.record import Record

SETTINGS = {
    "trials": 0, "epochs": 1, "batch_size": 32, "dropout": 0.1, "precision": "fp32",
    "max_train_samples": None,
}  # fmt: skip


def record(method: str, task: str, ratio: float, achieved: float, seed: int = 0) -> Record:
    return Record(
        id=f"{method}-{task}-{seed}", status="ok", score=50.0, scores={"accuracy": 50.0},
        cell={"method": method, "task": task, "axis": "weights", "ratio": ratio, "seed": seed,
              "model": "m", "protocol": "p"},
        method={"kind": "small", "control": method == "dense", "starts_from": "pretrained",
                "teacher": "none"},
        footprint={axis: {"ratio": achieved} for axis in AXES},
    )  # fmt: skip


def test_a_rows_size_is_that_of_the_tasks_of_its_average() -> None:
    """Shapes of a small model differ from task to task; WNLI is no part of an average."""
    made = [record("tiny", "cola", 20, 20.0), record("tiny", "rte", 20, 22.0)]
    made.append(record("tiny", "wnli", 20, 60.0))
    result = standings(made, [], ["cola", "rte", "wnli"], lambda cell_id: None)
    (row,) = result.rows
    assert row.ratio("weights", result.sized) == 21.0
    assert row.ratio("weights", ["wnli"]) == 60.0
    alone = standings(made[2:], [], ["wnli"], lambda cell_id: None)
    assert alone.rows[0].ratio("weights", alone.sized) == 60.0


def test_a_task_of_few_report_rows_tells_nothing() -> None:
    for rows, tells in ((1, False), (LEAST_ROWS - 1, False), (LEAST_ROWS, True)):
        dense = replace(record("dense", "one", 1.0, 1.0), data={"report": rows})
        assert is_uninformative([dense], "one", lambda cell_id: None) is not tells
    assert rows_of([dense], ["one"])[0].mean("one") == 50.0


def test_what_is_drawn_once_for_all_seeds_is_said() -> None:
    made = [record("tiny", "cola", 20, 20.0, seed) for seed in (0, 1)]
    taught = [replace(one, data={"general_text": "its own"}) for one in made]
    suite = {"settings": SETTINGS, "cells": {}}
    said = "tiny: the training on unlabelled text is drawn once, for all seeds."
    for records, is_said in ((taught, True), (made, False), (taught[:1], False)):
        lines = protocol_lines(suite, records, ["cola"], 0)
        assert any(line.startswith(said) for line in lines) == is_said
