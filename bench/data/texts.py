"""The texts of a task's rows, kept beside their word pieces for who reads words and no pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.checksums import is_as_written
from bench.data.encoded import Encoded
from bench.files import read_json
from bench.models.checkpoint import load_tokenizer, max_pieces
from bench.parquet import read_parquet, write_parquet

if TYPE_CHECKING:
    from datasets import Dataset

Split = Literal["train", "report"]
"""The files that rows lie in; fit and tune rows are of `train`."""

Texts = tuple[str, ...]
"""A row's one text, or the two of a pair."""


def texts_of_rows(rows: Dataset) -> list[Texts]:
    """The texts of a task's rows, `[rows]`."""
    columns = [rows[name][:] for name in ("text", "text_pair") if name in rows.column_names]
    return list(zip(*columns, strict=True))


def keep_texts(folder: Path, splits: Mapping[Split, Dataset]) -> None:
    """Writes the texts of rows by their ids, where they are not there yet.

    Args:
        folder: Where the rows' word pieces lie.
        splits: The rows of each file.
    """
    import pyarrow

    for split, rows in splits.items():
        if not is_as_written(path := _file(folder, split)):
            names = [name for name in ("id", "text", "text_pair") if name in rows.column_names]
            write_parquet(path, pyarrow.table({name: rows[name][:] for name in names}))


def read_texts(folder: Path, split: Split, ids: Sequence[str]) -> list[Texts]:
    """The texts of some rows, in the order of their ids.

    Args:
        folder: As `keep_texts` had it.
        split: The file that they lie in.
        ids: Ids of a task's own rows, not of their augmentations.

    Raises:
        BenchError: The file is damaged.
    """
    table = read_parquet(_file(folder, split), f"remove {folder}, and it is made anew")
    columns = [table[name].to_pylist() for name in table.column_names if name != "id"]
    texts = zip(*columns, strict=True)
    known: dict[str, Texts] = dict(zip(table["id"].to_pylist(), texts, strict=True))
    return [known[row] for row in ids]


def find_prepared(data: Path, task: str, fingerprint: str) -> Path | None:
    """The folder of a task's rows among those of a run folder's `data`, if it has them.

    Args:
        data: That folder.
        task: The task's name.
        fingerprint: Of its rows, as records have it.
    """
    for described in sorted(data.glob(f"{task}-*/prepared.json")):
        if (read_json(described) or {}).get("fingerprint") == fingerprint:
            return described.parent
    return None


def report_texts(folder: Path) -> list[Texts]:
    """The texts of all report rows, in the order of predictions; see `find_prepared`."""
    return read_texts(folder, "report", Encoded.load(folder / "report.parquet").asked)


def encode_texts(texts: Sequence[str], encoder: Path, length: int) -> Encoded:
    """Tokenises single texts, each a row.

    Args:
        texts: The texts.
        encoder: Folder of the encoder.
        length: Pieces of a row at most, as far as the encoder takes them.
    """
    tokenizer, limit = load_tokenizer(encoder), min(length, max_pieces(encoder))
    rows = tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Encoded.unlabelled(np.concatenate([np.asarray(row, np.int32) for row in rows]), offsets)


def _file(folder: Path, split: Split) -> Path:
    return folder / f"{split}-texts.parquet"
