"""Labelled rows from another domain, by feature augmentation of the head (EasyAdapt).

Daumé III (ACL 2007), as Bai, Ritter and Xu (EMNLP 2021, arXiv:2109.04711) put it on one encoder: of
a pooled state h the head sees [a_source·h ; a_target·h ; a_general·h] with a = (1, 0, α) for rows
of the other domain and (0, 1, 1) for the task's own, α = 1. A linear layer on three copies is three
layers on one, of which each row takes two. The delivered head is that of the task's own rows: the
sum of the two that they take, as wide as the encoder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.models.families import family_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.data.encoded import Encoded

Seen = Callable[["NDArray[np.int64]"], AbstractContextManager[None]]
"""Has a head know, inside a block, which rows it is shown."""


class EasyAdaptHead(nn.Linear):
    """The last layer of a classification head while it learns from two domains.

    Its own weights are the general ones. Rows of which it is told nothing, as in evaluation, are
    the task's own.

    Args:
        plain: The layer that it stands for; its weights become the general ones, and the two of
            the domains begin at zero.
    """

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__(plain.in_features, plain.out_features)
        self.weight, self.bias = plain.weight, plain.bias
        self.source = nn.Parameter(torch.zeros_like(plain.weight))
        self.target = nn.Parameter(torch.zeros_like(plain.weight))
        self.foreign: Tensor | None = None

    def forward(self, states: Tensor) -> Tensor:
        """Logits, `[rows, labels]`, of pooled states, `[rows, width]`."""
        logits = super().forward(states) + nn.functional.linear(states, self.target)
        if self.foreign is None:
            return logits
        moved = nn.functional.linear(states, self.source - self.target)
        return logits + moved * self.foreign[:, None]

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """A plain layer that gives the same logits to rows of the task's own."""
        plain = nn.Linear(self.in_features, self.out_features).to(self.weight.device)
        plain.weight.copy_(self.weight + self.target)
        plain.bias.copy_(self.bias)
        return plain


@contextlib.contextmanager
def adapted(model: PreTrainedModel, data: Encoded) -> Iterator[Seen]:
    """Has a head learn from two domains inside the block, where rows are of two.

    Args:
        model: A classifier, whose head is a plain one again afterwards.
        data: The rows.
    """
    foreign = data.foreign
    if foreign is None:
        yield lambda rows: contextlib.nullcontext()
        return
    parent, _, name = family_of(model).head[-1].rpartition(".")
    place = model.get_submodule(parent)
    head = EasyAdaptHead(place.get_submodule(name))  # type: ignore[arg-type]  # a linear layer
    setattr(place, name, head)

    @contextlib.contextmanager
    def seen(rows: NDArray[np.int64]) -> Iterator[None]:
        head.foreign = torch.from_numpy(foreign[rows]).to(head.weight.device, head.weight.dtype)
        try:
            yield
        finally:
            head.foreign = None

    try:
        yield seen
    finally:
        setattr(place, name, head.folded().train(place.training))
