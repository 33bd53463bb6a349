"""What the conformance suite runs on: a tiny encoder, tasks, and rows of random pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from transformers import AutoConfig, PretrainedConfig

from bench.answers import text_column
from bench.data.encoded import Encoded
from bench.data.spans import NOWHERE, Spans
from bench.data.task import Source, Splits, Task, TaskInfo
from bench.metrics import SPAN_LABELS
from bench.models.families import Shape, reshaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 48
PIECES = 10
VOCABULARY = 60
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class ToyTask(Task):
    """Rows of random pieces; class 1 where the first piece is from the upper half."""

    info = TaskInfo(name="toy", summary="toy", labels=("low", "high"), metric="accuracy")

    def load(self, source: Source) -> Splits:
        """Has no texts: the conformance suite feeds it pieces."""
        raise NotImplementedError


class ToyRegression(ToyTask):
    """The same rows, the first piece's place in the vocabulary as the label."""

    info = TaskInfo(name="toy-number", summary="toy", labels=None, metric="pearson_spearman")


class ToySpans(ToyTask):
    """The same rows, in which the third and the fourth piece are the answer."""

    info = TaskInfo(name="toy-spans", summary="toy", labels=SPAN_LABELS, metric="squad")


ToyKind = Literal["classes", "regression", "spans"]
"""What is told of the rows: a class, a number, or a span in them."""

TOYS: dict[ToyKind, type[ToyTask]] = {
    "classes": ToyTask, "regression": ToyRegression, "spans": ToySpans
}  # fmt: skip


def toy_config(family: str = "bert") -> PretrainedConfig:
    """An encoder of two layers, small enough to train in a second, of one of `bench.FAMILIES`."""
    config = AutoConfig.for_model(family, vocab_size=VOCABULARY, max_position_embeddings=34)
    toy: PretrainedConfig = reshaped(config, Shape(layers=2, width=32, heads=4, neurons=64))
    if family == "electra":
        toy.embedding_size = 16
    return toy


def toy_rows(seed: int, kind: ToyKind = "classes") -> Encoded:
    """Random rows of unequal length."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, PIECES, ROWS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    pieces = generator.integers(len(SPECIAL), VOCABULARY, offsets[-1]).astype(np.int32)
    first = pieces[offsets[:-1]]
    labels = {
        "classes": (first > 32).astype(int),
        "regression": (first / VOCABULARY).astype(np.float32),
        "spans": np.tile([2, 3], (ROWS, 1)),
    }
    ids = [str(i) for i in range(ROWS)]
    return Encoded(
        ids=ids,
        pieces=pieces,
        segments=np.zeros(offsets[-1], np.int8),
        offsets=offsets,
        labels=labels[kind],
        spans=_toy_spans(ids, lengths) if kind == "spans" else None,
    )


def _toy_spans(ids: list[str], lengths: NDArray[Any]) -> Spans:
    """Texts in which each piece but the first, which is none of theirs, is a letter and a blank."""
    places = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
    text = " ".join("abcdefghij")
    return Spans(
        examples=np.arange(ROWS),
        begins=np.where(places == 0, NOWHERE, 2 * places).astype(np.int32),
        ends=np.where(places == 0, NOWHERE, 2 * places + 1).astype(np.int32),
        ids=ids,
        contexts=[text] * ROWS,
        answers=text_column([(text[4:7],)] * ROWS),
    )
