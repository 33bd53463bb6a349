"""From a wanted compression ratio to what a method has to keep.

A ratio is dense ÷ compressed on one axis: prunable weights, FLOPs of one example, or bytes of the
file. What a method is asked for is the largest model whose ratio is not below the wanted one;
rounding never costs it.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, get_args

from bench.compression.units import VALUE, Axis, cost_of, unit_costs
from bench.errors import BenchError, UnreachableError, unknown_name
from bench.models.families import Mask, Shape, family_of, reshaped, shape_of
from bench.protocol import SEQUENCE_LENGTH

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from bench.compression.units import UnitCosts
    from bench.models.footprint import Counts


Kind = Literal["reference", "unstructured", "structured", "small"]


@dataclass(frozen=True)
class Target:
    """A wanted compression.

    Attributes:
        axis: What the ratio is counted in.
        ratio: Dense ÷ compressed; 1 asks for no compression.
        sequence_length: Tokens of the one example that FLOPs are counted for.

    Raises:
        BenchError: The axis is unknown, the ratio is not a finite number of at least 1, or the
            sequence length is not positive.
    """

    axis: Axis
    ratio: float
    sequence_length: int = SEQUENCE_LENGTH

    def __post_init__(self) -> None:
        if self.axis not in get_args(Axis):
            raise unknown_name("axis", self.axis, get_args(Axis))
        if not (math.isfinite(self.ratio) and self.ratio >= 1):
            raise BenchError(f"a ratio is a finite number of at least 1, not {self.ratio}.")
        if self.sequence_length < 1:
            raise BenchError(f"a sequence has at least 1 token, not {self.sequence_length}.")

    def density(self, model: PreTrainedModel) -> float:
        """The share of `model`'s prunable weights that zeros alone have to leave.

        `keep_counts` turns it into a number of weights for each matrix without missing the ratio.

        Args:
            model: A model in the reference's shape; its own zeros play no part.

        Raises:
            UnreachableError: Zeros alone cannot reach the ratio on this model.
        """
        from bench.models.footprint import count_dense

        dense = count_dense(model)
        return self.keep(dense) / dense.weights

    def keep(self, dense: Counts) -> int:
        """The largest number of prunable weights with which zeros alone reach the ratio.

        Args:
            dense: Counts of the reference.

        Raises:
            UnreachableError: The ratio would leave less than one weight a matrix.
        """
        if self.ratio == 1:
            return dense.weights
        fixed, a_weight = _zeros_costs(dense, self.axis, self.sequence_length)
        keep = min(dense.weights, (self._allowed(dense) - fixed) // a_weight)
        if keep < dense.matrices:
            best = _best_of_zeros(dense, self.axis, self.sequence_length)
            kept = _STAYS[self.axis]
            raise UnreachableError(
                f"zeros alone reach {best:,.2f}× on {self.axis} at most{kept}, "
                f"not the wanted {self.ratio:g}×.",
                best,
            )
        return keep

    def shape(self, config: PretrainedConfig, layers: int, *, mask: Mask | None = None) -> Shape:
        """The small dense model that is nearest to the ratio without missing it.

        The heads are as many as the encoder's and the width is a multiple of them, the one at which
        the encoder's own proportion of neurons to width comes nearest; the neurons then make up the
        rest. Nothing becomes larger than the encoder's own.

        Args:
            config: The reference, a classifier.
            layers: Layers of the small model.
            mask: That of the mask attention in each of them, if there is any.

        Raises:
            UnreachableError: Even the narrowest model of so many layers is too large.
        """
        from bench.models.footprint import count_dense

        encoder, dense = shape_of(config), count_dense(config)
        wanted, kind = self._allowed(dense), _kind(config, mask)

        @functools.cache
        def cost(width: int, neurons: int) -> int:
            small = reshaped(kind, Shape(layers, width, encoder.heads, neurons))
            return cost_of(count_dense(small), self.axis, self.sequence_length)

        def proportional(width: int) -> Fraction:
            return Fraction(cost(width, max(1, round(width * encoder.neurons / encoder.width))))

        widths = list(range(encoder.heads, encoder.width + 1, encoder.heads))
        if family_of(config).embedding_projection and config.embedding_size in widths[:-1]:
            widths.remove(config.embedding_size)  # at which there would be no projection to fill
        if cost(widths[0], 1) > wanted:
            best = cost_of(dense, self.axis, self.sequence_length) / cost(widths[0], 1)
            raise UnreachableError(
                f"{layers} layers reach {best:,.2f}× on {self.axis} at most, "
                f"not the wanted {self.ratio:g}×.",
                best,
            )
        fitting = bisect.bisect_right(widths, wanted, key=proportional)
        near = [widths[i] for i in (fitting - 1, fitting) if 0 <= i < len(widths)]
        width = min(
            (width for width in near if cost(width, 1) <= wanted),
            key=lambda width: abs(proportional(width) - wanted),
        )
        one, a_neuron = cost(width, 1), cost(width, 2) - cost(width, 1)
        if self.axis == "bytes":  # of a file whose size goes in steps of 8
            a_neuron = VALUE * layers * (2 * width + 1)
        neurons = min(encoder.neurons, 1 + int((wanted - one) // a_neuron))
        while cost(width, neurons) > wanted:  # a header grows with the numbers in it
            neurons -= 1
        return Shape(layers, width, encoder.heads, neurons)

    def heads_and_neurons(self, config: PretrainedConfig) -> tuple[int, int]:
        """How many heads and neurons of all layers may stay, as many of each as their share.

        Args:
            config: The reference, a classifier.

        Returns:
            Heads and neurons, over all layers. One head stays as long as it fits: without any, no
            piece would know of another.

        Raises:
            UnreachableError: Not even a single neuron fits.
        """
        from bench.models.footprint import count_dense

        encoder, dense = shape_of(config), count_dense(config)
        costs = unit_costs(config, dense, self.axis, self.sequence_length)
        head, neuron, fixed = costs.at_width(encoder.width, encoder.layers)
        all_heads, all_neurons = encoder.layers * encoder.heads, encoder.layers * encoder.neurons
        left = self._allowed(dense) - fixed
        if left < neuron:
            best = cost_of(dense, self.axis, self.sequence_length) / (fixed + neuron)
            raise UnreachableError(
                f"a single neuron and no head reach {best:,.2f}× on {self.axis} at most, "
                f"not the wanted {self.ratio:g}×.",
                best,
            )
        share = left / (all_heads * head + all_neurons * neuron)
        heads = min(max(1, round(share * all_heads)), int((left - neuron) // head))
        neurons = int((left - heads * head) // neuron)
        if neurons > all_neurons:
            neurons = all_neurons
            heads = min(all_heads, int((left - neurons * neuron) // head))
        return heads, neurons

    def structure_budget(self, config: PretrainedConfig) -> tuple[UnitCosts, int, int]:
        """What units of a structure cost, and what those that stay may cost together.

        Args:
            config: The reference, a classifier.

        Returns:
            The costs of a unit, what is allowed, and what the reference costs.

        Raises:
            UnreachableError: Not even a single neuron and a single hidden dimension fit.
        """
        from bench.models.footprint import count_dense

        dense = count_dense(config)
        costs = unit_costs(config, dense, self.axis, self.sequence_length)
        whole, allowed = cost_of(dense, self.axis, self.sequence_length), self._allowed(dense)
        if costs.least > allowed:
            raise UnreachableError(
                f"a single neuron and hidden dimension reach {whole / costs.least:,.2f}× on "
                f"{self.axis} at most, not the wanted {self.ratio:g}×.",
                whole / costs.least,
            )
        return costs, int(allowed), whole

    def _allowed(self, dense: Counts) -> Fraction:
        """What a model may cost on the axis; the ratio as it was written: 2.2 is 11/5."""
        return cost_of(dense, self.axis, self.sequence_length) / Fraction(str(self.ratio))


def best_ratio(
    kind: Kind,
    config: PretrainedConfig,
    axis: Axis,
    sequence_length: int = SEQUENCE_LENGTH,
    *,
    cuts_width: bool = False,
    mask_attention: bool = False,
) -> float:
    """The largest ratio that a kind of method can reach on a model, as counting tells.

    Args:
        kind: What a method removes.
        config: The reference, a classifier.
        axis: What the ratio is counted in.
        sequence_length: Tokens of the example that FLOPs are counted for.
        cuts_width: Whether a structured one removes layers and hidden dimensions, too.
        mask_attention: Whether the layers of a small one begin with mask attention.

    Returns:
        1 for a reference; for zeros alone, the ratio with one weight left in each matrix; with
        heads and neurons gone, that of a single neuron in all, of the encoder's width or of 1; for
        a small model, that of the default depth with heads of width 1 and one neuron a layer.
    """
    from bench.models.footprint import count_dense

    if kind == "reference":
        return 1.0
    dense = count_dense(config)
    whole = cost_of(dense, axis, sequence_length)
    if kind == "small":
        heads = shape_of(config).heads
        least = Shape(default_depth(config), width=heads, heads=heads, neurons=1)
        small = reshaped(_kind(config, "learnt" if mask_attention else None), least)
        return whole / cost_of(count_dense(small), axis, sequence_length)
    if kind == "structured":
        costs = unit_costs(config, dense, axis, sequence_length)
        if cuts_width:
            return whole / costs.least
        shape = shape_of(config)
        _, neuron, fixed = costs.at_width(shape.width, shape.layers)
        return whole / (fixed + neuron)
    return _best_of_zeros(dense, axis, sequence_length)


def small_config(
    target: Target, config: PretrainedConfig, layers: int, *, mask: Mask | None = None
) -> PretrainedConfig:
    """The configuration of the small dense model that `Target.shape` describes.

    Raises:
        UnreachableError: As `Target.shape`.
    """
    kind = _kind(config, mask)
    small: PretrainedConfig = reshaped(kind, target.shape(config, layers, mask=mask))
    return small


def _kind(config: PretrainedConfig, mask: Mask | None) -> PretrainedConfig:
    """What a small model is, in the encoder's own shape."""
    if mask is None:
        return config
    from bench.models.mask_attention import mask_attention_config

    return mask_attention_config(config, mask)


def default_depth(config: PretrainedConfig) -> int:
    """Layers of a small model: the whole number nearest two thirds of the encoder's, at least 2."""
    layers = int(config.num_hidden_layers)
    return min(layers, max(2, (4 * layers + 3) // 6))


def keep_counts(sizes: Sequence[int], density: float, *, least: int = 1) -> list[int]:
    """Divides the weights that `density` leaves over matrices, in proportion to their sizes.

    The counts sum exactly to `density` × all weights, rounded to the nearest whole number so that
    `Target.density` gives back the number that it was made from; the largest remainders get what
    the fractions leave over.

    Args:
        sizes: Number of weights of each matrix.
        density: Share to keep, from 0 to 1.
        least: What a matrix keeps at least: 1, so that none loses its last weight, or 0.

    Returns:
        Number of weights to keep in each matrix.
    """
    total, filled = sum(sizes), sum(size > 0 for size in sizes)
    keep = max(round(total * density), least * filled)
    counts = [keep * size // max(total, 1) for size in sizes]
    remainders = [keep * size % max(total, 1) for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: remainders[i], reverse=True)
    for i in by_remainder[: keep - sum(counts)]:
        counts[i] += 1
    for i, size in enumerate(sizes):
        if size and counts[i] < least:
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    return counts


def parse_ratio(text: str) -> float:
    """A ratio from the command line.

    Raises:
        BenchError: It is not a finite number greater than 1.
    """
    try:
        return check_ratio(float(text), text)
    except ValueError:
        return check_ratio(math.nan, text)


def check_ratio(ratio: float, said: str | None = None) -> float:
    """A wanted compression, checked.

    Args:
        ratio: The number.
        said: How it was said, if not as a number.

    Raises:
        BenchError: It is not a finite number greater than 1.
    """
    known = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    if not (known and math.isfinite(ratio) and ratio > 1):
        text = ratio if said is None else said
        raise BenchError(f"'{text}' is no ratio: it must be a finite number greater than 1.")
    return float(ratio)


def _best_of_zeros(dense: Counts, axis: Axis, sequence_length: int) -> float:
    """The ratio that zeros alone reach, with one weight left in each matrix."""
    fixed, a_weight = _zeros_costs(dense, axis, sequence_length)
    return cost_of(dense, axis, sequence_length) / (fixed + a_weight * dense.matrices)


_STAYS = {
    "weights": "",
    "flops": " (attention products and head stay)",
    "bytes": " (embeddings, head and bitmaps stay)",
}
"""What zeros do not take away."""


def _zeros_costs(dense: Counts, axis: Axis, sequence_length: int) -> tuple[int, int]:
    """What stays when all prunable weights are zero but no head is gone, and what one costs."""
    a_weight = {"weights": 1, "flops": 2 * sequence_length, "bytes": VALUE}[axis]
    added = dense.bitmap_bytes if axis == "bytes" else 0
    return cost_of(dense, axis, sequence_length) + added - a_weight * dense.weights, a_weight
