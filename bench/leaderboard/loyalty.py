"""How far a compressed model answers as the dense one does (Xu et al. 2021, arXiv:2109.03228).

Label loyalty is the share of examples with the same answer. Probability loyalty is the mean over
examples of 1 − √JSD(p, q), JSD the Jensen-Shannon divergence of both models' probabilities in bits,
so that it is 1 for the same probabilities and 0 for such as exclude each other. A regression has
the Pearson correlation of both models' answers instead, and spans have label loyalty alone, of
texts as SQuAD compares them. Each model is set against the dense one of
its own seed; dense itself against its other seeds, which says how much loyalty is to be had.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.answers import text_column
from bench.leaderboard.markdown import Markdown, pipe, rounded
from bench.leaderboard.templating import render_markdown
from bench.metrics import FIGURES, metric_of
from bench.results.record import dense_of, is_dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.leaderboard.ranking import Row, Standings
    from bench.results.predictions import Predictions, PredictionsOf
    from bench.results.record import Record


ANOTHER = "{}, another seed"
"""What the row of a dense model is called."""


@dataclass(frozen=True)
class Loyalty:
    """That of one method on one task, the mean over seeds.

    Attributes:
        label: In %; for a regression 100 × the correlation.
        probability: In %; `None` for a regression, for spans, and where logits were not kept.
        classes: Whether it is of a task with classes.
    """

    label: float
    probability: float | None
    classes: bool


class Loyalties:
    """What is known of loyalty on a page.

    Args:
        results: The rows of every ratio.
        answers: Where predictions are found.
    """

    def __init__(self, results: Iterable[Standings], answers: PredictionsOf) -> None:
        self._found: dict[tuple[str, float, str], Loyalty] = {}
        for result in results:
            for row, task in itertools.product(result.rows, result.tasks):
                if (dense := result.row(dense_of(row.method))) is None:
                    continue
                if (found := _loyalty(row, dense, task, answers)) is not None:
                    self._found[_key(row, task)] = found

    def of(self, row: Row, task: str) -> Loyalty | None:
        """That of a row on a task; `None` where it is not known."""
        return self._found.get(_key(row, task))

    def figures(self, row: Row, task: str) -> tuple[float | None, float | None]:
        """The same as label loyalty, or a regression's correlation, and probability loyalty."""
        found = self.of(row, task)
        return (found.label, found.probability) if found else (None, None)


def _key(row: Row, task: str) -> tuple[str, float, str]:
    return row.method, row.records[0].cell["ratio"], task


def _loyalty(row: Row, dense: Row, task: str, answers: PredictionsOf) -> Loyalty | None:
    """A row's loyalty over what both have predictions of, of the same report rows."""
    labels: list[float] = []
    probabilities: list[float] = []
    regression, classes = False, True
    for record, reference in _compared(row, dense, task):
        mine, theirs = answers(record.id), answers(reference.id)
        if mine is None or theirs is None or not np.array_equal(mine.labels, theirs.labels):
            continue
        metric = metric_of(record.scores)
        regression = metric is not None and metric.regression
        classes = not regression and not mine.are_texts
        labels.append(_label_loyalty(mine, theirs, regression=regression))
        if mine.logits is not None and theirs.logits is not None:
            probabilities.append(probability_loyalty(mine.logits, theirs.logits))
    if not labels:
        return None
    known = bool(probabilities) and len(probabilities) == len(labels)
    return Loyalty(
        100 * statistics.fmean(labels),
        100 * statistics.fmean(probabilities) if known else None,
        classes,
    )


def _compared(row: Row, dense: Row, task: str) -> Iterator[tuple[Record, Record]]:
    """Records of a row and of dense: those of a seed, or dense's own of all pairs of seeds."""
    mine, references = (
        {r.cell["seed"]: r for r in one.records if r.cell["task"] == task and r.status == "ok"}
        for one in (row, dense)
    )
    if row is dense:
        yield from itertools.combinations(references.values(), 2)
    else:
        yield from ((mine[seed], references[seed]) for seed in mine if seed in references)


def _label_loyalty(mine: Predictions, theirs: Predictions, *, regression: bool) -> float:
    if regression:
        return FIGURES["pearson"].score(mine.answers, theirs.answers)
    if mine.are_texts and theirs.are_texts:
        same = text_column((text,) if text else () for text in theirs.answers)
        return FIGURES["exact_match"].score(mine.answers, same)
    return float(np.mean(mine.answers == theirs.answers))


def probability_loyalty(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The mean over examples of 1 − √JSD.

    Args:
        one: A model's logits, `[examples, classes]`.
        other: Another's.
    """
    from scipy.special import rel_entr, softmax

    p, q = (softmax(logits.astype(np.float64), axis=1) for logits in (one, other))
    middle = (p + q) / 2
    bits = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / (2 * np.log(2))
    return float(np.mean(1 - np.sqrt(bits.clip(0, 1))))


def loyalty_table(result: Standings, known: Loyalties) -> str:
    """A ratio's loyalties as Markdown, a row a method; nothing where none is known."""
    with_classes = [
        task
        for task in result.averaged
        if not any((one := known.of(row, task)) and not one.classes for row in result.rows)
    ]
    rows = [
        [
            ANOTHER.format(row.method) if is_dense(row.method) else row.method,
            *(_cell(known.of(row, task)) for task in result.tasks),
            _cell(_mean([known.of(row, task) for task in with_classes])),
        ]
        for row in result.rows
        if any(known.of(row, task) for task in result.tasks)
    ]
    return Markdown(pipe(["method", *result.tasks, "average"], rows))


def loyalty_section(results: Mapping[str, Standings], known: Loyalties) -> str:
    """What a page says of loyalty; nothing where none is known.

    Args:
        results: Standings by the title of their ratio.
        known: Their loyalties.
    """
    tables = {title: loyalty_table(result, known) for title, result in results.items()}
    shown = {title: table for title, table in tables.items() if table}
    return render_markdown("loyalty.md", tables=shown) if shown else ""


def _cell(loyalty: Loyalty | None) -> str:
    if loyalty is None:
        return "–"
    figures = [loyalty.label, loyalty.probability]
    return " / ".join(rounded(figure, 1) for figure in figures if figure is not None)


def _mean(loyalties: Sequence[Loyalty | None]) -> Loyalty | None:
    """The mean over tasks, `None` where one is missing."""
    known = [one for one in loyalties if one is not None]
    if not known or len(known) < len(loyalties):
        return None
    probabilities = [one.probability for one in known if one.probability is not None]
    return Loyalty(
        statistics.fmean(one.label for one in known),
        statistics.fmean(probabilities) if len(probabilities) == len(known) else None,
        classes=True,
    )
