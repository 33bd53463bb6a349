"""What each example contributes to a score: the influence functions of the metrics' figures.

With ψᵢ the influence of example i, the score's variance over draws of n examples is Σψᵢ² / n² up to
terms of order 1/n²: the infinitesimal jackknife (Jaeckel 1972; Efron 1982, ch. 6), which leaves out
examples one by one without computing the figure n times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[Any]


def influence(
    figures: Sequence[str],
    predictions: Column,
    references: Column,
    parts: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """The influence of every example on a score: the mean of some figures.

    Args:
        figures: Their names, as `bench.data.metrics.METRICS` has them.
        predictions: One class number (or, for a regression, one number) a row, `[rows]`.
        references: The labels, `[rows]`.
        parts: The part that each row is scored in, where parts are scored one by one.

    Returns:
        In points of 100, `[rows]`; their mean is zero.
    """
    names = np.asarray([""] * len(references) if parts is None else parts)
    groups = np.unique(names)
    total = np.zeros(len(references))
    for group in groups:
        rows = names == group
        weight = len(names) / rows.sum() / len(groups)
        given, wanted = np.asarray(predictions)[rows], np.asarray(references)[rows]
        for name in figures:
            total[rows] += weight * 100 * _INFLUENCE[name](given, wanted) / len(figures)
    return total


def _accuracy(given: Column, wanted: Column) -> Column:
    right = (given == wanted).astype(float)
    return np.asarray(right - right.mean())


def _f1(given: Column, wanted: Column) -> Column:
    return _f1_of(given == 1, wanted == 1)


def _macro_f1(given: Column, wanted: Column) -> Column:
    return np.asarray(np.mean([_f1_of(given == c, wanted == c) for c in np.unique(wanted)], axis=0))


def _f1_of(given: Column, wanted: Column) -> Column:
    """F = 2a / (2a + b) of a class, a the share of true positives and b that of errors."""
    hits, errors = given & wanted, given != wanted
    a, b = hits.mean(), errors.mean()
    whole = 2 * a + b
    if whole == 0:
        return np.zeros(len(given))
    return np.asarray((2 * b * (hits - a) - 2 * a * (errors - b)) / whole**2)


def _matthews(given: Column, wanted: Column) -> Column:
    """The correlation of the two indicator matrices, for any number of classes."""
    classes = np.unique(np.concatenate([given, wanted]))
    x, y = (np.equal.outer(column, classes).astype(float) for column in (given, wanted))
    p, t = x.mean(axis=0), y.mean(axis=0)
    both = (x * y).sum(axis=1)
    return _ratio(
        both.mean() - p @ t,
        both - both.mean() - (x - p) @ t - (y - t) @ p,
        1 - p @ p,
        -2 * (x - p) @ p,
        1 - t @ t,
        -2 * (y - t) @ t,
    )


def _pearson(given: Column, wanted: Column) -> Column:
    if np.ptp(given) == 0 or np.ptp(wanted) == 0:  # rounding would leave a little of it
        return np.zeros(len(given))
    x, y = given - np.mean(given), wanted - np.mean(wanted)
    covariance, x2, y2 = (x * y).mean(), (x * x).mean(), (y * y).mean()
    return _ratio(covariance, x * y - covariance, x2, x * x - x2, y2, y * y - y2)


def _spearman(given: Column, wanted: Column) -> Column:
    """Pearson's of the mean ranks, plus what an example does to the ranks of the others."""
    x, y = _distribution(given), _distribution(wanted)
    u, v = x(None) - 0.5, y(None) - 0.5
    covariance, u2, v2 = (u * v).mean(), (u * u).mean(), (v * v).mean()
    return _ratio(
        covariance,
        u * v - covariance + x(v) + y(u) - 2 * covariance,
        u2,
        u * u - u2 + 2 * (x(u) - u2),
        v2,
        v * v - v2 + 2 * (y(v) - v2),
    )


def _distribution(values: Column) -> Callable[[Column | None], Column]:
    """Gives each example's place in the distribution, ties half, or a mean over those above it.

    Called with `None`: the share of examples below it and half of those equal to it. Called with
    weights that sum to zero: the mean over examples of the weights of those above it, those equal
    to it half.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)

    def at(weights: Column | None) -> Column:
        if weights is None:
            return np.asarray(((np.cumsum(counts) - counts / 2) / len(values))[place])
        sums = np.bincount(place, weights=weights, minlength=len(counts))
        return np.asarray(((sums.sum() - np.cumsum(sums) + sums / 2) / len(values))[place])

    return at


def _ratio(c: float, dc: Column, a: float, da: Column, b: float, db: Column) -> Column:
    """The influence on c / √(ab), given those on c, a and b; zero where it is not defined."""
    if a <= 0 or b <= 0:
        return np.zeros(len(dc))
    root = np.sqrt(a * b)
    return np.asarray(dc / root - c / root / 2 * (da / a + db / b))


_INFLUENCE: dict[str, Callable[[Column, Column], Column]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
