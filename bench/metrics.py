"""Every metric that a task may name, and every figure that one consists of: a table each.

A figure stands in one place: how it is computed, and what each example contributes to it. The
latter is its influence function ψ: the score's variance over draws of n examples is Σψᵢ² / n² up to
terms of order 1/n², the infinitesimal jackknife (Jaeckel 1972; Efron 1982, ch. 6), which leaves out
examples one by one without computing the figure n times.

Columns are numpy arrays of one class number (or, for a regression, one number) an example,
`[examples]`; of spans, of a text an example, and of the right texts. Figures are written out here,
because a page computes them anew for every record.
Nothing heavy is imported before a figure is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.answers import exact_match, token_f1
from bench.errors import unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[Any]


SPAN_LABELS = ("begin", "end")
"""What a task that looks for spans calls its labels: two pieces of a text."""


@dataclass(frozen=True)
class Figure:
    """One number that says how good predictions are.

    Attributes:
        score: From predictions and labels to a share of 1 (−1 to 1 for a correlation).
        influence: From the same to each example's influence on the score, `[examples]`; its mean is
            zero.
    """

    score: Callable[[Column, Column], float]
    influence: Callable[[Column, Column], Column]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a metric consists of and what it fits.

    Attributes:
        figures: Names of its figures; their mean is the main figure, as GLUE averages them.
        regression: Whether it compares numbers rather than classes.
        binary: Whether it needs exactly two classes.
        correlates: Whether its figures say nothing about constant predictions or labels.
        spans: Whether it compares texts, of which several may be right.
    """

    figures: tuple[str, ...]
    regression: bool = False
    binary: bool = False
    correlates: bool = False
    spans: bool = False


def objection(metric: str, labels: Sequence[str] | None) -> str:
    """Why a metric cannot score a task, or nothing.

    Args:
        metric: A key of `METRICS`.
        labels: Class names; `None` for a regression.
    """
    if metric not in METRICS:
        return str(unknown_name("metric", metric, METRICS)).rstrip(".")
    if METRICS[metric].regression != (labels is None):
        return f"metric {metric} does not fit {'a regression' if labels is None else 'classes'}"
    if METRICS[metric].spans and tuple(labels or ()) != SPAN_LABELS:
        return f"metric {metric} is of spans, whose labels are {' and '.join(SPAN_LABELS)}"
    if METRICS[metric].binary and labels is not None and len(labels) != 2:
        several = "; macro_f1 is the mean over any number" if metric == "f1" else ""
        return f"metric {metric} needs two classes, not {len(labels)}{several}"
    return ""


def figure_of(name: str) -> str:
    """The figure that a score is of, whose name may end in the part that it was scored on.

    Raises:
        KeyError: It is of none that there is.
    """
    found = [figure for figure in FIGURES if name == figure or name.startswith(f"{figure}_")]
    if not found:
        raise KeyError(name)
    return max(found, key=len)


def metric_of(scores: Iterable[str]) -> Metric | None:
    """The metric whose figures some scores are; `None` where there is none.

    Args:
        scores: Names, each of which may end in the part that it was scored on.
    """
    figures = set(map(figure_of, scores))
    return next((one for one in METRICS.values() if set(one.figures) == figures), None)


def influence(
    figures: Sequence[str],
    predictions: Column,
    references: Column,
    parts: Sequence[str] | None = None,
) -> Column:
    """The influence of every example on a score: the mean of some figures.

    Args:
        figures: Their names, as `METRICS` has them.
        predictions: One class number (or, for a regression, one number) a row, `[rows]`.
        references: The labels, `[rows]`.
        parts: The part that each row is scored in, where parts are scored one by one.

    Returns:
        In points of 100, `[rows]`; their mean is zero.
    """
    import numpy as np

    names = np.zeros(len(references)) if parts is None else np.asarray(parts)
    groups = np.unique(names)
    total = np.zeros(len(references))
    for group in groups:
        rows = names == group
        weight = len(names) / rows.sum() / len(groups)
        given, wanted = np.asarray(predictions)[rows], np.asarray(references)[rows]
        for name in figures:
            total[rows] += weight * 100 * FIGURES[name].influence(given, wanted) / len(figures)
    return total


def worth_of_each(metric: str, given: Column, wanted: Column) -> Column:
    """What each answer is worth by itself, `[examples]`, where figures are means over examples.

    Args:
        metric: A key of `METRICS`, such as one of spans.
        given: The answers, `[examples]`.
        wanted: What is right, `[examples]`.
    """
    import numpy as np

    figures = [FIGURES[name] for name in METRICS[metric].figures]
    each = [one.influence(given, wanted) + one.score(given, wanted) for one in figures]
    return np.asarray(np.mean(each, axis=0))


def _accuracy(given: Column, wanted: Column) -> float:
    return float((given == wanted).mean())


def _accuracy_influence(given: Column, wanted: Column) -> Column:
    import numpy as np

    right = (given == wanted).astype(float)
    return np.asarray(right - right.mean())


def _f1(given: Column, wanted: Column) -> float:
    return _mean_f1(given, wanted, [1])


def _f1_influence(given: Column, wanted: Column) -> Column:
    return _f1_influence_of(given == 1, wanted == 1)


def _macro_f1(given: Column, wanted: Column) -> float:
    import numpy as np

    return _mean_f1(given, wanted, np.unique(wanted).tolist())


def _macro_f1_influence(given: Column, wanted: Column) -> Column:
    import numpy as np

    each = [_f1_influence_of(given == one, wanted == one) for one in np.unique(wanted)]
    return np.asarray(np.mean(each, axis=0))


def _mean_f1(given: Column, wanted: Column, classes: Sequence[int]) -> float:
    import numpy as np

    each = []
    for one in classes:
        answered, true = given == one, wanted == one
        count = int(answered.sum()) + int(true.sum())
        each.append(2 * int((answered & true).sum()) / count if count else 0.0)
    return float(np.mean(each))


def _f1_influence_of(given: Column, wanted: Column) -> Column:
    """F = 2a / (2a + b) of a class, a the share of true positives and b that of errors."""
    import numpy as np

    hits, errors = given & wanted, given != wanted
    a, b = hits.mean(), errors.mean()
    whole = 2 * a + b
    if whole == 0:
        return np.zeros(len(given))
    return np.asarray((2 * b * (hits - a) - 2 * a * (errors - b)) / whole**2)


def _matthews(given: Column, wanted: Column) -> float:
    """Of any number of classes (Gorodkin 2004), in whole numbers up to the division; else 0."""
    import numpy as np

    rows, hits = len(wanted), int((given == wanted).sum())
    _, codes = np.unique(np.concatenate([wanted, given]), return_inverse=True)
    true, answered = (np.bincount(c, minlength=codes.max() + 1) for c in np.split(codes, 2))
    spread = (rows**2 - int(true @ true)) * (rows**2 - int(answered @ answered))
    return (hits * rows - int(true @ answered)) / math.sqrt(spread) if spread else 0.0


def _matthews_influence(given: Column, wanted: Column) -> Column:
    """The correlation of the two indicator matrices, for any number of classes."""
    import numpy as np

    classes = np.unique(np.concatenate([given, wanted]))
    x, y = (np.equal.outer(column, classes).astype(float) for column in (given, wanted))
    p, t = x.mean(axis=0), y.mean(axis=0)
    both = (x * y).sum(axis=1)
    return _ratio_influence(
        both.mean() - p @ t,
        both - both.mean() - (x - p) @ t - (y - t) @ p,
        1 - p @ p,
        -2 * (x - p) @ p,
        1 - t @ t,
        -2 * (y - t) @ t,
    )


def _pearson(given: Column, wanted: Column) -> float:
    """0 where one side is constant, since it is not defined there."""
    import numpy as np

    if np.ptp(wanted) == 0 or np.ptp(given) == 0:
        return 0.0
    return float(np.clip(_unit(wanted) @ _unit(given), -1, 1))


def _unit(values: Column) -> Column:
    """Centred and of length 1; scaled on the way, so that no square is too large for a float."""
    import numpy as np

    centred = values - values.mean()
    most = np.abs(centred).max()
    return np.asarray(centred / (most * np.sqrt(np.sum((centred / most) ** 2))))


def _pearson_influence(given: Column, wanted: Column) -> Column:
    import numpy as np

    if np.ptp(given) == 0 or np.ptp(wanted) == 0:  # rounding would leave a little of it
        return np.zeros(len(given))
    x, y = given - np.mean(given), wanted - np.mean(wanted)
    covariance, x2, y2 = (x * y).mean(), (x * x).mean(), (y * y).mean()
    return _ratio_influence(covariance, x * y - covariance, x2, x * x - x2, y2, y * y - y2)


def _spearman(given: Column, wanted: Column) -> float:
    """Pearson's of the ranks; 0 where one side is constant."""
    import numpy as np

    if np.ptp(wanted) == 0 or np.ptp(given) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(wanted), _ranks(given))[0, 1])


def _ranks(values: Column) -> Column:
    """From 1; those that are equal share their mean."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def _spearman_influence(given: Column, wanted: Column) -> Column:
    """Pearson's of the mean ranks, plus what an example does to the ranks of the others."""
    x, y = _distribution(given), _distribution(wanted)
    u, v = x(None) - 0.5, y(None) - 0.5
    covariance, u2, v2 = (u * v).mean(), (u * u).mean(), (v * v).mean()
    return _ratio_influence(
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
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)

    def at(weights: Column | None) -> Column:
        if weights is None:
            return np.asarray(((np.cumsum(counts) - counts / 2) / len(values))[place])
        sums = np.bincount(place, weights=weights, minlength=len(counts))
        return np.asarray(((sums.sum() - np.cumsum(sums) + sums / 2) / len(values))[place])

    return at


def _ratio_influence(c: float, dc: Column, a: float, da: Column, b: float, db: Column) -> Column:
    """The influence on c / √(ab), given those on c, a and b; zero where it is not defined."""
    import numpy as np

    if a <= 0 or b <= 0:
        return np.zeros(len(dc))
    root = np.sqrt(a * b)
    return np.asarray(dc / root - c / root / 2 * (da / a + db / b))


def _mean_of(of_one: Callable[[str, Sequence[str]], float]) -> Figure:
    """The mean over examples of what each answer is worth by itself."""

    def each(given: Column, wanted: Column) -> Column:
        import numpy as np

        return np.array([of_one(*pair) for pair in zip(given, wanted, strict=True)])

    def influence(given: Column, wanted: Column) -> Column:
        import numpy as np

        values = each(given, wanted)
        return np.asarray(values - values.mean())

    return Figure(lambda given, wanted: float(each(given, wanted).mean()), influence)


FIGURES = {
    "accuracy": Figure(_accuracy, _accuracy_influence),
    "f1": Figure(_f1, _f1_influence),
    "macro_f1": Figure(_macro_f1, _macro_f1_influence),
    "matthews": Figure(_matthews, _matthews_influence),
    "pearson": Figure(_pearson, _pearson_influence),
    "spearman": Figure(_spearman, _spearman_influence),
    "exact_match": _mean_of(exact_match),
    "token_f1": _mean_of(token_f1),
}
"""Every figure. F1 is that of class 1; macro F1 is the mean over the classes that the labels have,
so that no answer changes what another is scored by. Token F1 is SQuAD's, of an answer's words."""

METRICS = {
    "accuracy": Metric(figures=("accuracy",)),
    "accuracy_f1": Metric(figures=("accuracy", "f1"), binary=True),
    "f1": Metric(figures=("f1",), binary=True),
    "macro_f1": Metric(figures=("macro_f1",)),
    "matthews": Metric(figures=("matthews",), correlates=True),
    "pearson_spearman": Metric(figures=("pearson", "spearman"), regression=True, correlates=True),
    "squad": Metric(figures=("exact_match", "token_f1"), spans=True),
}
"""Every metric that a task may name."""
