"""A metric's figures from predictions: an `evaluate.Metric` that needs no network.

`evaluate.load` would download a script for each metric; here the table in `bench.metrics` has them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import evaluate
import numpy as np
from datasets import Features, Value
from numpy.typing import ArrayLike, NDArray

from bench.answers import text_column
from bench.errors import DivergedError, unknown_name
from bench.metrics import FIGURES, METRICS, influence

Column = NDArray[Any]


COLLAPSED = 0.01
"""Standard deviation of a regression's predictions, as a share of the labels', below which a model
gives every row one answer: what correlates then is next to nothing, and may have any sign."""

NORMAL_95 = statistics.NormalDist().inv_cdf(0.975)


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
        predictions: One class number (or, for a regression, one number) a row; of spans a text.
        references: The labels, in the same order; of spans the right texts, none where there is no
            answer.
        parts: The part that each row belongs to, where parts are scored one by one (MNLI).

    Raises:
        BenchError: No such metric.
        DivergedError: A prediction is NaN or infinite.
        ValueError: There are no rows, or not one prediction and one part for each label.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    given, wanted = np.asarray(predictions), np.asarray(references)
    names = np.asarray([""] * len(wanted) if parts is None else parts)
    if not len(given) == len(wanted) == len(names) > 0:
        raise ValueError(f"{len(given)} predictions, {len(wanted)} labels, {len(names)} parts")
    broken = 0 if METRICS[metric].spans else int((~np.isfinite(given)).sum())
    if broken:
        raise DivergedError(f"{broken} of {len(given)} predictions are NaN or infinite.")

    values: dict[str, float] = {}
    notes: list[str] = []
    for part in dict.fromkeys(names.tolist()):
        rows, suffix = names == part, f"_{part}" if part else ""
        for name, value in compute(metric, given[rows], wanted[rows]).items():
            values[name + suffix] = 100 * value
        notes += _notes(metric, suffix, given[rows], wanted[rows])
    return Score(statistics.fmean(values.values()), values, tuple(notes))


@dataclass(frozen=True)
class Difference:
    """How much better some predictions are than others on the same rows, and how sure that is.

    Attributes:
        value: In points of 100.
        half_width: Half of its 95 % interval over draws of rows.
        p: Two-sided, of no difference.
    """

    value: float
    half_width: float
    p: float


def difference(
    metric: str,
    one: ArrayLike,
    other: ArrayLike,
    references: ArrayLike,
    parts: Sequence[str] | None = None,
) -> Difference:
    """Compares two models' predictions of the same rows, row by row.

    The variance is that of each row's influence on the one score less that on the other, and the
    distribution normal: for hundreds of rows, and for these two models alone. What other seeds
    would have given is no part of it.

    Args:
        metric: A key of `METRICS`.
        one: One prediction a row.
        other: Those of the other model, in the same order.
        references: The labels.
        parts: As for `score`.
    """
    wanted, both = np.asarray(references), [np.asarray(one), np.asarray(other)]
    scores = [score(metric, given, wanted, parts).main for given in both]
    figures = METRICS[metric].figures
    effects = [influence(figures, given, wanted, parts) for given in both]
    error = float(np.sqrt(np.sum((effects[0] - effects[1]) ** 2))) / len(wanted)
    value = scores[0] - scores[1]
    if error == 0:
        return Difference(value, 0.0, 1.0 if value == 0 else 0.0)
    return Difference(value, NORMAL_95 * error, math.erfc(abs(value) / error / math.sqrt(2)))


def constant_answers(metric: str, labels: Column, rows: int) -> Column:
    """The best answer that looks at no text: the most frequent class, the mean, or no answer.

    Args:
        metric: A key of `METRICS`.
        labels: Those of training rows, `[training rows]`.
        rows: How many rows to answer.
    """
    if METRICS[metric].spans:
        return text_column([""] * rows)
    is_regression = METRICS[metric].regression
    return np.full(rows, labels.mean() if is_regression else np.bincount(labels).argmax())


def _notes(
    metric: str, suffix: str, given: NDArray[np.generic], wanted: NDArray[np.generic]
) -> Iterator[str]:
    """Says where a figure is not defined and set to 0, and where it is one of rounding."""
    if "f1" in METRICS[metric].figures and not (wanted == 1).any():
        yield f"f1{suffix} set to 0: no row is of class 1"
    if not METRICS[metric].correlates:
        return
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


class OfflineMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """One metric of `METRICS`; its configuration name is the key."""

    def _info(self) -> evaluate.MetricInfo:
        value = Value("float64" if METRICS[self.config_name].regression else "int64")
        return evaluate.MetricInfo(
            description=f"The figures of {self.config_name}, as shares of 1.",
            citation="",
            features=Features({"predictions": value, "references": value}),
        )

    def _build_data_dir(self) -> str:
        """Makes no folder, as evaluate would even where nothing is kept on disk."""
        return str(self._data_dir_root)

    def _compute(self, *, predictions: Column, references: Column) -> dict[str, float]:
        # As lists, for which no format is asked: evaluate's arrays of numbers are of 32 bits.
        given, wanted = np.asarray(predictions), np.asarray(references)
        names = METRICS[self.config_name].figures
        return {name: FIGURES[name].score(given, wanted) for name in names}


def compute(metric: str, predictions: Column, references: Column) -> dict[str, float]:
    """The figures of `metric` by name, as shares of 1.

    Args:
        metric: A key of `METRICS`.
        predictions: Class numbers, scores or texts, shape (rows,).
        references: The labels, same shape.
    """
    if METRICS[metric].spans:  # whose columns no type of evaluate's describes
        return {
            name: FIGURES[name].score(predictions, references) for name in METRICS[metric].figures
        }
    offline = OfflineMetric(metric, keep_in_memory=True)
    figures: dict[str, float] = offline.compute(predictions=predictions, references=references)
    return figures
