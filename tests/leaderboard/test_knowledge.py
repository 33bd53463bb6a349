"""What is left of pre-training, as rows."""

from __future__ import annotations

import dataclasses

from bench.leaderboard.knowledge import knowledge_lines, knowledge_notes, knowledge_row
from bench.results.record import Record


def record(task: str, method: str, loss: float | None, score: float, ratio: float = 1.0) -> Record:
    known = {"pretrained": 1.0, "finetuned": 2.0, "loss": loss}
    cell = {"method": method, "task": task, "axis": "weights", "ratio": ratio, "seed": 0}
    return Record(id=f"{task}-{method}", status="ok", cell=cell, score=score,
                  knowledge=None if loss is None else known)  # fmt: skip


def test_an_average_needs_every_task_and_leaves_wnli_out() -> None:
    lines = knowledge_lines(
        [record(task, "dense", 2.0, 80.0) for task in ("cola", "rte", "wnli")]
        + [record("cola", "whole", 3.0, 40.0, 4), record("rte", "whole", 5.0, 60.0, 4)]
        + [record("cola", "half", 3.0, 40.0, 4), record("rte", "half", None, 60.0, 4)],
        answers=lambda cell_id: None,
    )
    average = {line.method: line for line in lines if line.task == "average"}
    assert (average["whole"].loss, average["whole"].score) == (4.0, 50.0)
    assert (average["half"].loss, average["half"].score) == (None, 50.0)
    assert [line.method for line in lines if line.task == "rte"] == [
        "pre-trained", "fine-tuned", "half", "whole",
    ]  # fmt: skip


def test_old_records_know_no_floor_and_no_fitted_head() -> None:
    lines = knowledge_lines(
        [record("cola", "dense", 2.0, 80.0), record("cola", "some", 3.0, 40.0, 4)],
        answers=lambda cell_id: None,
    )
    assert [knowledge_row(line) for line in lines] == [
        ["pre-trained", "1", "1.000", "–", "–", "–"],
        ["fine-tuned", "1", "2.000", "–", "–", "80.0"],
        ["some", "4", "3.000", "–", "–", "40.0"],
    ]
    assert knowledge_notes(lines) == [
        "–: not measured, or the model has no place for the pre-trained head."
    ]


def refitted(task: str, method: str, loss: float, plain: float | None, ratio: float) -> Record:
    known = {"floor": 6.0, "loss": plain, "pretrained": 3.0, "finetuned": 3.5, "refitted": loss,
             "pretrained_refitted": 2.0, "finetuned_refitted": 3.0}  # fmt: skip
    found = record(task, method, plain, 50.0, ratio)
    return dataclasses.replace(found, knowledge=known)


def test_what_lies_above_word_frequencies_and_who_does_not() -> None:
    lines = knowledge_lines(
        [
            one
            for task, more in (("cola", 0.0), ("rte", 1.0))
            for one in (
                refitted(task, "dense", 3.0, 3.5, 1),
                refitted(task, "holds", 4.0 + more, 9.0, 20),
                refitted(task, "lost", 5.75 + more, 8.0, 20),
                refitted(task, "narrow", 5.0, None, 20),
            )
        ],
        answers=lambda cell_id: None,
    )
    rows = [knowledge_row(line) for line in lines if line.task == "average"]
    assert rows == [
        ["pre-trained", "1", "3.000", "2.000", "100.0", "–"],
        ["fine-tuned", "1", "3.500", "3.000", "75.0", "50.0"],
        ["holds", "20", "9.000", "4.500", "37.5", "50.0"],
        ["lost", "20", "8.000", "6.250 (floor)", "-6.2", "50.0"],
        ["narrow", "20", "–", "5.000", "25.0", "50.0"],
        ["word frequencies", "–", "–", "6.000", "0.0", "–"],
    ]
    marked = {(line.task, line.method) for line in lines if line.is_at_floor}
    assert marked == {("rte", "lost"), ("average", "lost")}
    notes = knowledge_notes(lines)
    assert notes[-2:] == [
        "(floor): not better than word frequencies.",
        "–: not measured, or the model has no place for the pre-trained head.",
    ]
