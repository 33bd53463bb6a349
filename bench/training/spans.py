"""What a model answers where spans of a text are looked for (Devlin et al. 2019; SQuAD 2.0).

A span's score is the logit of its begin and that of its end; no answer's is that of `[CLS]` as
both. Of an example's windows the best span counts, and the lowest score of no answer, as one window
may lack what another has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bench.answers import text_column
from bench.compression.losses import NEVER
from bench.data.spans import NOWHERE
from bench.errors import DivergedError
from bench.metrics import worth_of_each
from bench.models.heads import logits_of
from bench.training.batches import EVALUATION_BATCH, collate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.data.encoded import Encoded

LONGEST = 30
"""Pieces of an answer at most, as in BERT's own code."""

ALWAYS = math.inf
"""The threshold at which every question is answered."""


def threshold_said(threshold: float | None) -> float | None:
    """A threshold as files say it: nothing where every question is answered, as there is no ∞."""
    return None if threshold == ALWAYS else threshold


def threshold_of(facts: Mapping[str, Any], found: float | None) -> float:
    """The threshold that report rows are answered by.

    Args:
        facts: What is known of the data; `no_answer` training questions have none.
        found: What was found on tune rows; where nothing was, it is zero, the official script's.
    """
    if not facts.get("no_answer"):
        return ALWAYS
    return 0.0 if found is None else found


@dataclass(frozen=True)
class Marked:
    """What a model marks.

    Attributes:
        texts: The best span of each example, `[examples]`.
        margins: By how much no answer is above it, in logits, `[examples]`.
    """

    texts: NDArray[Any]
    margins: NDArray[np.float64]

    def answers(self, threshold: float) -> NDArray[Any]:
        """The best spans, or no text where no answer is above them by more than a threshold."""
        return np.where(self.margins > threshold, "", self.texts)


class _Best(NamedTuple):
    """The best span of each window of a batch: score, first and last piece; and no answer's."""

    score: Tensor
    first: Tensor
    last: Tensor
    none: Tensor


@torch.inference_mode()
def mark(
    model: PreTrainedModel,
    data: Encoded,
    device: str,
    answer: Callable[[dict[str, Tensor]], Tensor] | None = None,
) -> Marked:
    """The best span of every example, in fp32.

    Args:
        model: A model that marks spans.
        data: Windows.
        device: `cpu` or `cuda`.
        answer: What computes the logits in its place, from the same inputs.

    Raises:
        DivergedError: A logit is NaN or infinite.
    """
    assert data.spans is not None  # noqa: S101 - who calls has asked
    spans = data.spans
    model.eval().to(device)
    compute = answer or (lambda inputs: logits_of(model(**inputs)))
    order = np.argsort(data.lengths, kind="stable")
    scores, nothing = np.empty(len(data)), np.empty(len(data))
    begins, ends = np.empty(len(data), np.int64), np.empty(len(data), np.int64)
    for start in range(0, len(order), EVALUATION_BATCH):
        rows = order[start : start + EVALUATION_BATCH]
        inputs = collate(data, rows, model, torch.device(device)).inputs
        logits = compute(inputs).float()
        if not logits.isfinite().all():
            raise DivergedError("the trained model predicts NaN or infinite logits")
        best = _best(logits, torch.from_numpy(_in_context(data, rows)).to(device))
        scores[rows], nothing[rows] = best.score.cpu().numpy(), best.none.cpu().numpy()
        begins[rows] = spans.begins[data.offsets[rows] + best.first.cpu().numpy()]
        ends[rows] = spans.ends[data.offsets[rows] + best.last.cpu().numpy()]
    order = np.lexsort((-scores, spans.examples))  # by example, the best window first
    _, first = np.unique(spans.examples[order], return_index=True)
    chosen = order[first]
    least = np.full(len(spans.ids), np.inf)
    np.minimum.at(least, spans.examples, nothing)
    marked = zip(spans.contexts, begins[chosen], ends[chosen], strict=True)
    return Marked(
        text_column(context[max(0, begin) : max(0, end)] for context, begin, end in marked),
        least - scores[chosen],
    )


def _in_context(data: Encoded, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pieces of some windows are of their contexts, `[rows, pieces]`, and not padding."""
    assert data.spans is not None  # noqa: S101
    lengths = data.lengths[rows]
    width = np.arange(int(lengths.max()))
    real = width < lengths[:, None]
    places = np.where(real, data.offsets[rows][:, None] + width, 0)
    return np.asarray(real & (data.spans.begins[places] != NOWHERE))


def _best(logits: Tensor, inside: Tensor) -> _Best:
    """The best span of each window, no longer than `LONGEST` pieces.

    Args:
        logits: Of begins and ends, `[windows, 2, pieces]`.
        inside: Whether a piece is the context's, `[windows, pieces]`.
    """
    begin, end = logits.masked_fill(~inside.unsqueeze(1), NEVER).unbind(1)
    pairs = begin.unsqueeze(2) + end.unsqueeze(1)
    width = pairs.shape[1]
    fit = torch.ones(width, width, dtype=torch.bool, device=pairs.device)
    fit = fit.triu() & ~fit.triu(LONGEST)
    score, place = pairs.masked_fill(~fit, -torch.inf).flatten(1).max(dim=1)
    return _Best(score, place // width, place % width, logits[:, :, 0].sum(dim=1))


def choose_threshold(marked: Marked, metric: str, right: NDArray[Any]) -> float:
    """The threshold of no answer with the best score on some rows.

    It is looked for half-way between neighbouring margins, or at zero between two of which it
    lies, and beyond both ends; among equals the nearest to zero counts. Where every question has an
    answer, every one is answered.

    Args:
        marked: What a model marks in the rows.
        metric: A key of `METRICS`.
        right: The right texts of each, `[examples]`.
    """
    if all(right):
        return ALWAYS

    order = np.argsort(marked.margins, kind="stable")
    margins = marked.margins[order]
    nothing = worth_of_each(metric, text_column([""] * len(right)), right)
    gained = (worth_of_each(metric, marked.texts, right) - nothing)[order]
    totals = np.concatenate([[0.0], np.cumsum(gained)]).round(9)  # of the first none, one, two …
    ends = np.concatenate([[margins[0] - 1], margins, [margins[-1] + 1]])
    thresholds = np.where((ends[:-1] <= 0) & (ends[1:] > 0), 0.0, (ends[:-1] + ends[1:]) / 2)
    thresholds[0], thresholds[-1] = min(0.0, margins[0] - 1), max(0.0, margins[-1])
    possible = np.flatnonzero(ends[:-1] < ends[1:])
    return float(min(thresholds[possible][totals[possible] == totals[possible].max()], key=abs))
