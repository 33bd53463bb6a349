"""Files that travel between the run folder and the nodes, each known by its SHA-256.

A node has a folder of its own for a run, with the same layout as the run folder. What a cell reads
is laid there once, from the same path where the node sees it, or else as it is sent. What it made
comes back file by file, and takes its place in the run folder once all of it has arrived whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bench.checksums import SUMS, read_sums, sum_of, write_sums
from bench.errors import BenchError
from bench.files import lock, remove

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PART = 32 << 20
"""Bytes that are sent at once: an object store need not have room for a whole file."""


@dataclass(frozen=True)
class Item:
    """A file that travels.

    Attributes:
        path: Where it lies in the folder of the run or of the node, with `/`.
        sha256: Its checksum, in hexadecimal digits.
        size: Its bytes.
        source: Where the sender has it.
    """

    path: str
    sha256: str
    size: int
    source: str


_known: dict[Path, tuple[tuple[int, int, int], str]] = {}
"""Checksums of files, while size, time and place on the disk stay."""


def checksum(path: Path) -> str:
    """The SHA-256 of a file, computed once while it does not change."""
    now = path.stat()
    mark = (now.st_ino, now.st_size, now.st_mtime_ns)
    if path not in _known or _known[path][0] != mark:
        _known[path] = (mark, sum_of(path))
    return _known[path][1]


def items_of(folder: Path, place: str, names: Sequence[str] = ("**/*",)) -> Iterator[Item]:
    """The files of a folder.

    Args:
        folder: The folder.
        place: Where it is to lie.
        names: Patterns of the files wanted; none that begins with a dot is one.
    """
    for path in sorted({path for name in names for path in folder.glob(name)}):
        inner = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inner.parts):
            with contextlib.suppress(FileNotFoundError):  # such as answers that made room
                size = path.stat().st_size
                where = f"{place}/{inner.as_posix()}"
                yield Item(where, checksum(path), size, str(path.resolve()))


def parts_of(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The bytes of a file, a part at a time; one empty part of an empty file."""
    import numpy as np

    with path.open("rb") as file:
        part = file.read(PART)
        while True:
            yield np.frombuffer(part, np.uint8)
            if not (part := file.read(PART)):
                return


def lay(
    folder: Path, items: Iterable[Item], fetch: Callable[[Item], Iterable[Any] | None]
) -> list[Item]:
    """Lays files into a node's folder, where it does not have them.

    Args:
        folder: The node's folder.
        items: The files.
        fetch: Gives the parts of a file, or `None` where they were not sent.

    Returns:
        Files that the node neither has nor sees, and that were not sent.

    Raises:
        OSError: The folder cannot be written.
        BenchError: A file is not what was sent.
    """
    lacking = []
    for item in items:
        target = _inside(folder, item.path)
        if _is_there(target, item):
            continue
        with lock(folder, f"lay-{hashlib.sha256(item.path.encode()).hexdigest()[:16]}"):
            if not (_is_there(target, item) or _taken(target, item) or _sent(target, item, fetch)):
                lacking.append(item)
    return lacking


def _is_there(target: Path, item: Item) -> bool:
    with contextlib.suppress(OSError):
        return target.stat().st_size == item.size and checksum(target) == item.sha256
    return False


def _taken(target: Path, item: Item) -> bool:
    """Takes a file from where the sender has it, if it is seen there, too: a shared folder."""
    source = Path(item.source)
    try:
        if source.stat().st_size != item.size or checksum(source) != item.sha256:
            return False
        with _placed(target) as temporary:
            try:
                os.link(source, temporary)  # nothing of ours is ever changed in its place
            except OSError:
                shutil.copyfile(source, temporary)
            return sum_of(temporary) == item.sha256
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False


def _sent(target: Path, item: Item, fetch: Callable[[Item], Iterable[Any] | None]) -> bool:
    """Writes a file that was sent."""
    if (parts := fetch(item)) is None:
        return False
    with _placed(target) as temporary:
        write_parts(temporary, parts)
        if sum_of(temporary) != item.sha256:
            raise BenchError(f"{item.path} did not arrive as it was sent.")
    return True


def write_parts(path: Path, parts: Iterable[Any]) -> None:
    """Appends parts to a file."""
    with path.open("ab") as file:
        for part in parts:
            file.write(memoryview(part))


@contextlib.contextmanager
def _placed(target: Path) -> Iterator[Path]:
    """A path that is not there yet, whose file takes the place of `target` at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lay-", dir=target.parent) as scratch:
        temporary = Path(scratch) / "file"
        yield temporary
        temporary.replace(target)


def _inside(folder: Path, path: str) -> Path:
    """A path in a folder, by what another machine says of it.

    Raises:
        BenchError: It leads elsewhere.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise BenchError(f"{path!r} is no path in {folder}.")
    return folder / pure


class Arrival:
    """Files on their way into the run folder: none is seen there before all are whole.

    Args:
        runs: The run folder.
        items: What is to come.

    Raises:
        OSError: The run folder cannot be written.
    """

    def __init__(self, runs: Path, items: Sequence[Item]) -> None:
        self._runs = runs
        self.items = {item.path: item for item in items}
        runs.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".arriving-", dir=runs))

    def take(self, path: str, part: Any) -> None:
        """Takes the next part of a file."""
        if path not in self.items:
            raise BenchError(f"{path!r} was not announced.")
        target = _inside(self.folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_parts(target, [part])

    def check(self) -> None:
        """Checks that all is there.

        Raises:
            BenchError: Something is missing, or is not what was sent.
        """
        for item in self.items.values():
            path = _inside(self.folder, item.path)
            if not path.is_file() or sum_of(path) != item.sha256:
                raise BenchError(f"{item.path} did not arrive as it was sent.")
            with path.open("rb") as file:
                os.fsync(file.fileno())

    def under(self, place: str) -> Mapping[str, Item]:
        """What has come into a folder, by its name there."""
        start = f"{place}/"
        return {p.removeprefix(start): i for p, i in self.items.items() if p.startswith(start)}

    def put(self, path: str, target: Path) -> None:
        """Moves a file that has come, and its checksum where the sender's folder keeps one."""
        source = _inside(self.folder, path)
        if source.name == SUMS:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        source.chmod(0o644)
        source.replace(target)
        if (kept := read_sums(source.parent).get(source.name)) is not None:
            write_sums(target.parent, {target.name: kept})

    def close(self) -> None:
        """Removes what is left of it."""
        remove(self.folder, self._runs)
