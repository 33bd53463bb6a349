"""Unlabelled text: a file or a data set of the hub, tokenised once and kept for all cells."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.checksums import is_as_written
from bench.data.encoded import Encoded
from bench.errors import BenchError
from bench.files import read_json, short_hash, write_json
from bench.models.checkpoint import load_tokenizer, max_pieces
from bench.models.folder import tokenizer_hash
from bench.schema import Count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMN = "text"
"""Where `.jsonl` and `.parquet` files hold their passages."""

SUFFIXES = (".txt", ".jsonl", ".parquet")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Text that was tokenised into a folder; plain data, so that worker processes can be sent it.

    Attributes:
        name: Last part of the file's or the data set's name.
        hash: Hash of the passages.
        path: Where the tokenised rows lie.
        rows: How many there are.
    """

    name: str
    hash: str
    path: Path
    rows: int


@dataclass(frozen=True)
class Text:
    """Files of unlabelled text.

    Attributes:
        name: Last part of the file's or the data set's name.
        hash: Hash of the files.
        files: The files.
    """

    name: str
    hash: str
    files: tuple[Path, ...]


def find_text(source: str, offline: bool) -> Text:
    """Finds unlabelled text.

    Args:
        source: A file (`.txt`: a passage a line; `.jsonl`, `.parquet`: column `text`), or the name
            of a data set on the hub that holds such files.
        offline: Never ask the network.

    Raises:
        BenchError: There is no such file or data set, or it cannot be read.
    """
    state, files = hashlib.sha256(), _files(source, offline)
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BenchError(f"cannot read {path}: {error.strerror}.") from None
        if len(files) > 1 or path.suffix != ".txt":  # the same bytes are other texts elsewhere
            state.update(f"{path.suffix} {len(content)} ".encode())
        state.update(content)
    name = source.rstrip("/").rpartition("/")[2]
    return Text(name, state.hexdigest()[:16], tuple(files))


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
    done = read_json(folder / "corpus.json", dict[str, Count])
    if done is None or not is_as_written(folder / "rows.parquet"):
        passages = [passage for path in text.files for passage in read_passages(path)]
        if not passages:
            raise BenchError(f"{text.name} holds no text.")
        rows = _encode(passages, encoder, limit)
        rows.save(folder / "rows.parquet")
        done = {"rows": len(rows), "pieces": len(rows.pieces)}
        write_json(folder / "corpus.json", done)
    return Corpus(name=text.name, hash=text.hash, path=folder / "rows.parquet", rows=done["rows"])


@functools.lru_cache(maxsize=1)
def load_corpus(path: Path) -> Encoded:
    """The tokenised rows of a corpus; their labels are all zero."""
    return Encoded.load(path)


def read_passages(path: Path) -> list[str]:
    """The passages of a file, empty ones left out.

    Raises:
        BenchError: The file cannot be read, or its layout is not what its extension says.
    """
    try:
        found = _parquet(path) if path.suffix == ".parquet" else _lines(path)
        return [text.strip() for text in found if text.strip()]
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not UTF-8 (byte {error.start}); convert the file.") from None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if path.suffix != ".jsonl":
                yield line
                continue
            try:
                text = json.loads(line)[COLUMN]
                str.encode(text)  # which half a surrogate pair cannot be
            except (ValueError, KeyError, TypeError, RecursionError):
                raise BenchError(
                    f"{path}:{number}: no JSON object with a text under '{COLUMN}'."
                ) from None
            yield text


def _parquet(path: Path) -> list[str]:
    from pyarrow import ArrowInvalid, parquet

    try:
        column = parquet.read_table(path, columns=[COLUMN])
    except ArrowInvalid as error:
        raise BenchError(f"{path} is no Parquet file: {error}.") from None
    if not column.num_columns or str(column.schema[0].type) not in ("string", "large_string"):
        raise BenchError(f"{path} has no column '{COLUMN}' of texts.")
    return [text or "" for text in column[COLUMN].to_pylist()]


def _files(source: str, offline: bool) -> list[Path]:
    """The file itself, or those of the data set on the hub."""
    from bench import hub

    path = hub.local_path(source)
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise BenchError(f"--corpus {source} is none of {', '.join(SUFFIXES)}.")
        return [path]
    if path.exists() or hub.is_path(source) or path.suffix in SUFFIXES:
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
