"""Whether two methods differ by more than a shuffle of their seeds: a permutation test, over tasks.

If a method's name changed nothing, the scores of both methods' seeds on a task would be as likely
in any other split among the two (Fisher 1935; Pitman 1937). So names are shuffled within each task,
and the p is the share of shuffles in which the mean difference over tasks is at least as large,
measured in its own standard error. Several tasks lend each other power, and no distribution is
assumed: seeds may fall into two groups. The test is exact where the two are drawn alike, and still
right for many seeds where only their averages are equal, thanks to the standard error (Janssen
1997; Chung and Romano 2013).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Stratum = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""The scores of two methods on one task, equally many, `[seeds]` each."""

SHUFFLES = 99_999
"""Up to so many are all counted. Of more, so many are drawn, always the same ones; as the real
order counts as one, the test is exact then, too (Phipson and Smyth 2010)."""

BLOCK = 4096
"""Shuffles that are looked at together."""

TIED = 1e-9
"""What is nearer than this share counts as equal."""


def permutation_p(strata: Sequence[Stratum]) -> float:
    """The two-sided p of the hypothesis that the two methods' scores are drawn alike.

    Args:
        strata: The scores of both methods, a task each.
    """
    return permutation_ps([strata])[0]


def permutation_ps(pairs: Sequence[Sequence[Stratum]]) -> list[float]:
    """The same of many pairs of methods, all with equally many seeds a task.

    Together they take a small part of the time: each shuffle is drawn and read once for all.

    Args:
        pairs: The scores of both methods, a task each, a pair each.
    """
    shuffles = _shuffles(tuple(len(first) for first, _ in pairs[0]))
    pooled = [
        np.stack([np.concatenate(strata[task]) for strata in pairs])
        for task in range(len(shuffles))
    ]
    count, far = len(shuffles[0][1]), np.zeros(len(pairs), dtype=np.int64)
    real: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    for begin in range(0, count, BLOCK):
        total, error = np.zeros((2, min(BLOCK, count - begin), len(pairs)))
        for scores, (splits, places) in zip(pooled, shuffles, strict=True):
            lead, variance = _of_splits(scores, splits[places[begin : begin + BLOCK]])
            total += lead
            error += variance
        real = real or (total[0], error[0])  # the real order is the first
        far += (total**2 * real[1] >= (1 - TIED) * real[0] ** 2 * error).sum(axis=0)
    return [float(share) for share in far / count]


def least_p(seeds: Sequence[int]) -> float:
    """The smallest p that can come out: that of the real order and, of all shuffles, its mirror.

    Args:
        seeds: How many seeds each method has, a task each.
    """
    count = math.prod(math.comb(2 * each, each) for each in seeds)
    return 2 / count if count <= SHUFFLES else 1 / (SHUFFLES + 1)


def _of_splits(
    scores: NDArray[np.float64], splits: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The differences of means in splits of a task's scores, and their variances.

    Args:
        scores: Of the first method, then of the second, `[pairs, 2 seeds]`.
        splits: 1 for what is the first method's, -1 for the rest, `[splits, 2 seeds]`.

    Returns:
        Both `[splits, pairs]`.
    """
    half = scores.shape[1] // 2
    centred = scores - scores.mean(axis=1, keepdims=True)
    lead = splits.astype(np.float64) @ centred.T / half
    # What lies within the two groups is what does not lie between them.
    whole = (centred**2).sum(axis=1)
    within = whole - half / 2 * lead**2
    within[within < TIED * whole] = 0.0
    return lead, within / (half * max(1, half - 1))


@functools.lru_cache(maxsize=8)
def _shuffles(seeds: tuple[int, ...]) -> list[tuple[NDArray[np.int8], NDArray[np.int64]]]:
    """Splits of each task, and which of them make a shuffle of all tasks, the real order first.

    Args:
        seeds: How many seeds each method has, a task each.

    Returns:
        A task each: splits, `[splits, 2 seeds]`, and places among them, `[shuffles]`.
    """
    counts = [math.comb(2 * n, n) for n in seeds]
    all_of_them = math.prod(counts) <= SHUFFLES
    grid = np.indices(counts).reshape(len(seeds), -1) if all_of_them else None
    frozen = np.random.RandomState(0)
    found = []
    for place, (n, count) in enumerate(zip(seeds, counts, strict=True)):
        if count <= SHUFFLES:
            chosen = np.array(list(itertools.combinations(range(2 * n), n)))
            drawn = frozen.randint(0, count, SHUFFLES)
        else:
            lowest = frozen.random_sample((SHUFFLES, 2 * n)).argpartition(n - 1, axis=1)[:, :n]
            chosen = np.concatenate([[np.arange(n)], lowest])
            drawn = np.arange(1, SHUFFLES + 1)
        splits = np.full((len(chosen), 2 * n), -1, dtype=np.int8)
        np.put_along_axis(splits, chosen, np.int8(1), axis=1)
        found.append((splits, np.append(0, drawn) if grid is None else grid[place]))
    return found
