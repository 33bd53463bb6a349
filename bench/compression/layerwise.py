"""Layers that learn from the teacher's layers which are nearest to them.

That is the layer-wise distillation of CoFi (Xia, Zhong and Chen 2022, arXiv:2204.00408): while
layers go, nobody knows beforehand which of the student's should follow which of the teacher's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from bench.compression.losses import hidden_loss

if TYPE_CHECKING:
    from torch import Tensor


def layerwise_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    mask: Tensor,
    alive: Tensor | None = None,
    *,
    monotone: bool = True,
) -> Tensor:
    """Mean squared difference of each teacher's layer to the student's nearest, summed over them.

    Args:
        student: Hidden states of every layer, mapped to the teacher's width,
            `[rows, pieces, width]`.
        teacher: Hidden states of the teacher's layers that are to be learnt from.
        mask: 1 for real tokens, `[rows, pieces]`.
        alive: The student's layers that may be taken, `[layers]`; all of them by default, or where
            there is none.
        monotone: See `nearest_layers`.
    """
    real = mask.bool()
    with torch.no_grad():
        distances = torch.stack(
            [torch.stack([(t - s)[real].square().mean() for s in student]) for t in teacher]
        )
    nearest = nearest_layers(distances, alive, monotone=monotone)
    return hidden_loss([student[layer] for layer in nearest], teacher, mask)


def nearest_layers(
    distances: Tensor, alive: Tensor | None = None, *, monotone: bool = True
) -> list[int]:
    """The student's layer that each of the teacher's layers teaches.

    Args:
        distances: Of each teacher's layer to each layer of the student, `[teacher's, student's]`.
        alive: The student's layers that may be taken, `[student's]`.
        monotone: Whether a lower layer of the teacher teaches a lower layer, as the authors do for
            small data sets: from the last one on, each takes the nearest below the one before, or
            the same where none is left below. Otherwise each takes the nearest of all.
    """
    if alive is None or not alive.any():
        alive = torch.ones_like(distances[0], dtype=torch.bool)
    allowed = distances.masked_fill(~alive, torch.inf)
    if not monotone:
        return allowed.argmin(dim=1).tolist()
    found: list[int] = []
    for row in allowed.flip(0):
        below = row[: found[-1]] if found else row
        left = bool(below.isfinite().any())
        found.append(int(below.argmin()) if left else found[-1])
    return found[::-1]
