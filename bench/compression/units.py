"""What the units of an encoder's structure cost: layers, heads, neurons and hidden dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.models.families import shape_of
from bench.models.heads import marks_spans

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from bench.models.footprint import Counts


Axis = Literal["weights", "flops", "bytes"]
"""What a ratio is counted in: prunable weights, FLOPs of one example, or bytes of the file with
values of 16 bits, embeddings included, which is the compact file where zeros are left out."""

VALUE = 2
"""Bytes of a value."""


@dataclass(frozen=True, kw_only=True)
class UnitCosts:
    """What each unit costs on an axis; a matrix costs as many units as its two sides' product.

    Attributes:
        fixed: What stays when everything else is gone.
        dimension: A hidden dimension alone: of embeddings, their projection, and the head.
        layer_dimension: A layer's share in a hidden dimension beside its heads and neurons.
        head: A head alone.
        head_dimension: A head's share in a hidden dimension.
        neuron: A neuron alone.
        neuron_dimension: A neuron's share in a hidden dimension.
    """

    fixed: int
    dimension: int
    layer_dimension: int
    head: int
    head_dimension: int
    neuron: int
    neuron_dimension: int

    @property
    def least(self) -> int:
        """What a model of a single neuron and a single hidden dimension costs."""
        return int(self.total(width=1, layers=1, heads=0, neurons=1))

    def at_width(self, width: int, layers: int) -> tuple[int, int, int]:
        """What a head and a neuron cost, and what stays when so many layers have lost them all."""
        return (
            self.head + self.head_dimension * width,
            self.neuron + self.neuron_dimension * width,
            int(self.total(width=width, layers=layers, heads=0, neurons=0)),
        )

    def total(self, *, width: Any, layers: Any, heads: Any, neurons: Any) -> Any:
        """What a model costs, or what it is expected to cost.

        Args:
            width: Hidden dimensions that are left: a whole number, or an array or tensor of them;
                or the number that is expected, where that is independent of the other three.
            layers: Layers that have any head or neuron left.
            heads: Heads that are left, over all layers.
            neurons: Neurons that are left, over all layers.
        """
        a_dimension = (
            self.dimension
            + self.layer_dimension * layers
            + self.head_dimension * heads
            + self.neuron_dimension * neurons
        )
        return self.fixed + self.head * heads + self.neuron * neurons + a_dimension * width


def cost_of(counts: Counts, axis: Axis, sequence_length: int) -> int:
    """What a counted model costs on an axis."""
    if axis == "bytes":
        return counts.bytes
    return counts.weights if axis == "weights" else counts.flops(sequence_length)


def unit_costs(
    config: PretrainedConfig, dense: Counts, axis: Axis, sequence_length: int
) -> UnitCosts:
    """What the units of a model with a head cost.

    On bytes the header of the file counts as it is for the whole model: that of a smaller one is
    never longer.

    Args:
        config: The uncompressed model's.
        dense: Its counts.
        axis: What is counted.
        sequence_length: Tokens of the one example that FLOPs are counted for.
    """
    shape = shape_of(config)
    size = shape.width // shape.heads
    spans = marks_spans(config)  # their head has two outputs on each token; a classifier's first
    outputs = (
        int(config.num_labels or 0) if spans else shape.width
    )  # layer is square, and on one token
    projected = dense.projection_weights // shape.width  # embeddings with a width of their own
    if axis == "weights":
        costs = {"head_dimension": 4 * size, "neuron_dimension": 2}
    elif axis == "flops":
        costs = {
            "dimension": 2
            * (outputs * (sequence_length if spans else 1) + sequence_length * projected),
            "head": 4 * sequence_length**2 * size,
            "head_dimension": 2 * sequence_length * 4 * size,
            "neuron_dimension": 2 * sequence_length * 2,
        }
    else:  # biases of query, key and value, and of the neuron, go with them; the rest with layers
        embedded = projected + 1 if projected else dense.embedding_parameters // shape.width
        costs = {
            "dimension": VALUE * (outputs + embedded),
            "layer_dimension": VALUE * 6,
            "head": VALUE * 3 * size,
            "head_dimension": VALUE * 4 * size,
            "neuron": VALUE,
            "neuron_dimension": VALUE * 2,
        }
    names = ("dimension", "layer_dimension", "head", "head_dimension", "neuron", "neuron_dimension")
    units = UnitCosts(fixed=0, **{name: costs.get(name, 0) for name in names})
    whole = units.total(
        width=shape.width,
        layers=shape.layers,
        heads=shape.layers * shape.heads,
        neurons=shape.layers * shape.neurons,
    )
    return UnitCosts(
        fixed=cost_of(dense, axis, sequence_length) - whole,
        **{name: getattr(units, name) for name in names},
    )
