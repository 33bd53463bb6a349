"""What a student learns from a teacher, against plain loops over layers, rows and pairs."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tiny_models import tiny_classifier

from bench import registry
from bench.compression.callbacks import Batch
from bench.compression.distillation import look_inside, taught_loss
from bench.compression.losses import distilled_loss, hidden_loss, score_loss, soft_cross_entropy
from bench.models.families import FAMILIES, layers
from bench.testing import Toy, toy_rows
from bench.training.batches import collate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

LENGTHS = (7, 4, 1)


def batch_of(model: PreTrainedModel, padding: int = 0) -> Batch:
    """Three rows of unequal length, with more padding where asked."""
    width = max(LENGTHS) + padding
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 50, (3, max(LENGTHS)), generator=generator)
    ids = torch.nn.functional.pad(ids, (0, padding), value=1)
    mask = (torch.arange(width) < torch.tensor(LENGTHS)[:, None]).long()
    return Batch({"input_ids": ids, "attention_mask": mask}, torch.tensor([0, 1, 2]), np.arange(3))


@pytest.fixture(params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    made = tiny_classifier(request.param)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
    return made


def test_looking_inside_changes_nothing(model: PreTrainedModel) -> None:
    batch = batch_of(model)
    before = model.config._attn_implementation
    plain = model(**batch.inputs, output_hidden_states=True)
    seen = look_inside(model, batch)
    assert model.config._attn_implementation == before
    torch.testing.assert_close(seen.logits, plain.logits)
    assert len(seen.hidden) == 3
    for row, length in enumerate(LENGTHS):
        for ours, theirs in zip(seen.hidden, plain.hidden_states, strict=True):
            torch.testing.assert_close(ours[row, :length], theirs[row, :length])


def test_scores_are_queries_times_keys_over_the_root_of_the_head_size(
    model: PreTrainedModel,
) -> None:
    """From the weights: the input of layer l is the hidden state before it."""
    seen = look_inside(model, batch_of(model))
    for layer, hidden, scores in zip(layers(model), seen.hidden, seen.scores, strict=False):
        for head in range(layer.heads):
            part = slice(head * layer.head_size, (head + 1) * layer.head_size)
            query = hidden @ layer.query.weight[part].T + layer.query.bias[part]
            key = hidden @ layer.key.weight[part].T + layer.key.bias[part]
            wanted = query @ key.transpose(1, 2) / math.sqrt(layer.head_size)
            torch.testing.assert_close(scores[:, head], wanted)


def plain_hidden_loss(one: Any, other: Any, lengths: Sequence[int] = LENGTHS) -> float:
    total = 0.0
    for mine, theirs in zip(one, other, strict=True):
        squares = [
            ((mine[row, i] - theirs[row, i]) ** 2).mean().item()
            for row, length in enumerate(lengths)
            for i in range(length)
        ]
        total += sum(squares) / len(squares)
    return total


def plain_score_loss(one: Any, other: Any, lengths: Sequence[int] = LENGTHS) -> float:
    total = 0.0
    for mine, theirs in zip(one, other, strict=True):
        squares = [
            (mine[row, head, i, j] - theirs[row, head, i, j]).item() ** 2
            for row, length in enumerate(lengths)
            for head in range(mine.shape[1])
            for i in range(length)
            for j in range(length)
        ]
        total += sum(squares) / len(squares)
    return total


def test_losses_are_means_over_real_tokens_and_pairs_whatever_the_padding(
    model: PreTrainedModel,
) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    for padding in (0, 5):
        batch = batch_of(model, padding)
        one, two = look_inside(model, batch), look_inside(other, batch)
        mask = batch.inputs["attention_mask"]
        hidden = hidden_loss(one.hidden, two.hidden, mask).item()
        scores = score_loss(one.scores, two.scores, mask).item()
        assert hidden == pytest.approx(plain_hidden_loss(one.hidden, two.hidden), rel=1e-5)
        assert scores == pytest.approx(plain_score_loss(one.scores, two.scores), rel=1e-5)
        if padding == 0:
            unpadded = hidden, scores
    assert (hidden, scores) == pytest.approx(unpadded, rel=1e-4)


def test_soft_cross_entropy_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[math.log(4), 0.0]])
    # probabilities 1/4, 3/4 and 4/5, 1/5; the mean over two classes
    wanted = -(0.8 * math.log(0.25) + 0.2 * math.log(0.75)) / 2
    assert soft_cross_entropy(student, teacher).item() == pytest.approx(wanted, rel=1e-6)


def test_the_mixed_loss_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, math.log(9)]]), torch.tensor([[math.log(16), 0.0]])
    # at temperature 2: probabilities 1/4, 3/4 and 4/5, 1/5
    divergence = 0.8 * math.log(0.8 / 0.25) + 0.2 * math.log(0.2 / 0.75)
    wanted = 0.1 * -math.log(0.9) + 0.9 * 4 * divergence
    got = distilled_loss(student, teacher, torch.tensor([1]), share=0.9, temperature=2.0)
    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_the_mixed_loss_of_a_regression_by_hand() -> None:
    got = distilled_loss(
        torch.tensor([[1.0], [3.0]]),
        torch.tensor([[2.0], [3.0]]),
        torch.tensor([0.0, 3.0]),
        share=0.75,
        temperature=2.0,
    )
    assert got.item() == pytest.approx(0.25 * 0.5 + 0.75 * 0.5)


@pytest.mark.parametrize("is_regression", [False, True])
def test_the_knowledge_aware_loss_is_the_papers(tmp_path: Path, is_regression: bool) -> None:
    """All layers and the embedding, scores, and soft labels (or the labels of a regression)."""
    toy = Toy(tmp_path, registry.methods.get("knowledge-aware"), 4.0, {})
    run = toy.run(is_regression=is_regression)
    taken: dict[str, Any] = {}
    run.fit = lambda model, **options: taken.update(model=model, **options)  # type: ignore[method-assign]
    method = registry.methods.get("knowledge-aware")
    weights = {"hidden_weight": 2.0, "score_weight": 3.0, "label_weight": 5.0}
    method().compress(run, method.Params(**weights))
    student, teacher = taken["model"].eval(), run.finetuned().eval()
    data = toy_rows(0, is_regression)
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


def test_a_taught_loss_asks_both_models(model: PreTrainedModel) -> None:
    teacher = copy.deepcopy(model).requires_grad_(False)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.1)
    batch = batch_of(model)
    got = taught_loss(teacher, share=0.3, temperature=4.0)(model, batch)
    logits = [m(**batch.inputs).logits for m in (model, teacher)]
    wanted = distilled_loss(*logits, batch.labels, share=0.3, temperature=4.0)
    assert got.item() == pytest.approx(wanted.item())
    got.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None for p in model.parameters())
