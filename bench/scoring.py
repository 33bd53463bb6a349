"""What `bench.data.metrics` names, computed: an `evaluate.Metric` that needs no network.

`evaluate.load` would download a script for each metric; here scikit-learn and scipy do the work.
Importing `evaluate` brings torch along, so only `bench.data.metrics.score` imports this module.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import evaluate
import numpy as np
from datasets import Features, Value
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn import metrics as sk

from bench.data.metrics import METRICS

Column = NDArray[Any]


def _accuracy(references: Column, predictions: Column) -> float:
    return float(sk.accuracy_score(references, predictions))


def _f1(references: Column, predictions: Column) -> float:
    return _mean_f1(references, predictions, [1])


def _macro_f1(references: Column, predictions: Column) -> float:
    return _mean_f1(references, predictions, np.unique(references))


def _mean_f1(references: Column, predictions: Column, classes: ArrayLike) -> float:
    return float(
        sk.f1_score(references, predictions, labels=classes, average="macro", zero_division=0)
    )


def _matthews(references: Column, predictions: Column) -> float:
    return float(sk.matthews_corrcoef(references, predictions))


def _pearson(references: Column, predictions: Column) -> float:
    return _correlation(stats.pearsonr, references, predictions)


def _spearman(references: Column, predictions: Column) -> float:
    return _correlation(stats.spearmanr, references, predictions)


def _correlation(of: Callable[..., Any], references: Column, predictions: Column) -> float:
    """A correlation; 0 where one side is constant, since it is not defined there."""
    if np.ptp(references) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(of(references, predictions).statistic)


_FIGURES: dict[str, Callable[[Column, Column], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}


class OfflineMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """One metric of `METRICS`; its configuration name is the key."""

    def _info(self) -> evaluate.MetricInfo:
        value = Value("float64" if METRICS[self.config_name].regression else "int64")
        return evaluate.MetricInfo(
            description=f"The figures of {self.config_name}, as shares of 1.",
            citation="",
            features=Features({"predictions": value, "references": value}),
        )

    def _compute(self, *, predictions: Column, references: Column) -> dict[str, float]:
        # As lists, for which no format is asked: evaluate's arrays of numbers are of 32 bits.
        wanted, given = np.asarray(references), np.asarray(predictions)
        return {name: _FIGURES[name](wanted, given) for name in METRICS[self.config_name].figures}


def compute(metric: str, predictions: Column, references: Column) -> dict[str, float]:
    """The figures of `metric` by name, as shares of 1.

    Args:
        metric: A key of `METRICS`.
        predictions: Class numbers or scores, shape (rows,).
        references: The labels, same shape.
    """
    # Even in memory, evaluate makes a cache folder when it is constructed: it gets one to lose.
    with tempfile.TemporaryDirectory() as folder:
        offline = OfflineMetric(metric, keep_in_memory=True, cache_dir=folder)
        figures: dict[str, float] = offline.compute(predictions=predictions, references=references)
    return figures
