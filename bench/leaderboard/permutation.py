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

TIED = 1e-9
"""What is nearer than this share counts as equal."""


def permutation_p(strata: Sequence[Stratum]) -> float:
    """The two-sided p of the hypothesis that the two methods' scores are drawn alike.

    Args:
        strata: The scores of both methods, a task each.
    """
    leads, variances = [], []
    for pair, (splits, places) in zip(
        strata, _shuffles(tuple(len(first) for first, _ in strata)), strict=True
    ):
        lead, variance = _of_splits(np.concatenate(pair), splits)
        leads.append(lead[places])
        variances.append(variance[places])
    total, error = np.sum(leads, axis=0), np.sum(variances, axis=0)
    # The real order is the first.
    far = total**2 * error[0] >= (1 - TIED) * total[0] ** 2 * error
    return float(np.mean(far))


def least_p(seeds: Sequence[int]) -> float:
    """The smallest p that can come out: that of the real order and, of all shuffles, its mirror.

    Args:
        seeds: How many seeds each method has, a task each.
    """
    count = math.prod(math.comb(2 * each, each) for each in seeds)
    return 2 / count if count <= SHUFFLES else 1 / (SHUFFLES + 1)


def _of_splits(
    scores: NDArray[np.float64], splits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The difference of means in each split of a task's scores, and its variance, `[splits]` each.

    Args:
        scores: Of the first method, then of the second, `[2 seeds]`.
        splits: 1 for what is the first method's, -1 for the rest, `[splits, 2 seeds]`.
    """
    half = len(scores) // 2
    centred = scores - scores.mean()
    lead = splits @ centred / half
    # What lies within the two groups is what does not lie between them.
    whole = float(centred @ centred)
    within = whole - half / 2 * lead**2
    within[within < TIED * whole] = 0.0
    return lead, within / (half * max(1, half - 1))


@functools.lru_cache(maxsize=8)
def _shuffles(seeds: tuple[int, ...]) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
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
            order = frozen.random_sample((SHUFFLES, 2 * n)).argsort(axis=1, kind="stable")
            chosen = np.concatenate([[np.arange(n)], order[:, :n]])
            drawn = np.arange(1, SHUFFLES + 1)
        splits = np.full((len(chosen), 2 * n), -1.0)
        np.put_along_axis(splits, chosen, 1.0, axis=1)
        found.append((splits, np.append(0, drawn) if grid is None else grid[place]))
    return found
