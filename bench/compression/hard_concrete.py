"""Hard-concrete gates (Louizos, Welling and Kingma 2018, arXiv:1712.01312).

A gate z from 0 to 1 is a stretched and clipped concrete variable

    s = σ((log u − log(1 − u) + log α) / β), u uniform,   z = min(1, max(0, s · (r − l) + l)),

so that it is exactly 0 or exactly 1 with a probability, which has a gradient in log α.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETA = 2 / 3
"""Temperature β of the concrete variable."""

LOW, HIGH = -0.1, 1.1
"""l and r, between which it is stretched."""

EPSILON = 1e-6
"""How near the uniform draw comes to 0 and 1, where its logarithms would be infinite."""


def drawn(log_alpha: Tensor) -> Tensor:
    """Gates drawn from torch's generator, one a value; the gradient goes through the draw."""
    uniform = torch.empty_like(log_alpha).uniform_(EPSILON, 1 - EPSILON)
    noise = uniform.log() - (-uniform).log1p()
    return _clipped(((noise + log_alpha) / BETA).sigmoid())


def settled(log_alpha: Tensor) -> Tensor:
    """Gates without a draw, as a trained model uses them: z at s = σ(log α)."""
    return _clipped(log_alpha.sigmoid())


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(z > 0) = σ(log α − β log(−l / r)): the sum of it over gates is their expected L0."""
    return (log_alpha - BETA * math.log(-LOW / HIGH)).sigmoid()


def _clipped(concrete: Tensor) -> Tensor:
    return (concrete * (HIGH - LOW) + LOW).clamp(0, 1)
