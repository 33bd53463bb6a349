"""Losses from tensors, by hand and against plain loops."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import pytest
import torch
from plain_losses import batch_of, plain_hidden_loss, plain_score_loss

from bench.compression.distillation import look_inside
from bench.compression.losses import (
    distilled_loss,
    hidden_loss,
    relation_loss,
    score_loss,
    soft_cross_entropy,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


def test_relations_by_hand() -> None:
    """One head, two real tokens and padding that nobody looks at; its scores say anything."""
    log = math.log
    student = torch.tensor([[[[log(1.0), log(3.0), 9.0], [0.0, 0.0, -9.0], [5.0, 7.0, 1.0]]]])
    teacher = torch.tensor([[[[log(4.0), log(1.0), -7.0], [log(3.0), 0.0, 8.0], [2.0, 0.0, 3.0]]]])
    # rows of probabilities 1/4, 3/4 against 4/5, 1/5, and 1/2, 1/2 against 3/4, 1/4
    first = 0.8 * log(0.8 / 0.25) + 0.2 * log(0.2 / 0.75)
    second = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)
    student.requires_grad_()
    mask = torch.tensor([[1, 1, 0]])
    got = relation_loss([student], [teacher], mask)
    assert got.item() == pytest.approx((first + second) / 2, rel=1e-6)
    twice = relation_loss([student, student], [teacher, student.detach()], mask)
    assert twice.item() == pytest.approx(got.item(), rel=1e-6)  # a relation to itself costs nothing
    got.backward()
    assert student.grad is not None
    padded = student.grad[0, 0]
    assert not padded[2].any()
    assert not padded[:, 2].any()
    # d KL / d score = (student's probability − teacher's) / tokens
    torch.testing.assert_close(padded[0, :2], torch.tensor([0.25 - 0.8, 0.75 - 0.2]) / 2)


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
