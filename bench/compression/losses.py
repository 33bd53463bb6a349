"""Losses from tensors: to labels, to a teacher's soft labels, hidden states, scores and relations.

Every mean is taken over real tokens and real query–key pairs, so that padding changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.models.heads import logits_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch


NEVER = -1e9
"""The logit of what cannot be: a large number, whose difference to itself is none, unlike ∞'s."""


def logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """What a model's head says of a batch, from one pass; see `logits_from`."""
    return logits_from(model(**batch.inputs), batch)


def logits_from(output: Any, batch: Batch) -> Tensor:
    """What a model's head has said of a batch, in fp32.

    Args:
        output: What the model has returned.
        batch: What it was given.

    Returns:
        `[rows, classes]`, or `[rows, 1]` for a regression. Of a model that marks spans
        `[rows, 2, pieces]`: where they begin, then where they end; never in padding.
    """
    found = logits_of(output).float()
    if found.dim() == 2:
        return found
    return found.masked_fill(~batch.inputs["attention_mask"].bool().unsqueeze(1), NEVER)


def task_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """The task's own loss, without a teacher; see `label_loss`."""
    return label_loss(logits(model, batch), batch.labels)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over classes, or mean squared error for a regression.

    The two ends of a span are told among the pieces, and the loss is the mean of theirs.

    Args:
        logits: `[rows, classes]`, `[rows, 1]` for a regression, `[rows, 2, pieces]` for spans.
        labels: Class numbers (whole numbers) or figures (floating point), `[rows]`; the first and
            the last piece of spans, `[rows, 2]`.
    """
    if labels.is_floating_point():
        return nn.functional.mse_loss(logits.squeeze(-1), labels)
    return nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy to the teacher's probabilities, the mean over rows and classes.

    The mean over classes is that of the released code of TinyBERT (arXiv:1909.10351) and of
    knowledge-aware pruning (arXiv:2104.08682). Over the pieces among which a span is looked for,
    which are more in a longer row, the sum is taken: the mean is over rows and the two ends.

    Args:
        student: Logits, `[rows, classes]`, or `[rows, 2, pieces]` for spans.
        teacher: The same shape.
    """
    terms = -(teacher.softmax(dim=-1) * student.log_softmax(dim=-1))
    return terms.mean() if terms.dim() == 2 else terms.sum(dim=-1).mean()


def distilled_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, *, share: float, temperature: float
) -> Tensor:
    """The task's own loss mixed with what a teacher answers (Hinton et al. 2015, arXiv:1503.02531).

    (1 − share) · loss to the labels + share · T² · KL(teacher ‖ student) at temperature T; for a
    regression the second term is the mean squared difference to the teacher's answer.

    Args:
        student: Logits, `[rows, classes]`, `[rows, 1]` for a regression, or `[rows, 2, pieces]` for
            spans, of whose two ends the mean is taken.
        teacher: The same shape.
        labels: Class numbers or figures, `[rows]`, or the ends of spans, `[rows, 2]`.
        share: Weight of the teacher, 0–1.
        temperature: Divides both logits.
    """
    if labels.is_floating_point():
        taught = nn.functional.mse_loss(student, teacher)
    else:
        own, wanted = (
            (found / temperature).log_softmax(dim=-1).flatten(0, -2) for found in (student, teacher)
        )
        divergence = nn.functional.kl_div(own, wanted, reduction="batchmean", log_target=True)
        taught = temperature**2 * divergence
    return (1 - share) * label_loss(student, labels) + share * taught


def hidden_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Mean squared difference of hidden states over real tokens, summed over layers.

    Args:
        student: One tensor a layer, `[rows, pieces, width]`.
        teacher: The same shapes.
        mask: 1 for real tokens, `[rows, pieces]`.
    """
    real = mask.bool()
    pairs = zip(student, teacher, strict=True)
    return torch.stack([nn.functional.mse_loss(s[real], t[real]) for s, t in pairs]).sum()


def score_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Mean squared difference of attention scores over real pairs and heads, summed over layers.

    Args:
        student: One tensor a layer, `[rows, heads, pieces, pieces]`.
        teacher: The same shapes.
        mask: 1 for real tokens, `[rows, pieces]`.
    """
    weights = (mask[:, None, :, None] * mask[:, None, None, :]).to(student[0].dtype)
    pairs = weights.sum() * student[0].shape[1]
    differences = [
        ((s - t).square() * weights).sum() for s, t in zip(student, teacher, strict=True)
    ]
    return torch.stack(differences).sum() / pairs


def relation_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Divergence of how tokens relate to one another (Wang et al. 2020, arXiv:2002.10957).

    A token's scores with all real tokens make a distribution by their softmax; the loss is
    KL(teacher ‖ student), its mean over heads and real tokens, summed over the kinds of relation.

    Args:
        student: One tensor a kind of relation, `[rows, heads, pieces, pieces]`.
        teacher: The same shapes.
        mask: 1 for real tokens, `[rows, pieces]`.
    """
    real = mask.bool()
    padding = ~real[:, None, None, :]
    divergences = []
    for own, wanted in zip(student, teacher, strict=True):
        log_own, log_wanted = (s.masked_fill(padding, NEVER).log_softmax(-1) for s in (own, wanted))
        by_pair = nn.functional.kl_div(log_own, log_wanted, reduction="none", log_target=True)
        divergences.append(by_pair.sum(dim=-1).transpose(1, 2)[real].mean())
    return torch.stack(divergences).sum()
