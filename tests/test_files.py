"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.files import atomic_path, read_json, scratch_folder, write_json, write_text


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_no_file_takes_the_place_of_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor of what `/dev/stdout` links to: root could, and programs would write into that file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name, leads_to in (("null", Path("/dev/null")), ("stdout", pipe)):
        link = tmp_path / name
        link.symlink_to(leads_to)
        with pytest.raises(OSError, match="no regular file"):
            write_text(link, "x")
        assert link.is_symlink()
    with socket.socket(socket.AF_UNIX) as one:
        monkeypatch.chdir(tmp_path)  # a socket's path may not be long
        one.bind("socket")
        with pytest.raises(OSError, match="no regular file"):
            write_text(tmp_path / "socket", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "null", "stdout", "socket"}
    write_text(pipe, "x")  # of a run folder: no reader waits there, and it is made again
    assert pipe.read_text() == "x"


def test_a_temporary_folder_without_room_is_named(tmp_path: Path, monkeypatch) -> None:
    with scratch_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    full = OSError(errno.ENOSPC, "No space left on device")
    said = rf"the temporary folder {tmp_path} has no room: .*No space left.*TMPDIR may name another"
    with pytest.raises(BenchError, match=said), scratch_folder():
        raise full
    with pytest.raises(FileNotFoundError), scratch_folder():
        raise FileNotFoundError  # nothing of the folder's
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._get_default_tempdir", raise_(FileNotFoundError(2, "none")))
    with pytest.raises(BenchError, match="no temporary folder can be written; TMPDIR"):
        scratch_folder().__enter__()


def raise_(error: Exception) -> Callable[[], None]:
    def fails() -> None:
        raise error

    return fails


def test_nan_has_no_place_in_a_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_half_of_a_surrogate_pair_is_written_out(tmp_path: Path) -> None:
    """As of a path whose bytes are no text; no reader of JSON would take it."""
    write_json(tmp_path / "x.json", {"command": "bench run \udcff", "\ud800": 1})
    assert read_json(tmp_path / "x.json") == {"command": r"bench run \udcff", r"\ud800": 1}


def test_what_a_killed_writer_left_goes_when_the_file_is_written(tmp_path: Path) -> None:
    target, left = tmp_path / "a[1].json", tmp_path / ".a[1].json.abcdefgh"
    others = [
        tmp_path / name for name in (".a[1].json.abcdefghi", ".b.json.abcdefgh", "a[1].json.x")
    ]
    for path in (left, *others):
        path.write_text("half")
    write_json(target, {"a": 1})
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])


def test_what_a_living_writer_has_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with atomic_path(target) as temporary:
        write_text(target, "theirs")  # by another, at the same time
        temporary.write_text("ours")
    assert target.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_waited_for_in_the_place_of_a_temporary_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".a.json.abcdefgh")
    (tmp_path / ".a.json.12345678").symlink_to(tmp_path / "elsewhere")
    write_text(tmp_path / "a.json", "ours")
    assert len(list(tmp_path.iterdir())) == 3
