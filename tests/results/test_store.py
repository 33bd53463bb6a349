"""The run folder: records whole or not there, and locks."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import filelock
import pyarrow
import pytest
from example_record import RECORD
from pyarrow import parquet

from bench.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD, pyarrow.table({"id": ["1"], "label": [0], "prediction": [1]}))
    assert store.get("abc") == RECORD
    assert list(store.records()) == [RECORD]
    assert parquet.read_table(tmp_path / "abc/predictions.parquet")["prediction"].to_pylist() == [1]


@pytest.mark.parametrize("name", [".arriving-x", ".ipynb_checkpoints", "my notes", "a\\b", "\n"])
def test_a_folder_that_is_no_cell_is_passed_over(tmp_path: Path, name: str) -> None:
    """What comes from a node is being unpacked in one while others read."""
    store = Store(tmp_path)
    store.put(RECORD)
    (tmp_path / name).mkdir()
    assert list(store.records()) == [RECORD]


@pytest.mark.parametrize("keep", [0, 1, 40, -2])
def test_a_record_cut_short_is_no_record(tmp_path: Path, keep: int) -> None:
    store = Store(tmp_path)
    store.put(RECORD)
    path = tmp_path / "abc/record.json"
    path.write_bytes(path.read_bytes()[:keep])
    assert store.get("abc") is None
    assert list(store.records()) == []


@pytest.mark.parametrize("content", ["[]", "{}", '{"schema": 1}', '{"schema": 99, "id": "abc"}'])
def test_other_json_is_no_record(tmp_path: Path, content: str) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc/record.json").write_text(content, encoding="utf-8")
    assert Store(tmp_path).get("abc") is None


def test_a_record_with_nan_is_no_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD)
    path = tmp_path / "abc/record.json"
    path.write_text(path.read_text().replace("71.25", "NaN"))
    assert store.get("abc") is None


def test_a_lock_is_seen_and_goes_with_its_holder(tmp_path: Path) -> None:
    store, other = Store(tmp_path), Store(tmp_path)
    assert not other.is_locked("abc")
    with store.lock("abc").acquire(timeout=0):
        assert other.is_locked("abc")
    assert not other.is_locked("abc")


def test_who_may_only_read_a_folder_sees_no_lock(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with Store(tmp_path).lock("abc"):
        pass
    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert not Store(tmp_path).is_locked("abc")
