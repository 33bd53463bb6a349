"""Unlabelled text: a file or a data set of the hub, tokenised once and kept for all cells."""

from __future__ import annotations

import functools
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from bench.checksums import is_as_written
from bench.data.encoded import Encoded
from bench.data.tasks.formats import check_lines
from bench.data.tasks.rows import Layout, read_rows
from bench.errors import BenchError
from bench.files import read_json, short_hash, write_json
from bench.inputs import USUAL, Limits, read_bytes
from bench.models.checkpoint import load_tokenizer, max_pieces
from bench.models.folder import tokenizer_hash
from bench.schema import Count

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMN = "text"
"""Where `.jsonl` and `.parquet` files hold their passages."""

SUFFIXES = (".txt", ".jsonl", ".parquet")

_LAYOUT = Layout(text=(COLUMN,), label="")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Text that was tokenised into a folder; plain data, so that worker processes can be sent it.

    Attributes:
        name: Last part of the file's or the data set's name.
        hash: Hash of the passages.
        path: Where the tokenised rows lie.
        rows: How many there are.
        skipped: One line `file:line: reason` for each row of a file that could not be read.
    """

    name: str
    hash: str
    path: Path
    rows: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """Files of unlabelled text.

    Attributes:
        name: Last part of the file's or the data set's name.
        hash: Hash of the files.
        files: The files.
        limits: How much they may hold, all together.
    """

    name: str
    hash: str
    files: tuple[Path, ...]
    limits: Limits = USUAL


class _Described(Struct, kw_only=True):
    """What `corpus.json` has to say."""

    rows: Count
    pieces: Count
    skipped: list[str] = []


def find_text(source: str, offline: bool, limits: Limits = USUAL) -> Text:
    """Finds unlabelled text.

    Args:
        source: A file (`.txt`: a passage a line; `.jsonl`, `.parquet`: column `text`), or the name
            of a data set on the hub that holds such files.
        offline: Never ask the network.
        limits: How much the files may hold, all together.

    Raises:
        BenchError: There is no such file or data set, or it cannot be read.
    """
    state, files, size = hashlib.sha256(), _files(source, offline), 0
    for path in files:
        content = _read_bytes(path, limits)
        size += len(content)
        if wrong := limits.objection(size=size):
            raise BenchError(f"--corpus {source}: {wrong}.")
        if len(files) > 1 or path.suffix != ".txt":  # the same bytes are other texts elsewhere
            state.update(f"{path.suffix} {len(content)} ".encode())
        state.update(content)
    name = source.rstrip("/").rpartition("/")[2]
    return Text(name, state.hexdigest()[:16], tuple(files), limits)


def prepare_corpus(text: Text, encoder: Path, cache: Path, length: int) -> Corpus:
    """Reads and tokenises unlabelled text, as far as the cache does not have it yet.

    Args:
        text: The files.
        encoder: Folder of the encoder, whose tokenizer and positions count.
        cache: Folder for tokenised rows.
        length: Pieces of a row at most; a longer passage becomes several rows.

    Raises:
        BenchError: A file is not what its extension says, or there is no text in any.
    """
    limit = min(length, max_pieces(encoder))
    folder = cache / f"corpus-{short_hash([text.hash, tokenizer_hash(encoder), limit])}"
    done = read_json(folder / "corpus.json", _Described)
    if done is None or not is_as_written(folder / "rows.parquet"):
        passages: list[str] = []
        skipped: list[str] = []
        for path in text.files:
            found, unreadable = read_passages(path, text.limits)
            passages += found
            skipped += unreadable
            if wrong := text.limits.objection(size=sum(map(len, passages)), rows=len(passages)):
                raise BenchError(f"{text.name}: {wrong}.")
        if not passages:
            raise BenchError(f"{text.name} holds no text.")
        rows = _encode(passages, encoder, limit)
        rows.save(folder / "rows.parquet")
        done = {"rows": len(rows), "pieces": len(rows.pieces), "skipped": skipped}
        write_json(folder / "corpus.json", done)
    return Corpus(
        name=text.name,
        hash=text.hash,
        path=folder / "rows.parquet",
        rows=done["rows"],
        skipped=tuple(done.get("skipped", ())),
    )


@functools.lru_cache(maxsize=1)
def load_corpus(path: Path) -> Encoded:
    """The tokenised rows of a corpus; their labels are all zero."""
    return Encoded.load(path)


def read_passages(path: Path, limits: Limits) -> tuple[list[str], list[str]]:
    """The passages of a file, empty ones left out, and a line for each row that cannot be read.

    Raises:
        BenchError: The file cannot be read, its layout is not what its extension says, or it has
            more than is allowed.
    """
    if path.suffix in (".jsonl", ".parquet"):  # as a labelled table is
        rows = read_rows(path.parent, path.name, _LAYOUT, None, limits, unlabelled=True)
        found, skipped = rows.columns["text"], rows.skipped
    else:
        found, skipped = _lines(path, limits), []
    return [text.strip() for text in found if text.strip()], skipped


def _lines(path: Path, limits: Limits) -> list[str]:
    data = _read_bytes(path, limits)
    try:
        check_lines(data, limits)
        return list(io.StringIO(data.decode("utf-8-sig"), newline=None))
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not UTF-8 (byte {error.start}); convert the file.") from None
    except ValueError as error:
        raise BenchError(f"{path}: {error}.") from None


def _read_bytes(path: Path, limits: Limits) -> bytes:
    try:
        return read_bytes(path, limits)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}.") from None


def _files(source: str, offline: bool) -> list[Path]:
    """The file itself, or those of the data set on the hub."""
    from bench import hub

    path = hub.local_path(source)
    if path.exists() and not path.is_dir():
        if path.suffix not in SUFFIXES:
            raise BenchError(f"--corpus {source} is none of {', '.join(SUFFIXES)}.")
        return [path]
    if path.is_dir() or hub.is_path(source) or path.suffix in SUFFIXES:
        raise BenchError(f"--corpus {source} is no file; it takes one of {', '.join(SUFFIXES)}.")
    folder = hub.snapshot(
        source,
        "dataset",
        files=[f"*{suffix}" for suffix in SUFFIXES],
        offline=offline,
        remedy="Either name a local file with --corpus FILE, or run once with a network.",
    )
    files = sorted(file for suffix in SUFFIXES for file in folder.rglob(f"*{suffix}"))
    if not files:
        raise BenchError(f"the data set {source} has no {' or '.join(SUFFIXES)} file.")
    return files


def _encode(passages: Sequence[str], encoder: Path, limit: int) -> Encoded:
    """Tokenises passages, each into as many rows as it takes."""
    output = load_tokenizer(encoder)(
        list(passages), truncation=True, max_length=limit, return_overflowing_tokens=True
    )
    rows = output["input_ids"]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Encoded.unlabelled(np.concatenate([np.asarray(row, np.int32) for row in rows]), offsets)
