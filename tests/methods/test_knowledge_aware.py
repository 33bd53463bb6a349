"""Knowledge-aware pruning: its loss against the paper's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from plain_losses import plain_hidden_loss, plain_score_loss

from bench import registry
from bench.compression.distillation import look_inside
from bench.testing import Toy, toy_rows
from bench.training.batches import collate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_regression", [False, True])
def test_the_knowledge_aware_loss_is_the_papers(tmp_path: Path, is_regression: bool) -> None:
    """All layers and the embedding, scores, and soft labels (or the labels of a regression)."""
    toy = Toy(tmp_path, registry.methods.get("knowledge-aware"), 4.0, {})
    run = toy.run(kind="regression" if is_regression else "classes")
    taken: dict[str, Any] = {}
    run.train = lambda model, **options: taken.update(model=model, **options)  # type: ignore[method-assign]
    method = registry.methods.get("knowledge-aware")
    weights = {"hidden_weight": 2.0, "score_weight": 3.0, "label_weight": 5.0}
    method().compress(run, method.Params(**weights))
    student, teacher = taken["model"].eval(), run.finetuned().eval()
    data = toy_rows(0, "regression" if is_regression else "classes")
    batch = collate(data, np.arange(3), student, torch.device("cpu"))
    one, two = look_inside(student, batch), look_inside(teacher, batch)

    lengths = data.lengths[:3].tolist()
    hidden = plain_hidden_loss(one.hidden, two.hidden, lengths)
    scores = plain_score_loss(one.scores, two.scores, lengths)
    if is_regression:
        labels = np.mean([(one.logits[i, 0].item() - data.labels[i]) ** 2 for i in range(3)])
    else:
        labels = -np.mean(
            [
                math.exp(two.logits[i].log_softmax(0)[c].item())
                * one.logits[i].log_softmax(0)[c].item()
                for i in range(3)
                for c in range(2)
            ]
        )
    wanted = 2 * hidden + 3 * scores + 5 * labels
    assert taken["loss"](student, batch).item() == pytest.approx(wanted, rel=1e-5)
    assert len(one.hidden) == 3
    assert len(one.scores) == 2
    assert taken["params"].decay == "constant"  # the authors' schedule is "none"
    assert taken["params"].warmup == 0
