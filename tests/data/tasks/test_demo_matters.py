"""What the demo is for: pre-training matters in it, and so does which weights go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from cells import execute

from bench import registry
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.prepare import load
from bench.models.checkpoint import load_model
from bench.runs.request import Request, resolve
from bench.training import scoring
from bench.training.evaluate import predict
from bench.training.loop import train

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runs.cells.context import Context


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo-sentiment", "demo-paraphrase", "demo-similarity"])
def test_the_demo_tells_knowledge_from_none(name: str, tmp_path: Path) -> None:
    """Under the demo's own protocol, each margin as its tasks were designed for, one seed."""
    suite = resolve(Request(runs=tmp_path, tasks=(name,), workers=1))
    context = suite.prepare(tmp_path / "data")
    scores = {}
    for cell in suite.cells():
        if (cell.method, cell.ratio) in {
            ("dense", 1.0), ("majority", 1.0), ("random-mask", 20.0), ("magnitude", 20.0),
        }:  # fmt: skip
            record = execute(cell, context)
            assert record.score is not None
            scores[cell.method] = record.score
    assert scores["dense"] - from_random_weights(name, context) > 10
    assert scores["dense"] - scores["majority"] > 25
    assert scores["dense"] - scores["random-mask"] > 10
    assert scores["magnitude"] - scores["random-mask"] > 10


def from_random_weights(name: str, context: Context) -> float:
    """The dense model's score without pre-training, everything else being the same."""
    task, rows, protocol = registry.task(name), load(context.tasks[name]), context.protocol
    pretrained = load_model(context.encoder, task.info.labels, protocol.dropout, fresh_head=True)
    torch.manual_seed(0)
    model = type(pretrained)(pretrained.config)
    params = TrainParams(learning_rate=protocol.learning_rate)
    train(model, rows.train, loss=task_loss, params=params, protocol=protocol, device="cpu",
        seed=(0, 0))  # fmt: skip
    logits = predict(model, rows.report, "cpu")
    predictions = logits[:, 0] if task.is_regression else logits.argmax(axis=1)
    return scoring.score(task.info.metric, predictions, rows.report.labels).main
