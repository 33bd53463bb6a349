"""A task's rows: tokenised, capped, cut, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
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


class Copied(Sentiment):
    """The demo's sentences, the first twenty report rows among those to learn from."""

    def load(self, source: Source) -> Splits:
        splits = super().load(source)
        copies = splits.dev.select(range(20))
        columns = {name: copies[name][:] for name in copies.column_names}
        columns["id"] = [f"copy {i}" for i in columns["id"]]
        columns["text"] = [*columns["text"][:5], *(f"{t.upper()} !" for t in columns["text"][5:])]
        columns["label"] = [1 - label for label in columns["label"]]
        train = concatenate_datasets([splits.train, Dataset.from_dict(columns, copies.features)])
        return Splits(train=train, dev=splits.dev)


def test_rows_to_learn_from_that_are_report_rows_are_removed_counted_and_replaced(
    tmp_path: Path,
) -> None:
    for overlap in ("removed", "kept"):
        prepared = prepare(Copied(), Source(), name="c", encoder=ENCODER, cap_at=1200,
                           cache=tmp_path, overlap=overlap)  # fmt: skip
        data = load(prepared)
        assert prepared.facts["overlap"] == {"rows": 20, "exact": 5, "are": overlap}
        assert prepared.facts["train_available"] == 1220
        assert len(data.train) == 1200  # the cap is filled all the same
        copies = [row for row in data.train.ids if row.startswith("copy")]
        assert bool(copies) == (overlap == "kept")


def test_where_all_rows_are_report_rows_a_line_says_so(tmp_path: Path) -> None:
    class All(Sentiment):
        def load(self, source: Source) -> Splits:
            dev = super().load(source).dev
            return Splits(train=dev, dev=dev)

    with pytest.raises(BenchError, match="--overlap kept"):
        prepare(All(), Source(), name="a", encoder=ENCODER, cap_at=None, cache=tmp_path)


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
