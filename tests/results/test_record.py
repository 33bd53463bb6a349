"""Records on disk: whole or not there."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import filelock
import pyarrow
import pytest
from pyarrow import parquet

from bench.errors import BenchError
from bench.files import atomic_path, write_json
from bench.results.record import Record
from bench.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path

CELL = {"method": "dense", "task": "cola", "axis": "weights", "ratio": 1.0, "seed": 0}
COUNTED = {axis: {"ratio": 1.0} for axis in ("weights", "params", "flops")}
RECORD = Record(
    id="abc", status="ok", cell=CELL, score=71.25, footprint=COUNTED, cost={"train_flops": 1}
)


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD, pyarrow.table({"id": ["1"], "label": [0], "prediction": [1]}))
    assert store.get("abc") == RECORD
    assert list(store.records()) == [RECORD]
    assert parquet.read_table(tmp_path / "abc/predictions.parquet")["prediction"].to_pylist() == [1]


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


def test_a_record_names_what_it_lacks() -> None:
    with pytest.raises(BenchError, match="cell, id"):
        Record.from_json({"schema": 1, "status": "ok"})
    with pytest.raises(BenchError, match=r"cell\.ratio, cell\.seed"):
        cell = {"method": "dense", "task": "cola", "axis": "weights"}
        Record.from_json({"schema": 1, "id": "abc", "status": "ok", "cell": cell})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "fine"}, "no valid status"),
        ({"score": None}, "no valid score"),
        ({"score": "71"}, "no valid score"),
        ({"footprint": {"weights": {"ratio": 1.0}}}, "no valid footprint"),
        ({"footprint": []}, "no valid footprint"),
        ({"cost": []}, "no valid cost"),
        ({"cost": {"train_flops": "much"}}, r"no valid cost\.train_flops"),
        ({"data": {"train": 9}}, r"no valid data\.train_available, data\.report"),
        ({"environment": {"python": 3}}, r"no valid environment\.python"),
        (
            {"footprint": {key: {"ratio": "4"} for key in ("weights", "params", "flops")}},
            "no valid footprint",
        ),
        ({"cell": "dense"}, "no valid cell"),
        ({"cell": None}, "no valid cell"),
        ({"score": True}, "no valid score"),
        ({"cost": {"train_flops": 1, "parts": []}}, r"no valid cost\.parts"),
        ({"cost": {"train_flops": 1, "parts": {"tuning": "x"}}}, r"no valid cost\.parts"),
        ({"knowledge": {"loss": "x"}}, r"no valid knowledge\.text"),
        ({"latency": {"rows": [{}]}}, r"latency\.rows"),
        ({"latency": {"rows": 3}}, r"latency\.rows"),
        ({"latency": []}, "no valid latency"),
        ({"error": "x"}, "no valid error"),
    ],
)
def test_a_record_names_what_is_wrong_with_it(changes: dict[str, Any], said: str) -> None:
    assert Record.from_json(RECORD.to_json()) == RECORD
    with pytest.raises(BenchError, match=said):
        Record.from_json(RECORD.to_json() | changes)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_record_with_nan_is_no_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD)
    path = tmp_path / "abc/record.json"
    path.write_text(path.read_text().replace("71.25", "NaN"))
    assert store.get("abc") is None


def test_nan_has_no_place_in_a_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not (tmp_path / "x.json").exists()


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
