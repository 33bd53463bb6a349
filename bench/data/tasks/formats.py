"""Files of rows taken apart, by their extension: `.tsv`, `.csv`, `.jsonl` and `.parquet`.

`.tsv` is GLUE's (quotes are text, one row a line), `.csv` that of RFC 4180 (quoted cells may hold
commas, quotes and line ends), `.jsonl` has one object a line. Blank lines are no rows. Only the
columns that are wanted are read, and no more than the limits allow.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.inputs import MOST_COLUMNS, Limits
from bench.parquet import batches, open_bounded
from bench.schema import parse_json

if TYPE_CHECKING:
    from pyarrow import Array

Row = dict[str, Any] | str
"""The wanted cells of a row by column, or what is wrong with it."""


@dataclass(frozen=True)
class Asked:
    """What is wanted of a file.

    Attributes:
        header: Names of its columns, where the file does not begin with them.
        columns: The columns whose cells are read.
        limits: How much it may hold.
    """

    header: tuple[str, ...]
    columns: Collection[str]
    limits: Limits


@dataclass(frozen=True)
class Table:
    """A file taken apart.

    Attributes:
        names: Of its columns.
        rows: The line, and the cells or what is wrong, of each row.
        classes: Names of the labels' classes in the order of their numbers, by column, where the
            file says them.
    """

    names: list[str]
    rows: Iterator[tuple[int, Row]]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Unreadable:
    """What stands in the place of a cell that is neither text nor number.

    Attributes:
        kind: What the file calls such a cell.
    """

    kind: str


def _lines_of(data: bytes, limits: Limits) -> list[str]:
    """The lines of a text; a byte-order mark is no part of the first.

    Raises:
        ValueError: There are too many, or one is too long.
    """
    check_lines(data, limits)
    # Not str.splitlines, which also splits at characters that texts hold, such as U+2028.
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def check_lines(data: bytes, limits: Limits, end: bytes = b"\n") -> None:
    """Looks at how many lines a text has, and how long they are.

    Raises:
        ValueError: There are too many, or one is too long.
    """
    if wrong := limits.objection(rows=data.count(end) - 1):  # one for the header
        raise ValueError(wrong)
    if len(data) > limits.characters:
        longest = max(map(len, data.split(end)))  # in bytes: it is no limit that anything is near
        if wrong := limits.objection(characters=longest):
            raise ValueError(wrong)


def _tsv(data: bytes, asked: Asked) -> Table:
    lines = _lines_of(data, asked.limits)
    first = 1 if asked.header else 2
    names = list(asked.header) or lines[0].split("\t")
    rows = enumerate(lines[first - 1 :], first)
    cells = ((number, line.split("\t")) for number, line in rows if line.strip())
    return Table(names, _named(_whole(cells, len(names)), names, asked.columns))


def _csv(data: bytes, asked: Asked) -> Table:
    most = asked.limits.characters
    csv.field_size_limit(most)  # the default refuses texts of more than 131,072 characters
    check_lines(data, asked.limits, b"\n" if b"\n" in data else b"\r")
    text = data.decode("utf-8-sig")
    if "\n" in text:  # then a lone carriage return is white space within a text
        text = re.sub(r"\r(?!\n)", " ", text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)

    def rows() -> Iterator[tuple[int, list[Any]]]:
        line = reader.line_num + 1
        try:
            for cells in reader:
                if cells:  # a blank line is no row
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            too_long = "field limit" in str(error)
            wrong = asked.limits.objection(characters=most + 1) if too_long else error
            raise ValueError(wrong) from None

    names = list(asked.header) or next(rows(), (1, []))[1]
    return Table(names, _named(_whole(rows(), len(names)), names, asked.columns))


def _named(
    rows: Iterable[tuple[int, list[Any] | str]], names: list[str], columns: Collection[str]
) -> Iterator[tuple[int, Row]]:
    """The wanted cells of rows by the names of their columns."""
    places = {name: place for place, name in enumerate(names) if name in columns}
    for line, cells in rows:
        if isinstance(cells, str):
            yield line, cells
        elif len(cells) != len(names):
            yield line, f"{len(cells)} columns instead of {len(names)}"
        else:
            yield line, {name: cells[place] for name, place in places.items()}


def _whole(
    rows: Iterable[tuple[int, list[Any] | str]], columns: int
) -> Iterator[tuple[int, list[Any] | str]]:
    """Takes short rows together that are one row, taken apart by a line end in one of its cells.

    The second half alone may look like a row, and would be trained on with half of its text. Where
    a quotation mark opens in the one and closes in the other, the row is read; else it is left out.
    """
    halves: list[list[Any]] = []
    first = 0
    for line, cells in rows:
        if isinstance(cells, str):
            yield line, cells
            continue
        if halves and len(_joined([*halves, cells])) > columns:  # no part of it
            yield from ((first, half) for half in halves)
            halves = []
        if not halves and len(cells) >= columns:
            yield line, cells
            continue
        first = first if halves else line
        halves.append(cells)
        if len(row := _joined(halves)) == columns:
            opens, closes = ("".join(half).count('"') % 2 for half in (halves[0], halves[-1]))
            note = f"a line end within a cell: lines {first} to {line} are one row"
            yield first, [_unquoted(cell) for cell in row] if opens and closes else note
            halves = []
    yield from ((first, half) for half in halves)


def _joined(halves: Sequence[list[Any]]) -> list[Any]:
    """The cells of a row whose lines were taken for rows."""
    row = list(halves[0])
    for half in halves[1:]:
        row = [*row[:-1], f"{row[-1]}\n{half[0]}", *half[1:]]
    return row


def _unquoted(cell: str) -> str:
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if quoted else cell


def _jsonl(data: bytes, asked: Asked) -> Table:
    lines = enumerate(_lines_of(data, asked.limits), 1)
    return _of_objects(((n, _json_object(line)) for n, line in lines if line.strip()), asked)


def member(name: str) -> Callable[[bytes, Asked], Table]:
    """How a file of one JSON object is read that has several lists of rows, each by its name."""

    def take(data: bytes, asked: Asked) -> Table:
        held = parse_json(data.decode("utf-8-sig"))
        rows = held.get(name) if isinstance(held, dict) else None
        if not isinstance(rows, list) or not rows:
            raise ValueError(f"it has no list '{name}' of rows")
        if wrong := asked.limits.objection(rows=len(rows)):
            raise ValueError(wrong)
        objects = (row if isinstance(row, dict) else "no JSON object" for row in rows)
        return _of_objects(enumerate(objects, 1), asked)

    return take


def _of_objects(rows: Iterable[tuple[int, Row]], asked: Asked) -> Table:
    """A table of JSON objects, whose columns are all that any of them has."""
    names: dict[str, None] = {}
    found: list[tuple[int, Row]] = []
    for number, row in rows:
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
            row = {name: _plain(row.get(name)) for name in asked.columns}
        found.append((number, row))
        if len(names) > MOST_COLUMNS:
            raise ValueError(f"line {number}: more than {MOST_COLUMNS:,} columns")
    number, first = found[0]
    if isinstance(first, str):
        raise ValueError(f"line {number}: {first}")
    return Table(list(names), iter(found))


def _json_object(line: str) -> Row:
    """The object that a line holds, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    return row if isinstance(row, dict) else "no JSON object"


def _plain(cell: Any) -> Any:
    """A cell, or what is said of one that holds others."""
    if isinstance(cell, list | dict):
        return Unreadable("a list" if isinstance(cell, list) else "an object")
    return cell


def _parquet(data: bytes, asked: Asked) -> Table:
    import pyarrow as pa

    file, plain = open_bounded(pa.BufferReader(data), asked.limits, asked.columns)
    schema = file.schema_arrow
    nested = {
        one.name: Unreadable(str(one.type))
        for one in schema
        if one.name in asked.columns and one.name not in plain
    }

    def rows() -> Iterator[tuple[int, Row]]:
        number = 0
        for length, columns in batches(file, asked.limits, plain):
            cells = {name: _cells(column) for name, column in columns.items()}
            for place in range(length):
                number += 1
                yield number, nested | {name: column[place] for name, column in cells.items()}

    return Table(schema.names, rows(), _class_names(schema.metadata or {}))


def _cells(column: Array) -> list[Any]:
    """Values of a column; texts that no type calls so are texts still."""
    return [_text(cell) if isinstance(cell, bytes) else cell for cell in column.to_pylist()]


def _text(cell: bytes) -> Any:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return Unreadable("bytes that are not UTF-8")


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the classes that the library `datasets` has written into a Parquet file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            column: list(map(str, feature["names"]))
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # said otherwise, or not at all
        return {}


FORMATS: dict[str, Callable[[bytes, Asked], Table]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
"""How each extension is read."""
