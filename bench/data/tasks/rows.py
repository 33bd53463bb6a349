"""Labelled rows out of files: the one place that judges what a readable row is.

A row that cannot be read (missing columns, no text, no label) is left out and named. What casts
doubt on the whole file stops instead: a label that is none of the valid ones, a missing column, a
file that is empty, cut off, not UTF-8, or has too many unreadable rows.

Formats go by the extension: `.tsv` (GLUE's: quotes are text, one row a line), `.csv` (RFC 4180:
quoted cells may hold commas, quotes and line ends), `.jsonl` (one object a line) and `.parquet`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.task import Splits
from bench.errors import BenchError

if TYPE_CHECKING:
    from datasets import Dataset

_NO_LABEL = ("", "-", "None")

_LARGEST = (2 - 2**-23) * 2.0**127
"""Of float32, which models learn labels in."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns of a file hold what.

    Attributes:
        text: Column of the text, or both columns of a pair.
        label: Column of the label; empty for rows without one.
        header: Names of all columns, for a file that does not begin with them.
        named: Whether labels may be written as class names; class numbers always may.
        low: Smallest valid label of a regression.
        high: Largest valid label of a regression.
    """

    text: tuple[str, ...]
    label: str
    header: tuple[str, ...] = ()
    named: bool = False
    low: float = -_LARGEST
    high: float = _LARGEST


@dataclass(frozen=True)
class Rows:
    """The readable rows of one file.

    Attributes:
        columns: Equally long lists: `id` (the row's number in the file, from 0), `text`,
            `text_pair` where there are pairs, `label`.
        skipped: One line `file:line: reason` for each unreadable row.
        digest: First twelve hexadecimal digits of the file's SHA-256.
    """

    columns: dict[str, list[Any]]
    skipped: list[str]
    digest: str


class _UnreadableRow(Exception):  # noqa: N818  # no error: the row is left out
    """Why a row is left out."""


class _EmptyText(_UnreadableRow):
    """A row that is whole, but has no text to read; it says nothing of the file's end."""


@dataclass(frozen=True)
class _Table:
    """A file taken apart: names of its columns, and (line, cells or what is wrong) of each row."""

    names: list[str]
    rows: Iterator[tuple[int, list[Any] | str]]


def read_splits(
    folder: Path,
    layout: Layout,
    labels: tuple[str, ...] | None,
    *,
    train: str,
    dev: Mapping[str, str],
    provenance: Mapping[str, str],
    remedy: str = "",
) -> Splits:
    """Reads a task's files.

    Args:
        folder: Where the files are.
        layout: Which columns they have, looked up by name.
        labels: Class names in the order of their numbers; `None` for a regression.
        train: File of the rows to learn from, relative to `folder`.
        dev: File of each part of the report rows; a single file has the part `""`.
        provenance: What to say of the source, beside the files and their digests.
        remedy: What to do where a file is missing, as a sentence.

    Raises:
        BenchError: A file is missing or unreadable, or its content is not what the layout says.
    """
    read = {
        name: read_rows(folder, name, layout, labels, remedy) for name in (train, *dev.values())
    }
    files = ", ".join(f"{name} {rows.digest}" for name, rows in read.items())
    return Splits(
        train=_dataset({"": read[train]}),
        dev=_dataset({part: read[name] for part, name in dev.items()}),
        provenance={**provenance, "files": files},
        skipped=tuple(line for rows in read.values() for line in rows.skipped),
    )


def read_unlabelled(
    folder: Path, name: str, layout: Layout, is_regression: bool, remedy: str = ""
) -> Dataset:
    """Reads one file whose labels nobody but its owner has; they are 0 here.

    Raises:
        BenchError: The file is missing or unreadable, or one of its rows is.
    """
    rows = read_rows(folder, name, replace(layout, label=""), None, remedy)
    if rows.skipped:
        raise BenchError(f"every row is to be answered, but {rows.skipped[0]}.")
    if not is_regression:
        rows.columns["label"] = [0] * len(rows.columns["id"])
    return _dataset({"": rows})


def read_rows(
    folder: Path, name: str, layout: Layout, labels: tuple[str, ...] | None, remedy: str = ""
) -> Rows:
    """Reads one file; arguments and errors as for `read_splits`."""
    path = folder / name
    data = _read_bytes(path, remedy)
    try:
        table = FORMATS[path.suffix](data, layout)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is no {path.suffix} file: {_clip(error)}.") from None
    wanted = [column for column in (*layout.text, layout.label) if column]
    needed = [_position(path, table.names, column) for column in wanted]
    parse_label = _score_parser(layout) if labels is None else _class_parser(labels, layout.named)
    columns: dict[str, list[Any]] = {"id": [], "text": [], "text_pair": [], "label": []}
    skipped: list[str] = []
    index, broken_off = -1, ""
    try:
        for index, (line, cells) in enumerate(table.rows):
            try:
                found = _cells(cells, table.names, needed, len(layout.text))
                texts = found[: len(layout.text)]
                number = parse_label(found[-1]) if layout.label else 0.0
            except _UnreadableRow as reason:
                broken_off = "" if isinstance(reason, _EmptyText) else str(reason)
                skipped.append(f"{name}:{line}: {reason}")
                continue
            except ValueError as error:
                raise BenchError(f"{path}:{line}: {error}.") from None
            broken_off = ""
            columns["id"].append(str(index))
            columns["text"].append(texts[0])
            columns["text_pair"].append(texts[-1])
            columns["label"].append(number)
    except csv.Error as error:
        raise BenchError(f"{path}: {error} after row {index + 1}.") from None
    if broken_off and path.suffix != ".parquet" and not data.endswith(b"\n"):
        raise BenchError(f"{path}:{line}: the file is cut off in its last line: {broken_off}.")
    _check_count(path, index + 1, skipped)
    if len(layout.text) == 1:
        del columns["text_pair"]
    return Rows(columns, skipped, hashlib.sha256(data).hexdigest()[:12])


def _read_bytes(path: Path, remedy: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BenchError(f"no file {path}. {remedy}".rstrip()) from None
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}.") from None
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise BenchError(f"{path} is empty.")
    if path.suffix != ".parquet":
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            byte = f"byte {error.start} (0x{data[error.start]:02x})"
            raise BenchError(f"{path}:{line}: {byte} is not UTF-8; convert the file.") from None
    return data


def _lines(data: bytes) -> list[str]:
    # Not str.splitlines, which also splits at characters that texts hold, such as U+2028.
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _tsv(data: bytes, layout: Layout) -> _Table:
    lines = _lines(data)
    first = 1 if layout.header else 2
    names = list(layout.header) or lines[0].split("\t")
    rows = enumerate(lines[first - 1 :], first)
    return _Table(names, ((number, line.split("\t")) for number, line in rows))


def _csv(data: bytes, layout: Layout) -> _Table:
    csv.field_size_limit(2**31 - 1)  # the default refuses texts of more than 131,072 characters
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    try:
        names = list(layout.header) or next(reader)
    except csv.Error as error:
        raise ValueError(error) from None

    def rows() -> Iterator[tuple[int, list[Any] | str]]:
        line = reader.line_num + 1
        for cells in reader:
            if cells:  # a blank line is no row
                yield line, cells
            line = reader.line_num + 1

    return _Table(names, rows())


def _jsonl(data: bytes, _: Layout) -> _Table:
    found = [_json_object(line) for line in _lines(data)]
    if isinstance(found[0], str):
        raise ValueError(f"line 1: {found[0]}")
    names = list(dict.fromkeys(name for row in found if isinstance(row, dict) for name in row))

    def cells(row: dict[str, Any] | str) -> list[Any] | str:
        return row if isinstance(row, str) else [row.get(name) for name in names]

    return _Table(names, ((number, cells(row)) for number, row in enumerate(found, 1)))


def _json_object(line: str) -> dict[str, Any] | str:
    """The object that a line holds, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    return row if isinstance(row, dict) else "no JSON object"


def _parquet(data: bytes, _: Layout) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except OSError as error:  # what Arrow raises for broken contents, too
        raise ValueError(error) from None
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return _Table(table.column_names, ((n, list(cells)) for n, cells in enumerate(rows, 1)))


FORMATS: dict[str, Callable[[bytes, Layout], _Table]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
"""How each extension is read."""


def _position(path: Path, names: list[str], column: str) -> int:
    if column not in names:
        raise BenchError(
            f"{path} has no column '{column}'; it has: {_clip(', '.join(map(repr, names)))}."
        )
    if names.count(column) > 1:
        raise BenchError(f"{path} has {names.count(column)} columns called '{column}'.")
    return names.index(column)


def _cells(cells: list[Any] | str, names: list[str], needed: list[int], texts: int) -> list[Any]:
    """The texts and, where it is needed, the label of a row."""
    if isinstance(cells, str):
        raise _UnreadableRow(cells)
    if len(cells) != len(names):
        raise _UnreadableRow(f"{len(cells)} columns instead of {len(names)}")
    for position in needed[:texts]:
        text = cells[position]
        if not isinstance(text, str) or not text.strip():
            raise _EmptyText(f"no text in column '{names[position]}'")
        if re.search("[\ud800-\udfff]", text):
            raise _EmptyText(f"half a surrogate pair in column '{names[position]}'")
    return [cells[position] for position in needed]


def _class_parser(labels: tuple[str, ...], named: bool) -> Callable[[Any], int]:
    """From what a file says to a class number; `ValueError` where it is none of the valid ones."""
    numbers = {str(number): number for number in range(len(labels))}
    names = {label: number for number, label in enumerate(labels)} if named else {}
    # Names that are numbers themselves ("1" to "5" stars) leave no room for class numbers.
    known = names if names.keys() & numbers.keys() else numbers | names

    def parse(value: Any) -> int:
        text = str(value).strip()
        if text in known:
            return known[text]
        if text in _NO_LABEL or not (named or text.lstrip("+-").isdecimal()):
            raise _UnreadableRow(f"label '{_clip(text)}' cannot be read")
        raise ValueError(f"label '{_clip(text)}' is none of {', '.join(known)}")

    return parse


def _score_parser(layout: Layout) -> Callable[[Any], float]:
    """From what a file says to a number; `ValueError` where it is not a valid one."""

    def parse(value: Any) -> float:
        try:
            score = float(value)
        except (TypeError, ValueError, OverflowError):
            raise _UnreadableRow(f"label '{_clip(value)}' cannot be read") from None
        if not layout.low <= score <= layout.high:
            raise ValueError(f"label {score:g} is no number from {layout.low:g} to {layout.high:g}")
        return score

    return parse


def _check_count(path: Path, total: int, skipped: list[str]) -> None:
    """Accepts a few bad rows, as the real QQP has, but no file that is broken or something else."""
    if total == 0:
        raise BenchError(f"{path} has a header and no rows.")
    if len(skipped) > min(total // 2, max(20, total // 20)):
        count = f"{len(skipped)} of {total} rows cannot be read"
        raise BenchError(f"{path}: {count}, the first being {skipped[0]}.")


def _dataset(parts: Mapping[str, Rows]) -> Dataset:
    """One data set of all parts; the part stands in each id and in a column unless it is `""`."""
    from datasets import Dataset, Features, Value

    columns: dict[str, list[Any]] = {}
    for part, rows in parts.items():
        given = dict(rows.columns)
        if part:
            given["id"] = [f"{part}:{row}" for row in given["id"]]
            given["part"] = [part] * len(given["id"])
        for name, values in given.items():
            columns.setdefault(name, []).extend(values)
    number = "float64" if isinstance(columns["label"][0], float) else "int64"
    types = {name: Value("string") for name in columns} | {"label": Value(number)}
    return Dataset.from_dict(columns, features=Features(types))


def _clip(value: object) -> str:
    """A value from a file, short enough for one line of a message."""
    text = " ".join(str(value).encode(errors="replace").decode().split())
    return text if len(text) <= 120 else f"{text[:119]}…"
