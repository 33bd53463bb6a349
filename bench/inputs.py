"""Files that somebody else may have made: what they are, and how large, is looked at before a byte.

A FIFO, a socket or a device would be waited for or never end, and a link may lead to one. What is
refused raises `OSError`, as what the system refuses does, so that who reads says both in one way.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

GIGABYTE = 10**9

MOST_BYTES = 1 << 28
"""Of a file that is no data: a configuration, a tokenizer, a record, a task, a journal."""

NO_FILE = (errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ELOOP)
"""What is said of something that is no regular file, or has no end that can be read to."""

MOST_COLUMNS = 10_000

MOST_LABELS = 10_000
"""Of a task or a model: scores look at every pair of classes."""


@dataclass(frozen=True)
class Limits:
    """How much one file of data may hold; one figure rules all.

    Attributes:
        gigabytes: Of text, as it is when nothing is compressed any more. Each allows ten million
            rows, and a line or a cell of ten million characters.
        option: What raises the limit, if anything does.

    Raises:
        BenchError: It is no positive number.
    """

    gigabytes: float = 1.0
    option: str = "--max-data-gb"

    def __post_init__(self) -> None:
        if not 0 < self.gigabytes < math.inf:
            raise BenchError(f"max-data-gb is a number above 0, not {self.gigabytes:g}.")

    @property
    def bytes(self) -> int:
        """Of a file, and of its texts."""
        return int(self.gigabytes * GIGABYTE)

    @property
    def rows(self) -> int:
        """Rows of a file, blank lines among them."""
        return int(self.gigabytes * 10_000_000)

    @property
    def characters(self) -> int:
        """Of a line or a cell."""
        return int(self.gigabytes * 10_000_000)

    def objection(self, *, size: int = 0, rows: int = 0, characters: int = 0) -> str:
        """What there is too much of, and what raises the limit; empty where all fits."""
        for found, most, what in (
            (size, self.bytes, "bytes of data"),
            (rows, self.rows, "rows"),
            (characters, self.characters, "characters in a line or cell"),
        ):
            if found > most:
                remedy = f": {self.option} raises that" if self.option else ""
                return f"it has more than {most:,} {what}{remedy}"
        return ""


USUAL = Limits()


def check_regular(path: Path) -> os.stat_result:
    """What the system says of a file, for a library that opens it by itself.

    Raises:
        OSError: It is missing, or is something that is no end of reading.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return found


def read_bytes(path: Path, limits: Limits | None = None) -> bytes:
    """The bytes of a regular file; without limits, of one that is no data.

    Raises:
        OSError: It cannot be read, is no regular file, or has more than is allowed.
    """
    size = check_regular(path).st_size
    most = MOST_BYTES if limits is None else limits.bytes
    if size <= most:
        # Between the two looks it may have become a FIFO, which is opened, but not waited for.
        with open(path, "rb", opener=_without_waiting) as file:
            data: bytes = file.read(size + 1) or b""  # room is made for all that is asked for
            if len(data) > size:  # it has grown
                data += file.read(most + 1 - len(data)) or b""
        size = len(data)
        if size <= most:
            return data
    reason = f"it has more than {most:,} bytes" if limits is None else limits.objection(size=size)
    raise OSError(errno.EFBIG, reason, str(path))


def check_entries(folder: Path) -> None:
    """Looks at all that lies in a folder, of which a library opens what it likes.

    Raises:
        OSError: Something in it is neither a regular file nor a folder, or is too large for a file
            that is no data and no weights.
    """
    for path in folder.iterdir():
        if path.exists() and not path.is_dir():
            size = check_regular(path).st_size
            if path.suffix in (".json", ".txt", ".jinja", ".model") and size > MOST_BYTES:
                raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES:,} bytes", str(path))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_text(path: Path) -> str:
    """The text of a regular file in UTF-8 that is no data; a byte-order mark is no part of it.

    Raises:
        OSError: As `read_bytes`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path).decode("utf-8-sig")
