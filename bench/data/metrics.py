"""The figures that tasks are scored by.

What each metric is stands here as data and imports nothing heavy; `bench.training.scoring`
computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import unknown_name


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """What a metric consists of and what it fits.

    Attributes:
        figures: Names of its figures; their mean is the main figure, as GLUE averages them.
        regression: Whether it compares numbers rather than classes.
        binary: Whether it needs exactly two classes.
        correlates: Whether its figures say nothing about constant predictions or labels.
    """

    figures: tuple[str, ...]
    regression: bool = False
    binary: bool = False
    correlates: bool = False


METRICS: dict[str, MetricInfo] = {
    "accuracy": MetricInfo(figures=("accuracy",)),
    "accuracy_f1": MetricInfo(figures=("accuracy", "f1"), binary=True),
    "f1": MetricInfo(figures=("f1",), binary=True),
    "macro_f1": MetricInfo(figures=("macro_f1",)),
    "matthews": MetricInfo(figures=("matthews",), correlates=True),
    "pearson_spearman": MetricInfo(
        figures=("pearson", "spearman"), regression=True, correlates=True
    ),
}
"""Every metric that a task may name.

F1 is that of class 1; macro F1 is the mean over the classes that the labels have, so that no answer
changes what another is scored by.
"""


def misfit(metric: str, labels: Sequence[str] | None) -> str:
    """Why a metric cannot score a task, or nothing.

    Args:
        metric: A key of `METRICS`.
        labels: Class names; `None` for a regression.
    """
    if metric not in METRICS:
        return str(unknown_name("metric", metric, METRICS)).rstrip(".")
    if METRICS[metric].regression != (labels is None):
        return f"metric {metric} does not fit {'a regression' if labels is None else 'classes'}"
    if METRICS[metric].binary and labels is not None and len(labels) != 2:
        several = "; macro_f1 is the mean over any number" if metric == "f1" else ""
        return f"metric {metric} needs two classes, not {len(labels)}{several}"
    return ""
