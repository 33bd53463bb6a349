"""Files of others: nothing is waited for, and nothing without an end is read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.inputs import MOST_BYTES, USUAL, Limits, read_bytes, read_text


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


ODD = [fifo, endless, listening]
"""What is no regular file, made at a path."""


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("limits", [None, USUAL])
def test_only_regular_files_are_read(tmp_path, monkeypatch, make, limits) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(Path("odd"))
    with pytest.raises(OSError, match="it is no regular file"):
        read_bytes(Path("odd"), limits)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path, limits)


def test_a_link_to_a_regular_file_is_one(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\n")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "b") == b"\xef\xbb\xbfa\n"
    assert read_text(tmp_path / "b") == "a\n"


def test_a_large_file_is_refused_before_it_is_read(tmp_path) -> None:
    """A sparse one, which no memory could hold."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=f"it has more than {MOST_BYTES:,} bytes"):
        read_bytes(tmp_path / "a")
    with pytest.raises(OSError, match="more than 3,000,000,000 bytes of data: --max-data-gb"):
        read_bytes(tmp_path / "a", Limits(3))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc")
def test_a_file_that_says_it_is_empty_is_read_as_far_as_it_may(tmp_path) -> None:
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(OSError, match="more than 10 bytes of data"):
        read_bytes(Path("/proc/self/maps"), Limits(1e-8))


@pytest.mark.parametrize("gigabytes", [0, -1, float("inf"), float("nan")])
def test_a_limit_is_a_positive_number(gigabytes) -> None:
    with pytest.raises(BenchError, match="max-data-gb is a number above 0"):
        Limits(gigabytes)
