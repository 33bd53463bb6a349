"""What a teacher answers, and a student's loss on it."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import pytest
import torch
from plain_losses import LENGTHS, batch_of

from bench.compression.distillation import last_relations, look_inside, taught_loss
from bench.compression.losses import distilled_loss
from bench.models.families import layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


def test_last_relations_are_products_of_queries_keys_and_values(model: PreTrainedModel) -> None:
    """From the weights, head by head; queries with keys are the last layer's scores, too."""
    batch = batch_of(model)
    seen = look_inside(model, batch)
    queries_keys, values = last_relations(model, batch)
    torch.testing.assert_close(queries_keys, seen.scores[-1])
    last, hidden = layers(model)[-1], seen.hidden[-2]
    for head in range(last.heads):
        part = slice(head * last.head_size, (head + 1) * last.head_size)
        value = hidden @ last.value.weight[part].T + last.value.bias[part]
        wanted = value @ value.transpose(1, 2) / math.sqrt(last.head_size)
        torch.testing.assert_close(values[:, head], wanted)
    model.requires_grad_(False)
    assert not any(relation.requires_grad for relation in last_relations(model, batch))


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
