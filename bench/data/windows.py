"""Questions and their contexts as windows that fit an encoder (Devlin et al. 2019).

A context that is too long is shown in several windows, each with the whole question, that overlap.
An answer's ends are labels where a window has it whole; else both are the first piece, `[CLS]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.answers import text_column
from bench.data.encoded import Encoded
from bench.data.spans import NOWHERE, Spans
from bench.errors import BenchError
from bench.models.checkpoint import load_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

VERSION = 1
"""Raised when the same texts would become other windows."""

CHUNK = 2_000
"""Rows that are tokenised at once: where pieces lie takes far more room in lists than in arrays."""

QUESTION = 64
"""Pieces of a question at most, as in BERT's own code; what is longer loses its end."""


def overlap_of(limit: int) -> int:
    """Pieces that two neighbouring windows share: a third, 128 of BERT's 384."""
    return limit // 3


def encode_windows(splits: list[Dataset], encoder: Path, limit: int) -> list[Encoded]:
    """Tokenises splits into windows with the encoder's own tokenizer.

    Args:
        splits: Rows with `id`, `text` (the question), `text_pair` (the context), `answers` and
            `begins`, where each answer begins in the context.
        encoder: Folder with the tokenizer.
        limit: Pieces of a window at most.

    Raises:
        BenchError: As `load_tokenizer`; or it does not say where pieces come from.
    """
    tokenizer = load_tokenizer(encoder)
    if not tokenizer.is_fast:
        raise BenchError(
            f"{encoder}: its tokenizer does not say where in a text its pieces lie: save a fast "
            "one beside it (tokenizer.json)."
        )
    return [_encode(rows, tokenizer, limit) for rows in splits]


class _Part(NamedTuple):
    """The windows of some rows, as `Encoded` and `Spans` have them."""

    pieces: NDArray[np.int32]
    segments: NDArray[np.int8]
    places: NDArray[np.int32]
    lengths: NDArray[np.int64]
    examples: NDArray[np.int64]
    labels: NDArray[np.int64]


def _encode(rows: Dataset, tokenizer: PreTrainedTokenizerBase, limit: int) -> Encoded:
    questions, cut = _shortened(rows["text"][:], tokenizer, limit)
    parts = [
        _part(
            rows[begin : begin + CHUNK], questions[begin : begin + CHUNK], begin, tokenizer, limit
        )
        for begin in range(0, len(rows), CHUNK)
    ]
    whole = _Part(*map(np.concatenate, zip(*parts, strict=True)))
    ids = [str(i) for i in rows["id"]]
    return Encoded(
        ids=[ids[example] for example in whole.examples],
        pieces=whole.pieces,
        segments=whole.segments,
        offsets=np.concatenate([[0], np.cumsum(whole.lengths)]),
        labels=whole.labels,
        cut=cut,
        spans=Spans(
            examples=whole.examples,
            begins=whole.places[:, 0].copy(),
            ends=whole.places[:, 1].copy(),
            ids=ids,
            contexts=rows["text_pair"][:],
            answers=text_column(map(tuple, rows["answers"][:])),
        ),
    )


def _part(
    rows: dict[str, Any],
    questions: list[str],
    number: int,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
) -> _Part:
    """Windows of some rows, the first of which has this number."""
    found = tokenizer(
        questions,
        rows["text_pair"],
        truncation="only_second",
        max_length=limit,
        stride=overlap_of(limit),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    lengths = np.array([len(row) for row in found["input_ids"]], np.int64)
    places = np.concatenate([np.asarray(row, np.int32) for row in found["offset_mapping"]])
    sides = [found.sequence_ids(window) for window in range(len(lengths))]
    places[[side != 1 for row in sides for side in row]] = NOWHERE
    examples = np.asarray(found["overflow_to_sample_mapping"], np.int64)
    labels = np.zeros((len(examples), 2), np.int64)
    own = np.split(places, np.cumsum(lengths)[:-1])
    for window, example in enumerate(examples):
        if right := rows["answers"][example]:
            begin = rows["begins"][example][0]
            labels[window] = _ends_of(own[window], begin, begin + len(right[0]))
    return _Part(
        np.concatenate([np.asarray(row, np.int32) for row in found["input_ids"]]),
        np.concatenate([np.asarray(row, np.int8) for row in found["token_type_ids"]]),
        places,
        lengths,
        examples + number,
        labels,
    )


def _shortened(
    questions: list[str], tokenizer: PreTrainedTokenizerBase, limit: int
) -> tuple[list[str], int]:
    """Questions without surrounding blanks and without what is too much of them; and how many."""
    most = max(1, min(QUESTION, limit // 2 - 4))
    stripped = [question.strip() for question in questions]
    places = tokenizer(stripped, add_special_tokens=False, return_offsets_mapping=True,
                       verbose=False)["offset_mapping"]  # fmt: skip
    long = [number for number, row in enumerate(places) if len(row) > most]
    for number in long:
        stripped[number] = stripped[number][: places[number][most - 1][1]]
    return stripped, len(long)


def _ends_of(places: NDArray[np.int32], begin: int, end: int) -> tuple[int, int]:
    """The first and the last piece of an answer, or `[CLS]` where a window lacks some of it.

    Args:
        places: Where the window's pieces begin and end in the context, `[pieces, 2]`.
        begin: The answer's first character.
        end: The character behind its last.
    """
    inside = np.flatnonzero(places[:, 0] != NOWHERE)
    if not len(inside) or places[inside[0], 0] > begin or places[inside[-1], 1] < end:
        return 0, 0
    first = inside[places[inside, 0] <= begin][-1]
    last = inside[places[inside, 1] >= end][0]
    return int(first), max(int(first), int(last))
