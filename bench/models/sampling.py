"""Drawing pieces from what a language model says."""

from __future__ import annotations

import torch
from torch import Tensor

TOP_P = 0.9
"""The paper's p of nucleus sampling (Holtzman et al., 2020, arXiv:1904.09751), at temperature 1."""


def nucleus(logits: Tensor, draw: torch.Generator, top_p: float = TOP_P) -> Tensor:
    """Draws a piece from the smallest set of the likeliest ones that hold a share of all chance.

    Args:
        logits: `[rows, pieces]`; at least one of a row is finite.
        draw: A generator on the processor, whatever computes the logits.
        top_p: The share.

    Returns:
        Numbers of pieces, `[rows]`.
    """
    chances, pieces = logits.float().softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    before = chances.cumsum(dim=-1) - chances
    kept = torch.where(before < top_p, chances, 0.0).cumsum(dim=-1)
    point = torch.rand(len(logits), 1, generator=draw).to(logits.device) * kept[:, -1:]
    place = (kept <= point).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return pieces.gather(-1, place).squeeze(-1)
