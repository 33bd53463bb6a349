"""Attention and dropout as they are computed here: scores can be had, and masks are drawn fast.

The library's attention falls back to plain products while dropout is on, and torch draws the masks
on a processor one number a weight: a tenth to a fifth of a training step. Here one random number
serves four weights, and the scores before the softmax, which no model hands out by itself, come
back in place of the probabilities.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAME = "bench"
_DRAWS = 2**16
"""Values of the 16 bits that decide on a weight; a probability is rounded to one in so many."""


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Plain attention, as transformers' attention interface calls it.

    Args:
        module: The layer's attention; unused.
        query: `[rows, heads, pieces, head size]`; `key` and `value` likewise.
        key: See `query`.
        value: See `query`.
        attention_mask: What is added to the scores, `[rows, 1, pieces, pieces]`, if anything.
        scaling: Factor of the scores; 1/√(head size) by default.
        dropout: Probability that a weight is dropped; 0 outside training.

    Returns:
        The context, `[rows, pieces, heads, head size]`, and the scores q·k/√d before mask and
        softmax, `[rows, heads, pieces, pieces]`, where the library's own returns probabilities.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query * scaling, key.transpose(2, 3))
    masked = scores if attention_mask is None else scores + attention_mask
    weights = masked.softmax(dim=-1)
    if dropout:
        weights = drop(weights, dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), scores


AttentionInterface.register(_NAME, attention)
AttentionMaskInterface.register(_NAME, eager_mask)


def drop(values: Tensor, probability: float) -> Tensor:
    """Sets each value to 0 with a probability, and scales the others so that the mean stays.

    Args:
        values: Any shape.
        probability: Of a value to be dropped, 0 to less than 1, rounded to a 65,536th.
    """
    if values.device.type != "cpu":
        return nn.functional.dropout(values, probability)
    count = values.numel()
    numbers = torch.empty(math.ceil(count / 4), dtype=torch.int64).random_(-(2**63), None)
    threshold = round(probability * _DRAWS)
    kept = numbers.view(torch.int16)[:count].view(values.shape) >= threshold - _DRAWS // 2
    return values * kept.to(values.dtype).mul_(_DRAWS / (_DRAWS - threshold))


class Dropout(nn.Dropout):
    """Dropout by `drop`."""

    def forward(self, input: Tensor) -> Tensor:
        """Drops values while in training mode."""
        return drop(input, self.p) if self.training and self.p else input


@contextlib.contextmanager
def scores_returned(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block, what the model calls attentions are scores before mask and softmax."""
    before = model.config._attn_implementation
    model.config._attn_implementation = _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


@contextlib.contextmanager
def fast_dropout(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block, a model on the processor draws all its dropout by `drop`."""
    if model.device.type != "cpu":
        yield
        return
    modules = [module for module in model.modules() if type(module) is nn.Dropout]
    for module in modules:
        module.__class__ = Dropout
    try:
        with scores_returned(model):
            yield
    finally:
        for module in modules:
            module.__class__ = nn.Dropout
