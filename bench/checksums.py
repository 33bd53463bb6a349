"""Whether a file of ours still holds what was written: SHA-256 sums beside it.

A folder has them in `SHA256SUMS`, which `sha256sum -c` reads. A JSON file carries its own, of all
that follows its first key (`bench.files`). A file that has none is of before there were any: it
gets one when it is first read. Sums tell of chance, not of malice: who changes both is not seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.inputs import check_regular, read_bytes
from bench.shown import shown

SUMS = "SHA256SUMS"

NEW, RANDOM = ".new", 8
"""How a temporary file's name ends before it is locked, and the random characters in it."""

_log = logging.getLogger("bench")
_said: set[Path] = set()

_seen: dict[Path, tuple[tuple[int, int, int], bool]] = {}
"""What was found of a file in this process, while size, time and place on the disk stay."""


def damaged(path: Path, reason: str) -> None:
    """Says of a file, once, that it is damaged; what can be made again is made again."""
    if path not in _said:
        _said.add(path)
        _log.warning("bench: %s", shown(f"{path} is damaged: {reason}"))


def sum_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    state = hashlib.sha256()
    check_regular(path)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """The sums that a folder has, by file; none of lines that are not whole."""
    try:
        lines = read_bytes(folder / SUMS).decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and len(pair[0]) == 64}


def write_sums(folder: Path, changes: Mapping[str, str | None]) -> None:
    """Writes sums of files into their folder, or takes them out, where they are `None`.

    Raises:
        OSError: The folder cannot be written.
    """
    known = read_sums(folder)
    sums = {name: value for name, value in {**known, **changes}.items() if value is not None}
    if sums == known:
        return
    with temporary_beside(folder / SUMS) as temporary:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{value}  {name}\n" for name, value in sorted(sums.items()))
        temporary.chmod(0o644)
        temporary.replace(folder / SUMS)


@contextlib.contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """Yields a new file beside `target` that may take its place, and is gone at the end.

    What a killed writer of `target` left is removed before: one that lives holds a lock on its own.

    Raises:
        OSError: The folder cannot be written.
    """
    for left in target.parent.glob(f".{glob.escape(target.name)}.{'?' * RANDOM}"):
        with contextlib.suppress(OSError):
            _remove_abandoned(left)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=NEW, dir=target.parent)
    temporary = Path(name.removesuffix(NEW))
    try:
        _lock(handle)  # before it has a name that is looked for
        Path(name).rename(temporary)
        yield temporary
    finally:
        os.close(handle)
        for left in (Path(name), temporary):
            left.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Removes a regular file that nobody has locked."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode) and _lock(handle):
            path.unlink()
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Locks an open file, if nobody else has; whether it did. The lock ends with its process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def seal(folder: Path) -> None:
    """Writes the sums of all files of a folder, as of a model that is saved."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != SUMS]
    write_sums(folder, {path.name: sum_of(path) for path in files})


def is_as_written(path: Path, data: bytes | None = None) -> bool:
    """Whether a file is there and holds what was written; one without a sum gets one.

    Args:
        path: The file.
        data: What it holds, where that was read already.
    """
    try:
        now = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(now.st_mode):  # a FIFO would be waited for
        damaged(path, "it is no regular file")
        return False
    mark = (now.st_ino, now.st_size, now.st_mtime_ns)
    if (known := _seen.get(path)) is not None and known[0] == mark:
        return known[1]
    found = sum_of(path) if data is None else hashlib.sha256(data).hexdigest()
    wanted = read_sums(path.parent).get(path.name)
    if wanted is None:
        with contextlib.suppress(OSError):  # who may only read here reads it all the same
            write_sums(path.parent, {path.name: found})
    if wanted not in (None, found):
        damaged(path, "it does not match its checksum")
    _seen[path] = (mark, wanted in (None, found))
    return _seen[path][1]


def damaged_files(folder: Path) -> list[str]:
    """The files of a folder that are not what was written, or are gone, by their sums."""
    return [name for name in sorted(read_sums(folder)) if not is_as_written(folder / name)]
