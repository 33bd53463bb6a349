"""Checksums: what was written is told from what is there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from safetensors.numpy import save

from bench import checksums
from bench.checksums import SUMS, damaged_files, is_as_written, read_sums, seal, sum_of
from bench.errors import BenchError
from bench.files import (
    atomic_path,
    is_whole,
    read_checked,
    read_json,
    write_bytes,
    write_json,
)
from bench.parquet import read_parquet, write_parquet


@pytest.fixture(autouse=True)
def _another_process() -> None:
    checksums._seen.clear()
    checksums._said.clear()


def flip(path: Path, place: int) -> None:
    """Flips one bit, and leaves size and time as they were."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    checksums._seen.clear()


def test_the_sums_are_those_that_sha256sum_checks(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a b.bin", b"x" * 3_000_000)
    (tmp_path / "c.txt").write_text("y")
    seal(tmp_path)
    assert set(read_sums(tmp_path)) == {"a b.bin", "c.txt"}
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    flip(tmp_path / "c.txt", 0)
    assert damaged_files(tmp_path) == ["c.txt"]
    (tmp_path / "a b.bin").unlink()
    assert damaged_files(tmp_path) == ["a b.bin", "c.txt"]


@pytest.mark.parametrize("place", range(0, 4000, 97))
def test_every_flipped_bit_of_a_table_or_of_tensors_is_seen(place: int, tmp_path: Path) -> None:
    table, tensors = tmp_path / "t.parquet", tmp_path / "t.safetensors"
    write_parquet(table, pyarrow.table({"label": list(range(500))}))
    write_bytes(tensors, save({"x": np.arange(900, dtype=np.float32)}))
    assert read_parquet(table, "x").num_rows == 500
    assert is_whole(tensors)
    flip(table, place)
    flip(tensors, place)
    with pytest.raises(BenchError, match="does not match its checksum: do this"):
        read_parquet(table, "do this")
    assert not is_whole(tensors)


def test_every_changed_byte_of_a_json_file_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, value = tmp_path / "s.json", {"score": 71.25, "of": {"name": "é"}, "none": None}
    write_json(path, value)
    whole = path.read_bytes()
    assert json.loads(whole).pop("sha256")
    assert read_json(path) == value
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        held = read_json(path)  # in the name "sha256" itself, a flip hides the sum and no more
        assert held is None or {name: held[name] for name in value} == value, place
        assert (held is None) is (place not in range(4, 10)), place
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read_json(path) is None, length
    assert len(caplog.messages) == 1
    path.write_bytes(whole.replace(b"71.25", b"71.26"))
    with pytest.raises(BenchError, match=r"^it does not match its checksum$"):
        read_checked(path, dict)


def test_what_has_no_checksum_yet_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"score": 1}')
    assert read_json(tmp_path / "old.json") == {"score": 1}
    old = tmp_path / "old.bin"
    old.write_bytes(b"abc")
    assert is_as_written(old)
    assert read_sums(tmp_path) == {"old.bin": sum_of(old)}
    flip(old, 1)
    assert not is_as_written(old)


def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    (tmp_path / "old.bin").write_bytes(b"abc")
    monkeypatch.setattr(checksums, "write_sums", refuse)
    assert is_as_written(tmp_path / "old.bin")


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_kill_while_a_file_is_replaced_damages_nothing(
    moment: str, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")
    write, calls = checksums.write_sums, []

    class Killed(BaseException):
        pass

    def kill(folder: Path, changes: dict[str, str | None]) -> None:
        calls.append(changes)
        if moment == "before" and len(calls) == 1:
            raise Killed
        if moment == "after" and len(calls) == 2:
            raise Killed
        write(folder, changes)
        if moment == "between" and len(calls) == 1:
            raise Killed

    monkeypatch.setattr("bench.files.write_sums", kill)
    with pytest.raises(Killed), atomic_path(path, sealed=True) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == (b"new" if moment == "after" else b"old")
    assert is_as_written(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [SUMS, "x.bin"]


def test_a_line_that_was_cut_off_is_no_sum(tmp_path: Path) -> None:
    (tmp_path / SUMS).write_bytes(
        b"abc  x\n" + b"\xff" * 9 + b"\n" + b"0" * 64 + b"  y\n" + b"1" * 64
    )
    assert read_sums(tmp_path) == {"y": "0" * 64}


def test_sums_that_a_killed_writer_left_half_go_with_the_next(tmp_path: Path) -> None:
    left = tmp_path / f".{SUMS}.abcdefgh"
    left.write_text("half")
    write_bytes(tmp_path / "a", b"a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [SUMS, "a"]
