"""An encoder with gates on the units of its structure, in place and without a wrapper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.compression.structure import Structure
from bench.models.families import embedding_projection, embeddings, layer_modules, layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.models.families import Layer

Forward = Callable[[Tensor], Tensor]
Weights = Callable[[], tuple[Tensor, Tensor]]
"""Weight and bias of a module with the gates multiplied in."""


@dataclass(frozen=True)
class Gates:
    """A number a unit, from 0 for one that is gone to 1; or what such a number is made from.

    Attributes:
        attention: Of a layer's whole attention, `[layers]`.
        heads: Of its heads, `[layers, heads]`.
        feed_forward: Of a layer's whole feed-forward part, `[layers]`.
        neurons: Of its neurons, `[layers, neurons]`.
        dimensions: Of the hidden dimensions, the same for all layers, `[width]`.
    """

    attention: Tensor
    heads: Tensor
    feed_forward: Tensor
    neurons: Tensor
    dimensions: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Gates:
        """A function of each of the five."""
        return Gates(*(function(part) for part in self.parts))

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All five, in order."""
        return (self.attention, self.heads, self.feed_forward, self.neurons, self.dimensions)

    @property
    def structure(self) -> Structure:
        """The units that are not gone."""
        return Structure(
            (self.attention > 0)[:, None] & (self.heads > 0),
            (self.feed_forward > 0)[:, None] & (self.neurons > 0),
            self.dimensions > 0,
        )


class Gated:
    """Lets a model run with gates, until it is told to keep them.

    What a head or neuron hands on is multiplied by its gate and that of its part, the bias behind
    by that of the part alone. Hidden dimensions are multiplied where they have been normalised,
    and normalised without those that are gone. A layer in which no head and no neuron is left
    hands on what it is given. So the model answers as the one that `Structure.cut` makes of it.

    Args:
        model: The model; some of its modules compute something else meanwhile.
        gates: The gates to begin with.
    """

    def __init__(self, model: PreTrainedModel, gates: Gates) -> None:
        self._model = model
        self.use(gates)
        for module, forward, _ in self._sites():
            vars(module)["forward"] = forward

    def use(self, gates: Gates, structure: Structure | None = None) -> None:
        """Takes other gates, from now on.

        Args:
            gates: The gates.
            structure: The units that are left; by default those whose gates are not 0.
        """
        left = structure or gates.structure
        self.structure = left
        self._alive = left.layers.tolist()
        self._places = None if left.dimensions.all() else left.dimensions.nonzero().flatten()
        self._gates = Gates(
            gates.attention * left.layers,  # whose biases go with a whole layer
            gates.heads * left.heads,
            gates.feed_forward * left.layers,
            gates.neurons * left.neurons,
            gates.dimensions * left.dimensions,
        )

    @torch.no_grad()
    def keep(self) -> None:
        """Multiplies the gates into the weights, and leaves the model as it was otherwise."""
        for module, _, weights in self._sites():
            del vars(module)["forward"]
            weight, bias = weights()
            module.weight.copy_(weight)
            module.bias.copy_(bias)

    def _sites(self) -> Iterator[tuple[Any, Forward, Weights]]:
        """Each module that a gate stands at, what it computes, and with which weight and bias."""

        def site(module: Any, weights: Weights, layer: int | None = None) -> Any:
            if isinstance(module, nn.LayerNorm):
                return module, partial(self._normalise, module.eps, weights, layer), weights
            return module, lambda x: F.linear(x, *weights()), weights

        projection = embedding_projection(self._model)
        if projection is not None:
            yield site(projection, partial(self._by_dimension, projection))
        else:
            for norm in _norms(embeddings(self._model)):
                yield site(norm, partial(self._by_dimension, norm))
        for number, layer in enumerate(layers(self._model)):
            yield site(layer.attention_output, partial(self._by_head, layer, number))
            yield site(layer.output, partial(self._by_neuron, layer, number))
            for norm in _norms(layer_modules(self._model)[number]):
                yield site(norm, partial(self._by_dimension, norm), number)

    def _by_head(self, layer: Layer, number: int) -> tuple[Tensor, Tensor]:
        part = self._gates.attention[number]
        units = self._gates.heads[number].repeat_interleave(layer.head_size)
        return layer.attention_output.weight * (part * units), layer.attention_output.bias * part

    def _by_neuron(self, layer: Layer, number: int) -> tuple[Tensor, Tensor]:
        part = self._gates.feed_forward[number]
        return layer.output.weight * (part * self._gates.neurons[number]), layer.output.bias * part

    def _by_dimension(self, module: nn.Linear | nn.LayerNorm) -> tuple[Tensor, Tensor]:
        gates = self._gates.dimensions
        rows = gates[:, None] if module.weight.dim() == 2 else gates
        return module.weight * rows, module.bias * gates

    def _normalise(self, eps: float, weights: Weights, layer: int | None, x: Tensor) -> Tensor:
        if layer is not None and not self._alive[layer]:
            return x
        weight, bias = weights()
        if self._places is None:
            return F.layer_norm(x, weight.shape, weight, bias, eps)
        some = x.index_select(-1, self._places)
        shape = (len(self._places),)
        found = F.layer_norm(some, shape, weight[self._places], bias[self._places], eps)
        return found.new_zeros(x.shape).index_copy(-1, self._places, found)


def _norms(module: nn.Module) -> list[nn.LayerNorm]:
    return [norm for norm in module.modules() if isinstance(norm, nn.LayerNorm)]
