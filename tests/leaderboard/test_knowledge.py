"""What is left of pre-training, as rows."""

from __future__ import annotations

from bench.leaderboard.knowledge import knowledge_lines
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
    assert (average["whole"].loss, average["whole"].loss_share) == (4.0, 200.0)
    assert (average["whole"].score, average["whole"].score_share) == (50.0, 62.5)
    assert (average["half"].loss, average["half"].score) == (None, 50.0)
    assert [line.method for line in lines if line.task == "rte"] == [
        "pre-trained", "fine-tuned", "half", "whole",
    ]  # fmt: skip
