"""Plain data read, hashed, locked, and written whole or not at all.

A file is written to a temporary one beside it, synced and renamed. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.checksums import damaged, is_as_written, sum_of, temporary_beside, write_sums
from bench.errors import BenchError, first_line, text_of
from bench.inputs import NO_FILE, read_bytes, read_text

if TYPE_CHECKING:
    from filelock import BaseFileLock


def short_hash(key: object) -> str:
    """Sixteen hexadecimal digits over what Python prints of plain data, such as a cache's key."""
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]


@contextlib.contextmanager
def atomic_path(target: Path, *, sealed: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `target` that takes its place when the block ends well.

    Args:
        target: The file.
        sealed: Whether its folder keeps a checksum of it; see `bench.checksums`.

    Raises:
        OSError: The folder cannot be written to, the disk is full, or the target is a device, which
            root would put a file in the place of.
    """
    if _is_device(target):
        raise OSError(errno.EINVAL, "it is no regular file", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(target) as temporary:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide a shared folder's records from others
        if sealed:  # a kill between any two of the lines leaves a file without a sum at worst
            found = sum_of(temporary)
            write_sums(target.parent, {target.name: None})
        temporary.replace(target)
        if sealed:
            write_sums(target.parent, {target.name: found})


def _is_device(target: Path) -> bool:
    """Whether a path, or what it links to, as `/dev/stdout` does, is no place for a file."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    is_piped = stat.S_ISFIFO(mode) and target.is_symlink()
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode) or is_piped


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what one command needs and nobody keeps, where `TMPDIR` says.

    Raises:
        BenchError: There is no room for it; the message names it, since nobody knows of it.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    except OSError as error:
        made = tempfile.tempdir  # nothing where no folder will do
        if made is None or is_storage_error(error):
            where = f"the temporary folder {made}" if made else "no temporary folder"
            reason = "can be written" if made is None else f"has no room: {first_line(error)}"
            raise BenchError(f"{where} {reason}; TMPDIR may name another.") from error
        raise


def inside(folder: Path, name: str) -> Path:
    """A file or folder in one of ours, by a name that may come out of a file that anybody wrote.

    Raises:
        BenchError: The name could lead elsewhere.
    """
    from bench.schema import Id, is_of

    if not is_of(name, Id):
        raise BenchError(f"{folder}: {name[:80]!r} is no name of a file in it.")
    return folder / name


LOGS_ELSEWHERE = "trackers/wandb/wandb/*/logs/debug-core.log"
"""A link that wandb makes to a log in its cache. A run that has ended is written no more."""


def refuse_outward_links(folder: Path) -> None:
    """Sees to it that what is written in a folder of ours does not land elsewhere by its links.

    A link that leads to another place in it is fine, and so is one that is the folder itself, or
    one of `LOGS_ELSEWHERE`.

    Raises:
        BenchError: One leads out of it.
    """
    left = [folder] if folder.is_dir() else []
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    is_log = Path(entry).match(LOGS_ELSEWHERE)
                    if not is_log and not _lies_in(Path(entry), folder):
                        raise BenchError(
                            f"{entry.path} leads out of {folder}, where nothing may be written: "
                            "put a copy of what it leads to in its place, or remove it."
                        )
                elif entry.is_dir():
                    left.append(Path(entry))


def remove(path: Path, root: Path) -> None:
    """Removes a file or folder that lies in a folder of ours, and nothing that lies elsewhere.

    What a run folder's files name, and where its links lead, is somebody else's word. A link is
    taken away, not followed.

    Args:
        path: What is to go; it may be gone already.
        root: The folder that it has to lie in.
    """
    if not _lies_in(path.parent, root):
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(target: Path, data: bytes) -> None:
    """Writes a file with a checksum; its errors are the system's own, as a library's may not be."""
    with atomic_path(target, sealed=True) as temporary:
        temporary.write_bytes(data)


SEAL = '{\n "sha256": "'
"""How a JSON file of ours begins; the sum of all that follows its line, and that line's end, come
after it."""


def write_json(target: Path, value: Mapping[str, Any]) -> None:
    """Writes plain data atomically as JSON, its checksum first; NaN has no place in it.

    Nor has half of a surrogate pair, as in the name of a file: it is written out.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    text = re.sub("[\ud800-\udfff]", lambda half: f"\\\\u{ord(half[0]):x}", text)
    if value:
        rest = text.removeprefix("{\n")
        text = f'{SEAL}{hashlib.sha256(rest.encode()).hexdigest()}",\n{rest}'
    write_text(target, text)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file of ours; none of an empty one.

    Raises:
        BenchError: It cannot be read.
    """
    try:
        text = read_bytes(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {first_line(error)}.") from None
    # Not str.splitlines, which also splits at characters that messages hold, such as U+2028.
    return text.removesuffix("\n").split("\n") if text else []


def read_json(path: Path, kind: type[Any] = object) -> Any | None:
    """Reads a JSON file of ours; `None` where there is none, or where it is damaged.

    Args:
        path: The file.
        kind: What it has to say; it may say more.
    """
    from bench.schema import check

    try:
        held = _unsealed(read_bytes(path))
        if kind is not object:
            check(held, kind)
        return held
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, BenchError) as error:
        damaged(path, str(error))
        return None
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        damaged(path, str(error.strerror))
        return None


def read_checked(path: Path, kind: type[Any]) -> Any:
    """Reads a JSON file of ours that has to say what a type declares, and may say more.

    Returns:
        The plain data.

    Raises:
        BenchError: The reason: it cannot be read, it is damaged, or a field is not what it should
            be.
    """
    from bench.schema import check

    try:
        held = _unsealed(read_bytes(path))
    except OSError as error:
        raise BenchError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BenchError(str(error)) from None
    check(held, kind)
    return held


def _unsealed(data: bytes) -> Any:
    """Plain data from the bytes of a JSON file; without a checksum it is of before there were any.

    Raises:
        ValueError: It is no JSON, or not what was written.
    """
    from bench.schema import parse_json  # not above: who only hashes needs no msgspec

    head = SEAL.encode()
    if not data.startswith(head):
        return parse_json(data)
    line, _, rest = data.partition(b'",\n')
    if line != head + hashlib.sha256(rest).hexdigest().encode():
        raise ValueError("it does not match its checksum")
    return parse_json(b"{" + rest)


def is_whole(path: Path) -> bool:
    """Whether a safetensors file is there, as it was written, and as long as its header says."""
    from safetensors import SafetensorError, safe_open

    if not is_as_written(path):
        return False
    try:
        with safe_open(path, framework="np"):
            return True
    except (OSError, SafetensorError):
        return False


def lock(folder: Path, name: str) -> BaseFileLock:
    """A lock in a folder, such as a run folder; it dies with the process that holds it."""
    from filelock import FileLock

    locks = folder / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(inside(locks, f"{name}.lock"))


def json_hash(value: object) -> str:
    """SHA-256 over the canonical JSON of plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_storage_error(error: BaseException, folder: Path | None = None) -> bool:
    """Whether an error says that the disk is full or cannot be written.

    Args:
        error: The error.
        folder: Where that matters: an error that names a file elsewhere says nothing of it.
    """
    no_writing = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    chain: BaseException | None = error
    seen: set[int] = set()  # of a method's errors, one may be its own cause
    while chain is not None and id(chain) not in seen:
        seen.add(id(chain))
        if isinstance(chain, OSError) and chain.errno in no_writing:
            named = chain.filename
            return folder is None or not isinstance(named, str) or _lies_in(Path(named), folder)
        if "No space left on device" in text_of(chain):  # what safetensors' own writer says
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _lies_in(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:  # a link that leads to itself, until Python 3.13
        return False


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_LEVELS = 20
"""How deep a file may be nested; ours need three."""

MOST_BITS = 64
"""Of a whole number; one of thousands of digits cannot even be shown in a message."""


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        BenchError: The file cannot be read, or is no TOML.
    """
    try:
        content: dict[str, Any] = tomllib.loads(read_text(path))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        reason = str(error).partition(";")[0]  # behind it Python says how it takes longer numbers
        raise BenchError(f"{path} is no TOML: {reason}.") from None
    except RecursionError:
        raise BenchError(f"{path} is nested too deep.") from None
    level: list[Any] = [content]
    for _ in range(MOST_LEVELS):
        if any(type(held) is int and held.bit_length() > MOST_BITS for held in level):
            raise BenchError(f"{path} has a whole number of more than {MOST_BITS} bits.")
        inner = [held.values() if isinstance(held, dict) else held for held in level
                 if isinstance(held, dict | list)]  # fmt: skip
        level = list(itertools.chain.from_iterable(inner))
    if level:  # dotted keys are read to any depth, but no message could show their value
        raise BenchError(f"{path} is nested too deep.")
    return content
