"""Which units of an encoder stay, chosen by their values so that a target is met exactly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.models.cut import cut

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from bench.compression.target import Target
    from bench.compression.units import UnitCosts


@dataclass(frozen=True)
class Structure:
    """What stays of an encoder: True for each unit that does.

    A layer without heads and neurons goes whole.

    Attributes:
        heads: `[layers, heads]`.
        neurons: `[layers, neurons]`.
        dimensions: Of the hidden states, `[width]`.
    """

    heads: Tensor
    neurons: Tensor
    dimensions: Tensor

    @property
    def layers(self) -> Tensor:
        """The layers that stay, `[layers]`."""
        return self.heads.any(dim=1) | self.neurons.any(dim=1)

    def cut(self, model: PreTrainedModel) -> PreTrainedModel:
        """A copy of a classifier with these units alone; see `bench.cut`."""
        stay = _places(self.layers)
        return cut(
            model,
            [_places(self.heads[layer]) for layer in stay],
            [_places(self.neurons[layer]) for layer in stay],
            stay=stay,
            dimensions=None if self.dimensions.all() else _places(self.dimensions),
        )

    def __str__(self) -> str:
        heads, neurons = (
            " + ".join(map(str, units.sum(dim=1).tolist())) for units in (self.heads, self.neurons)
        )
        return f"width {int(self.dimensions.sum())}, heads {heads}, neurons {neurons}"


def _places(kept: Tensor) -> list[int]:
    return kept.nonzero().flatten().tolist()


def most_valuable(
    heads: Tensor, neurons: Tensor, dimensions: Tensor, target: Target, config: PretrainedConfig
) -> Structure:
    """The units of the highest values with which a model meets a target; not one more would fit.

    Units are taken in the order of their values, as long as all of them fit. What is then left of
    the budget goes to those that still fit, in the same order: first where a layer has heads or
    neurons already, then elsewhere.

    Args:
        heads: Values, `[layers, heads]`; of equal ones the first stays.
        neurons: The same, `[layers, neurons]`.
        dimensions: The same, `[width]`.
        target: What has to be met.
        config: The uncompressed classifier's.

    Raises:
        UnreachableError: Not even a single neuron and hidden dimension fit.
    """
    costs, allowed, _ = target.structure_budget(config)
    budget = _Budget(costs, allowed, [heads, neurons, dimensions[None]])
    for kind in (DIMENSION, NEURON):  # without either there is no model
        budget.take(next(unit for unit in budget.order if unit[0] == kind))
    rest = [unit for unit in budget.order if not budget.kept[unit[0]][unit[1:]]]
    taken = sum(1 for _ in itertools.takewhile(budget.take, rest))
    for unit in sorted(rest[taken:], key=budget.is_elsewhere):
        budget.take(unit)
    kept_heads, kept_neurons, kept_dimensions = (part.to(heads.device) for part in budget.kept)
    return Structure(kept_heads, kept_neurons, kept_dimensions[0])


HEAD, NEURON, DIMENSION = range(3)

Unit = tuple[int, int, int]
"""Its kind, its layer, 0 for a hidden dimension, and its number there."""


class _Budget:
    """Units that were taken, and what they cost together.

    Attributes:
        order: All units, those of the highest values first.
        kept: What was taken of each kind, in the shapes of the values.
    """

    def __init__(self, costs: UnitCosts, allowed: int, values: Sequence[Tensor]) -> None:
        self.kept = [torch.zeros_like(part, dtype=torch.bool, device="cpu") for part in values]
        units = [
            (kind, *divmod(place, part.shape[1]))
            for kind, part in enumerate(values)
            for place in range(part.numel())
        ]
        flat = torch.cat([part.detach().cpu().double().flatten() for part in values])
        self.order: list[Unit] = [
            units[place] for place in flat.argsort(descending=True, stable=True).tolist()
        ]
        self._costs, self._allowed = costs, allowed
        self._taken = [0, 0, 0]
        self._places: list[frozenset[int]] = [frozenset()] * 3

    def take(self, unit: Unit) -> bool:
        """Takes a unit where it fits, and says whether it did."""
        kind, layer, number = unit
        taken, places = [*self._taken], [*self._places]
        taken[kind] += 1
        places[kind] |= {layer}
        cost = self._costs.total(
            width=taken[DIMENSION],
            layers=len(places[HEAD] | places[NEURON]),
            heads=taken[HEAD],
            neurons=taken[NEURON],
        )
        if cost > self._allowed:
            return False
        self._taken, self._places = taken, places
        self.kept[kind][layer, number] = True
        return True

    def is_elsewhere(self, unit: Unit) -> bool:
        """Whether nothing of its kind was taken in its layer."""
        return unit[1] not in self._places[unit[0]]
