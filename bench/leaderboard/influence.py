"""What each example contributes to a score, by the influence functions of `bench.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.metrics import FIGURES

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
        figures: Their names, as `bench.metrics.METRICS` has them.
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
            total[rows] += weight * 100 * FIGURES[name].influence(given, wanted) / len(figures)
    return total
