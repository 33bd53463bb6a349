"""Predictions on disk: what comes back of what a model answered, and what older files lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_record import RECORD
from harness import PAGES
from pyarrow import parquet

from bench.errors import BenchError
from bench.parquet import write_parquet
from bench.results.predictions import (
    FILE,
    as_table,
    in_store,
    published,
    read_published,
    to_publish,
    write_published,
)
from bench.results.store import Store

LABELS, ANSWERS = np.array([0, 2, 1, 1]), np.array([0, 2, 2, 1])
LOGITS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
IDS = [f"row {number}" for number in range(4)]


def store_of(path: Path) -> Store:
    """Four cells: with logits of three classes, of two, of a regression, and of schema 1."""
    store = Store(path)
    for name, logits, parts in (
        ("three", LOGITS, list("abab")),
        ("two", LOGITS[:, :2], None),
        ("one", LOGITS[:, :1], None),
        ("old", None, None),
    ):
        answers = LOGITS[:, 0] if name == "one" else ANSWERS
        path = store.folder(name)
        path.mkdir(parents=True)
        table = as_table(IDS, LABELS, answers, parts, logits)
        store.put(RECORD, table)
        (store.folder("abc") / FILE).replace(path / FILE)
    return store


def test_a_cells_logits_come_back_to_the_bit(tmp_path: Path) -> None:
    found = in_store(store_of(tmp_path))
    three = found("three")
    assert three is not None
    assert three.parts == list("abab")
    assert three.logits is not None
    assert three.logits.dtype == np.float32
    assert np.array_equal(three.logits, LOGITS)
    for name in ("one", "old"):  # a regression's answers are its logits
        cell = found(name)
        assert cell is not None
        assert cell.logits is None
    assert found("nowhere") is None


def test_cells_with_and_without_logits_share_a_published_file(tmp_path: Path) -> None:
    store, path = store_of(tmp_path / "runs"), tmp_path / "published.parquet"
    names = ["three", "two", "one", "old"]
    mine = in_store(store)
    tables = {name: to_publish(name, held) for name in names if (held := mine(name)) is not None}
    write_published(path, {name: tables[name] for name in names[1:]}, names)
    write_published(path, read_published(path) | {"three": tables["three"]}, names)
    theirs = published(path)
    for name in names:
        one, other = mine(name), theirs(name)
        assert one is not None
        assert other is not None
        assert np.array_equal(one.answers.astype(np.float32), other.answers)
        assert one.parts == other.parts
        assert (one.logits is None) == (other.logits is None) == (name in ("one", "old"))
        assert one.logits is None or np.array_equal(one.logits, other.logits)
    assert "id" not in read_published(path)["three"].column_names


@pytest.mark.parametrize("suite", sorted(path.stem for path in (PAGES / "records").glob("*.json")))
def test_published_predictions_can_be_read(suite: str) -> None:
    path = PAGES / "records" / f"{suite}.parquet"
    cells = list(read_published(path))
    found = published(path)(cells[-1])
    assert found is not None
    assert len(found.answers) == len(found.labels) > 0


def test_predictions_of_no_rows_are_none(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    path = store.folder("three") / FILE
    write_parquet(path, parquet.read_table(path).slice(0, 0))
    with pytest.raises(BenchError, match="these are no predictions: there are no rows"):
        in_store(store)("three")
