"""Losses between hidden states and scores, once more: plain loops over layers, rows and pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.compression.callbacks import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

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
