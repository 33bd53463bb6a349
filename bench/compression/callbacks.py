"""What a method sees of a training: batches, its loss, and a callback at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.models.footprint import TRAINED_PASS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Batch:
    """Rows padded to the longest of them.

    Attributes:
        inputs: `input_ids`, `attention_mask` and, where the model has segments, `token_type_ids`,
            each `[rows, pieces]`.
        labels: Class numbers or figures, `[rows]`; of spans the first and the last piece,
            `[rows, 2]`.
        rows: Row numbers in the training split, `[rows]`.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    rows: NDArray[np.int64]


Loss = Callable[["PreTrainedModel", Batch], Tensor]
"""From a model in training mode and a batch to a scalar."""


@dataclass
class Training:
    """A training in progress, as callbacks see it.

    Attributes:
        model: The model, trained in place.
        optimizer: Its optimizer; a callback may add groups of its own parameters in `start`, whose
            gradients are clipped together with the model's.
        total_steps: Optimizer steps of the whole training.
        step: Optimizer steps that have been made.
        loss: The loss of the last of them.
        visits: How often each row has been trained on, `[rows]`.
        passes: Forward and backward passes that a step makes.
        drawn_flops: FLOPs that went into drawing what its input was replaced by.
    """

    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    total_steps: int
    step: int = 0
    loss: float = 0.0
    visits: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    passes: int = 1
    drawn_flops: int = 0

    def cost(self, forward: int) -> int:
        """FLOPs of the training.

        Args:
            forward: Those of one forward pass over each row as often as it was visited.
        """
        return self.passes * TRAINED_PASS * forward + self.drawn_flops


class Callback:
    """What a method does beside the optimizer; override what is needed.

    A gradient may be read on either side of the clip: as the backward pass left it in
    `before_step`, as the optimizer applied it in `after_step`.
    """

    def start(self, training: Training) -> None:
        """Before the first step."""

    def before_step(self, training: Training) -> None:
        """When the gradients of a step are there, before they are clipped and applied.

        What changes here is clipped and applied.
        """

    def after_step(self, training: Training) -> None:
        """When the weights have moved; `training.step` counts this step already.

        The gradients that moved them are still there, clipped.
        """

    def forward_flops(self, lengths: NDArray[np.int64]) -> int:
        """FLOPs beside the model's own of a forward pass over rows of so many pieces."""
        return 0
