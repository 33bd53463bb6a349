"""The figures that tasks are scored by.

What each metric is stands here as data and imports nothing heavy; `bench.scoring` computes it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import DivergedError, unknown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


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

COLLAPSED = 0.01
"""Standard deviation of a regression's predictions, as a share of the labels', below which a model
gives every row one answer: what correlates then is next to nothing, and may have any sign."""


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


@dataclass(frozen=True)
class Score:
    """How good predictions are.

    Attributes:
        main: The figure that ranks: the mean of `figures`.
        figures: Every figure by name, 0 to 100 (−100 to 100 for correlations); with parts, each
            name ends in its part (`accuracy_matched`).
        notes: What a reader of the figures must know, one line each.
    """

    main: float
    figures: dict[str, float]
    notes: tuple[str, ...] = ()


def score(
    metric: str,
    predictions: ArrayLike,
    references: ArrayLike,
    parts: Sequence[str] | None = None,
) -> Score:
    """Compares predictions with labels.

    Args:
        metric: A key of `METRICS`.
        predictions: One class number (or, for a regression, one number) a row.
        references: The labels, in the same order.
        parts: The part that each row belongs to, where parts are scored one by one (MNLI).

    Raises:
        BenchError: No such metric.
        DivergedError: A prediction is NaN or infinite.
        ValueError: There are no rows, or not one prediction and one part for each label.
    """
    import numpy as np

    from bench import scoring

    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    given, wanted = np.asarray(predictions), np.asarray(references)
    names = np.asarray([""] * len(wanted) if parts is None else parts)
    if not len(given) == len(wanted) == len(names) > 0:
        raise ValueError(f"{len(given)} predictions, {len(wanted)} labels, {len(names)} parts")
    broken = int((~np.isfinite(given)).sum())
    if broken:
        raise DivergedError(f"{broken} of {len(given)} predictions are NaN or infinite.")

    values: dict[str, float] = {}
    notes: list[str] = []
    for part in dict.fromkeys(names.tolist()):
        rows, suffix = names == part, f"_{part}" if part else ""
        for name, value in scoring.compute(metric, given[rows], wanted[rows]).items():
            values[name + suffix] = 100 * value
        if METRICS[metric].correlates:
            notes += _notes(metric, suffix, given[rows], wanted[rows])
    return Score(statistics.fmean(values.values()), values, tuple(notes))


def _notes(
    metric: str, suffix: str, given: NDArray[np.generic], wanted: NDArray[np.generic]
) -> Iterator[str]:
    """Says where a correlation is not defined and set to 0, and where it is one of rounding."""
    names = " and ".join(name + suffix for name in METRICS[metric].figures)
    for what, column in (("predictions", given), ("labels", wanted)):
        if (column == column[0]).all():
            yield f"{names} set to 0: all {what} are equal"
    differ = given.min() < given.max()
    if METRICS[metric].regression and differ and given.std() < COLLAPSED * wanted.std():
        yield (
            f"{names} of a collapsed model, whose predictions spread less than "
            f"{100 * COLLAPSED:g} % as far as the labels"
        )
