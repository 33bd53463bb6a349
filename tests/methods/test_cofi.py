"""CoFi's lessons against plain loops, and what it delivers on every engine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from plain_losses import LENGTHS, batch_of, plain_hidden_loss
from tiny_models import tiny_classifier
from transformers import AutoModelForSequenceClassification

import bench
from bench import registry
from bench.compression.distillation import compute_insides
from bench.runs.cells.parameters import resolve_params
from bench.testing import Toy, toy_config
from bench_methods.cofi import CofiPruning, _Lesson

if TYPE_CHECKING:
    from pathlib import Path


def scattered(family: str, seed: int):
    model = tiny_classifier(family)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def test_a_lesson_is_soft_labels_and_the_nearest_layers() -> None:
    """0.8 · Σ MSE over the teacher's layers + 0.2 · T² · KL, all by hand."""
    student, teacher = scattered("bert", 0), scattered("bert", 1)
    params = CofiPruning.Params(layer_share=0.8, temperature=3.0, layer_map="free")
    lesson = _Lesson(teacher, params)
    assert lesson.places == [1, 2]
    onto = bench.Projection(torch.randn(24, 24))
    batch = batch_of(student, padding=2)
    alive = torch.tensor([False, True])
    loss = lesson.loss(student, batch, onto, alive)

    own, known = compute_insides(student, batch), compute_insides(teacher, batch)
    mapped = [(states @ onto.linear.weight.T).detach() for states in own.hidden]
    hidden = sum(plain_hidden_loss([mapped[2]], [known.hidden[place]], LENGTHS) for place in (1, 2))
    rows = []
    for mine, theirs in zip(own.logits.tolist(), known.logits.tolist(), strict=True):
        p, q = (np.exp(np.array(row) / 3) / np.exp(np.array(row) / 3).sum()
                for row in (theirs, mine))  # fmt: skip
        rows.append(float((p * np.log(p / q)).sum()))
    assert float(loss.detach()) == pytest.approx(0.8 * hidden + 0.2 * 9 * np.mean(rows), rel=1e-4)


@pytest.mark.parametrize(("depth", "places"), [(12, [3, 6, 9, 12]), (3, [1, 2, 3]), (1, [1])])
def test_the_layers_that_teach_are_spread_evenly(depth: int, places: list[int]) -> None:
    """Of twelve layers those of the authors' code; the embeddings, number 0, do not teach."""
    config = toy_config()
    config.num_hidden_layers = depth
    model = AutoModelForSequenceClassification.from_config(config)
    assert _Lesson(model, CofiPruning.Params()).places == places


def test_what_is_left_is_trained_on_with_its_part_of_the_map(tmp_path: Path) -> None:
    """The first phase has 70 % of the steps; the map keeps the columns of what was not cut."""
    toy = Toy(tmp_path, registry.methods.get("cofi"), 4.0, {})
    run = toy.run()
    run.target = bench.Target("bytes", 3.0, 16)  # which no model of the whole width meets
    train, phases = run.train, []

    def watched(model, *, callbacks, share, **options) -> None:
        onto = callbacks[-1].linear.weight
        phases.append((model, share, onto.detach().clone()))
        train(model, callbacks=callbacks, share=share, **options)
        phases[-1] += (onto.detach().clone(),)

    run.train = watched  # type: ignore[method-assign]
    params = resolve_params(toy.method, {}, run.context.protocol)
    model = toy.method().compress(run, dataclasses.replace(params, final_phase=0.3))
    (student, first, begun, ended), (smaller, second, narrow, _) = phases
    assert (first, second) == (0.7, 0.3)
    assert run.steps == 24
    assert torch.equal(begun, torch.eye(32))
    assert smaller is model
    assert not any("forward" in vars(module) for module in student.modules())
    assert model.config.cut_width == narrow.shape[1] < 32
    places = [int((column == ended.T).all(dim=1).nonzero()) for column in narrow.T]
    assert places == sorted(set(places))
