"""Learnt masks of blocks and whole neurons, which leave heads empty (Lagunas et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.compression.movement import MovementPruner
from bench.models.families import MATRICES, layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Training
    from bench.compression.masks import CubicSchedule
    from bench.models.families import Layer

BLOCK = 32
"""Rows and columns of a block of attention, at most."""

ATTENTION = MATRICES[:4]
"""The matrices that have blocks."""


class BlockMovementPruner(MovementPruner):
    """Movement pruning with one score a block of attention, and one a neuron (arXiv:2109.04838).

    A block belongs to one head: it has `BLOCK` rows and columns, or the largest divisors of it that
    divide the head's size and the width, too. A neuron has the same score in both matrices. The
    gradient of a score is the sum over its weights of what `MovementPruner` takes for theirs.

    A head is empty where all blocks of its values, or of its outputs, are masked. The blocks with
    the highest scores of all layers stay, so many that at the end of the schedule as many heads as
    wanted are not empty; until then the share of other blocks that stay, too, falls along the cubic
    schedule. So does the number of neurons.

    Args:
        model: The model that is trained.
        heads: How many heads stay in the end, over all layers.
        neurons: How many neurons stay, over all layers.
        score_learning_rate: Peak rate of the scores, which follow the weights' schedule.
        schedule: When blocks and neurons go, and how fast.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        heads: int,
        neurons: int,
        score_learning_rate: float = 1e-2,
        schedule: CubicSchedule | None = None,
    ) -> None:
        # At a density of 0 the schedule says what share of the way is still to go.
        super().__init__(
            model, density=0.0, score_learning_rate=score_learning_rate, schedule=schedule
        )
        self.heads = heads
        self.neurons = neurons

    @torch.no_grad()
    def fill(self) -> tuple[list[list[int]], list[list[int]]]:
        """Gives the masked weights back, and says which heads and neurons are to stay.

        Returns:
            Their numbers in each layer, as `bench.cut` takes them.
        """
        for name, linear in self._masks.linears.items():
            linear.weight.copy_(self._dense[name])
        return _best(self._head_values(), self.heads), _best(self._neuron_scores(), self.neurons)

    def _no_scores(self) -> dict[str, Tensor]:
        """Scores of zero, those of neurons by the name of their intermediate matrix."""
        scores = {}
        for layer, names in self._layers():
            for matrix in ATTENTION:
                weight, (rows, columns) = self._dense[names[matrix]], _block(layer, matrix)
                shape = weight.shape[0] // rows, weight.shape[1] // columns
                scores[names[matrix]] = weight.new_zeros(shape)
            neurons = self._dense[names["intermediate"]]
            scores[names["intermediate"]] = neurons.new_zeros(len(neurons))
        return scores

    def _learn(self, moved: Mapping[str, Tensor]) -> None:
        """Sums the gradients of the weights that share a score."""
        for layer, names in self._layers():
            for matrix in ATTENTION:
                rows, columns = _block(layer, matrix)
                blocks = moved[names[matrix]].unflatten(1, (-1, columns)).unflatten(0, (-1, rows))
                self.scores[names[matrix]].grad = blocks.sum(dim=(1, 3))
            both = moved[names["intermediate"]].sum(dim=1) + moved[names["output"]].sum(dim=0)
            self.scores[names["intermediate"]].grad = both

    def _choose(self, training: Training) -> None:
        """Keeps the highest scores of blocks and of neurons, so many as the schedule says."""
        self._now = self._cuts.get(training.step, self._now)
        if self._now == 1:
            return
        values = self._head_values().flatten().sort(descending=True).values
        empty = values[self.heads] if self.heads < len(values) else -torch.inf
        blocks = torch.cat([self.scores[names[matrix]].detach().flatten()
                            for _, names in self._layers() for matrix in ATTENTION])  # fmt: skip
        edge = _edge(blocks, int((blocks > empty).sum()), self._now)
        neuron_edge = _edge(self._neuron_scores().flatten(), self.neurons, self._now)
        kept = self._masks.kept
        for layer, names in self._layers():
            for matrix in ATTENTION:
                rows, columns = _block(layer, matrix)
                mask = self.scores[names[matrix]] >= edge
                kept[names[matrix]] = mask.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
            mask = self.scores[names["intermediate"]] >= neuron_edge
            for matrix in ("intermediate", "output"):
                rows_or_columns = mask[:, None] if matrix == "intermediate" else mask
                kept[names[matrix]] = rows_or_columns.expand_as(kept[names[matrix]])

    def _head_values(self) -> Tensor:
        """The score below which a head would be empty, `[layers, heads]`."""
        found = []
        for layer, names in self._layers():
            value, output = (
                self.scores[names[matrix]].detach() for matrix in ("value", "attention_output")
            )
            by_head = value.view(layer.heads, -1), output.T.reshape(layer.heads, -1)
            found.append(by_head[0].amax(dim=1).minimum(by_head[1].amax(dim=1)))
        return torch.stack(found)

    def _neuron_scores(self) -> Tensor:
        """Those of all layers, `[layers, neurons]`."""
        return torch.stack([self.scores[n["intermediate"]].detach() for _, n in self._layers()])

    def _layers(self) -> Iterator[tuple[Layer, dict[str, str]]]:
        """Every layer with the names of its matrices within the model."""
        names = iter(self._masks.linears)
        for layer in layers(self.model):
            yield layer, {matrix: next(names) for matrix in MATRICES}


def _block(layer: Layer, matrix: str) -> tuple[int, int]:
    """Rows and columns of a block of a matrix."""
    within = math.gcd(BLOCK, layer.head_size)
    across = math.gcd(BLOCK, layer.query.in_features)
    return (across, within) if matrix == "attention_output" else (within, across)


def _edge(scores: Tensor, least: int, share: float) -> Tensor:
    """The lowest score that stays, where `least` stay and this share of the others."""
    count = least + round((len(scores) - least) * share)
    return scores.sort(descending=True).values[count - 1] if count else scores.max() + 1


def _best(values: Tensor, count: int) -> list[list[int]]:
    """The places of the highest values in each row, so many over all rows."""
    kept = torch.zeros_like(values, dtype=torch.bool)
    kept.view(-1)[values.flatten().argsort(descending=True, stable=True)[:count]] = True
    return [row.nonzero().flatten().tolist() for row in kept]
