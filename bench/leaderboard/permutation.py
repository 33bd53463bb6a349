"""Whether two methods differ by more than a shuffle of their seeds: an exact test, over tasks.

If a method's name changed nothing, the scores of both methods' seeds on a task would be as likely
in any other split among the two (Fisher 1935; Pitman 1937). So names are shuffled within each task,
and the p is the share of all shuffles whose mean difference over tasks is at least as large. No
distribution is assumed: seeds may fall into two groups, and several tasks lend each other power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

Stratum = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""The scores of two methods on one task, equally many, `[seeds]` each."""

STEPS = 1000
"""Scores are rounded to so many steps between the lowest and the highest: then all shuffles can be
counted. The test is exact for the rounded scores."""

MOST_COUNTED = 50
"""Seeds up to which shuffles are counted; with more, their sum is as good as normal."""


def permutation_p(strata: Sequence[Stratum]) -> float:
    """The two-sided p of the hypothesis that the two methods' scores are drawn alike.

    Args:
        strata: The scores of both methods, a task each.
    """
    # Of a task's shuffles the first method's sum says all: the rest has the other. A task with
    # fewer seeds weighs as much as any other.
    scaled = [np.concatenate(pair) / len(pair[0]) for pair in strata]
    lowest = [values.min() for values in scaled]
    step = max(float(np.ptp(values)) for values in scaled) / STEPS
    if step == 0:
        return 1.0
    places = [
        np.rint((values - low) / step).astype(int)
        for values, low in zip(scaled, lowest, strict=True)
    ]
    total = sum(int(values.sum()) for values in places)
    found = sum(int(values[: len(values) // 2].sum()) for values in places)
    distance = abs(2 * found - total)
    if any(len(values) > 2 * MOST_COUNTED for values in places):
        return _normal_p(places, distance)
    shares = _convolved([_shares(values) for values in places])
    far = np.abs(2 * np.arange(len(shares)) - total) >= distance
    return float(min(1.0, shares[far].sum()))


def least_p(seeds: Sequence[int]) -> float:
    """The smallest p that can come out: that of the one shuffle, and of its mirror.

    Args:
        seeds: How many seeds each method has, a task each.
    """
    return 2 / math.prod(math.comb(2 * count, count) for count in seeds)


def _shares(places: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often half of some numbers have each sum, as shares of all halves, `[sums]`."""
    half = len(places) // 2
    size = int(np.sort(places)[half:].sum()) + 1
    counts = np.zeros((half + 1, size))
    counts[0, 0] = 1
    for place in places:
        counts[1:, place:] += counts[:-1, : size - place].copy()
    return np.asarray(counts[half] / math.comb(2 * half, half))


def _convolved(shares: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The shares of each sum over independent tasks."""
    size = sum(len(each) - 1 for each in shares) + 1
    padded = fft.next_fast_len(size, real=True)
    product = math.prod(fft.rfft(each, padded) for each in shares)
    return np.asarray(fft.irfft(product, padded)[:size].clip(min=0))


def _normal_p(places: Sequence[NDArray[np.int64]], distance: int) -> float:
    """The p where the sum of half of all numbers is taken for normal."""
    variance = sum(len(v) / 4 * float(v.var(ddof=1)) for v in places)
    return math.erfc(distance / 2 / math.sqrt(2 * variance))
