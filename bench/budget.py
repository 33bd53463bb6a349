"""From a wanted compression ratio to what a method has to keep.

A ratio is dense ÷ compressed on one axis: prunable weights, or FLOPs of one example. What a method
is asked for is the largest model whose ratio is not below the wanted one; rounding never costs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, get_args

from bench.errors import BenchError, UnreachableError, unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.footprint import Counts
    from bench.method import Kind

Axis = Literal["weights", "flops"]
"""What a ratio is counted in: prunable weights, or FLOPs of one example."""

TOLERANCE = 0.98
"""Share of the wanted ratio that a delivered model has to achieve."""


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
    sequence_length: int = 128

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
        from bench.footprint import count_dense

        dense = count_dense(model)
        return self.keep(dense) / dense.weights

    def keep(self, dense: Counts) -> int:
        """The largest number of prunable weights with which zeros alone reach the ratio.

        Args:
            dense: Counts of the reference.

        Raises:
            UnreachableError: The ratio would leave less than one weight a matrix.
        """
        ratio = Fraction(str(self.ratio))  # as it was written: 2.2 is 11/5, not a binary neighbour
        if self.axis == "weights":
            keep = dense.weights // ratio
        else:
            wanted = dense.flops(self.sequence_length) / ratio
            fixed = _flops_without_weights(dense, self.sequence_length)
            keep = (wanted - fixed) // (2 * self.sequence_length)
        if keep < dense.matrices:
            best = best_ratio("unstructured", dense, self.axis, self.sequence_length)
            kept = " (attention products and head stay)" if self.axis == "flops" else ""
            raise UnreachableError(
                f"zeros alone reach {best:,.2f}× on {self.axis} at most{kept}, "
                f"not the wanted {self.ratio:g}×.",
                best,
            )
        return keep


def best_ratio(kind: Kind, dense: Counts, axis: Axis, sequence_length: int = 128) -> float:
    """The largest ratio that a kind of method can reach on a model, as far as counting can tell.

    Args:
        kind: What a method removes.
        dense: Counts of the reference.
        axis: What the ratio is counted in.
        sequence_length: Tokens of the example that FLOPs are counted for.

    Returns:
        1 for a reference; for zeros alone, the ratio with one weight left in each matrix; infinity
        for kinds whose smallest shape only the method knows.
    """
    if kind == "reference":
        return 1.0
    if kind != "unstructured":
        return math.inf
    if axis == "weights":
        return dense.weights / dense.matrices
    left = 2 * sequence_length * dense.matrices
    fixed = _flops_without_weights(dense, sequence_length)
    return dense.flops(sequence_length) / (fixed + left)


def keep_counts(sizes: Sequence[int], density: float) -> list[int]:
    """Divides the weights that `density` leaves over matrices, in proportion to their sizes.

    The counts sum exactly to `density` × all weights, rounded to the nearest whole number so that
    `Target.density` gives back the number that it was made from; the largest remainders get what
    the fractions leave over. No matrix loses its last weight.

    Args:
        sizes: Number of weights of each matrix.
        density: Share to keep, from 0 to 1.

    Returns:
        Number of weights to keep in each matrix.
    """
    total, filled = sum(sizes), sum(size > 0 for size in sizes)
    keep = max(round(total * density), filled)
    counts = [keep * size // max(total, 1) for size in sizes]
    remainders = [keep * size % max(total, 1) for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: remainders[i], reverse=True)
    for i in by_remainder[: keep - sum(counts)]:
        counts[i] += 1
    for i, size in enumerate(sizes):
        if size and not counts[i]:
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    return counts


def meets(achieved: float, wanted: float) -> bool:
    """Whether a delivered model's ratio counts as the wanted one."""
    return achieved >= TOLERANCE * wanted


def parse_ratio(text: str) -> float:
    """A ratio from the command line.

    Raises:
        BenchError: It is not a finite number greater than 1.
    """
    try:
        ratio = float(text)
    except ValueError:
        ratio = math.nan
    if not (math.isfinite(ratio) and ratio > 1):
        raise BenchError(f"'{text}' is no ratio: it must be a finite number greater than 1.")
    return ratio


def _flops_without_weights(dense: Counts, sequence_length: int) -> int:
    """FLOPs that stay when every prunable weight is zero but no head is gone."""
    return dense.flops(sequence_length) - 2 * sequence_length * dense.weights
