"""A task's rows: tokenised, capped, cut, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_tasks import Pairs
from transformers import AutoTokenizer

from bench.data.prepare import data_hash, encode, load, prepare
from bench.data.task import Source, Splits
from bench.data.tasks.demo import Sentiment, demo_encoder_path
from bench.errors import BenchError

ENCODER = demo_encoder_path()


def test_rows_are_what_the_tokenizer_says() -> None:
    rows = Pairs().load(Source()).dev
    (encoded,) = encode([rows], ENCODER, 64, is_regression=True)
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    for i, row in enumerate(rows):
        wanted = tokenizer(row["text"], row["text_pair"], truncation=True, max_length=64)
        begin, end = encoded.offsets[i : i + 2]
        assert encoded.pieces[begin:end].tolist() == wanted["input_ids"]
        assert encoded.segments[begin:end].tolist() == wanted["token_type_ids"]
    assert encoded.labels.dtype == np.float32
    assert encoded.parts == ["a", "b"] * 5
    assert encoded.cut == 1
    assert encoded.lengths.max() == 64


def test_preparing_caps_cuts_and_says_so(tmp_path: Path) -> None:
    prepared = prepare(
        Sentiment(), Source(), name="demo-sentiment", encoder=ENCODER, cap_at=500, cache=tmp_path
    )
    data = load(prepared)
    assert len(data.train) == prepared.train_rows == 500
    assert (len(data.fit), len(data.tune)) == (400, 100)
    assert sorted(data.fit.ids + data.tune.ids) == sorted(data.train.ids)
    assert prepared.facts["train_available"] == 1200
    assert prepared.facts["report"] == len(data.report) == 500


def test_preparing_again_reads_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def again() -> object:
        return prepare(
            Pairs(), Source(), name="pairs", encoder=ENCODER, cap_at=None, cache=tmp_path
        )

    first = again()
    monkeypatch.setattr("bench.data.prepare.encode", lambda *_: pytest.fail("tokenised twice"))
    assert again() == first


def test_the_record_says_what_was_cut_and_skipped(tmp_path: Path) -> None:
    facts = prepare(
        Pairs(), Source(), name="pairs", encoder=ENCODER, cap_at=None, cache=tmp_path
    ).facts
    assert facts["cut_to_fit"] == {"pieces": 64, "train": 1, "report": 1}
    assert facts["skipped_rows"] == 1
    assert facts["skipped"] == ["file:3: bad"]


def test_the_fingerprint_is_of_the_rows() -> None:
    task, splits = Pairs(), Pairs().load(Source())
    assert data_hash(task, splits) == data_hash(Pairs(), Pairs().load(Source()))
    assert data_hash(task, splits) != data_hash(Pairs(39), Pairs(39).load(Source()))
    relabelled = splits.dev.map(lambda row: {"label": row["label"] + 1})
    assert data_hash(task, splits) != data_hash(task, Splits(train=splits.train, dev=relabelled))


def test_a_split_without_rows_stops(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no train rows"):
        prepare(Pairs(0), Source(), name="p", encoder=ENCODER, cap_at=None, cache=tmp_path)
