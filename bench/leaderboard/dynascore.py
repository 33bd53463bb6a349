"""The Dynascore of Dynaboard (Ma et al. 2021, arXiv:2106.06052): figures of several units in one.

Models are sorted by their performance. Between neighbours, a metric changes by so much for each
point of performance; the mean of these rates is the metric's marginal rate of substitution. A
metric divided by it is in points, and a reader's weights add up to a score. The rates change when a
model joins: the order is a view, never a rank.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

LEAST_STEP = 1e-4
"""Share of the highest performance by which neighbours differ, or their rate says nothing."""


def exchanged(
    performance: Sequence[float], metrics: Mapping[str, Sequence[float | None]]
) -> dict[str, list[float | None]]:
    """Metrics in points of performance.

    Args:
        performance: Of each model, higher is better.
        metrics: By name, of each model in the same order, higher is better; `None` where a model's
            is not known, which then has no part in the metric's rate.

    Returns:
        By name, of each model. A metric without a rate is left out: one that is equal for all, or
        where no two models differ in performance.
    """
    found = {}
    for name, values in metrics.items():
        known = [(p, v) for p, v in zip(performance, values, strict=True) if v is not None]
        if rate := _rate(known):
            found[name] = [None if value is None else value / rate for value in values]
    return found


def _rate(points: Sequence[tuple[float, float]]) -> float | None:
    """A metric's mean change for a point of performance; `None` where no neighbours tell."""
    ordered = sorted(points)
    least = LEAST_STEP * max((performance for performance, _ in ordered), default=0.0)
    rates = [
        abs(above[1] - below[1]) / (above[0] - below[0])
        for below, above in itertools.pairwise(ordered)
        if above[0] - below[0] > least
    ]
    return statistics.fmean(rates) if rates else None
