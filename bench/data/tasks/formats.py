"""Files of rows taken apart, by their extension: `.tsv`, `.csv`, `.jsonl` and `.parquet`.

`.tsv` is GLUE's (quotes are text, one row a line), `.csv` that of RFC 4180 (quoted cells may hold
commas, quotes and line ends), `.jsonl` has one object a line. Blank lines are no rows.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
    rows: Iterator[tuple[int, list[Any] | str]]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _lines(data: bytes) -> list[str]:
    # Not str.splitlines, which also splits at characters that texts hold, such as U+2028.
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _tsv(data: bytes, header: tuple[str, ...]) -> Table:
    lines = _lines(data)
    first = 1 if header else 2
    names = list(header) or lines[0].split("\t")
    rows = enumerate(lines[first - 1 :], first)
    cells = ((number, line.split("\t")) for number, line in rows if line.strip())
    return Table(names, _whole(cells, len(names)))


def _csv(data: bytes, header: tuple[str, ...]) -> Table:
    csv.field_size_limit(2**31 - 1)  # the default refuses texts of more than 131,072 characters
    text = data.decode("utf-8-sig")
    if "\n" in text:  # then a lone carriage return is white space within a text
        text = re.sub(r"\r(?!\n)", " ", text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = list(header) or next(reader)
    except csv.Error as error:
        raise ValueError(error) from None

    def rows() -> Iterator[tuple[int, list[Any] | str]]:
        line = reader.line_num + 1
        for cells in reader:
            if cells:  # a blank line is no row
                yield line, cells
            line = reader.line_num + 1

    return Table(names, _whole(rows(), len(names)))


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


def _jsonl(data: bytes, _: tuple[str, ...]) -> Table:
    lines = [(number, line) for number, line in enumerate(_lines(data), 1) if line.strip()]
    found = [(number, _json_object(line)) for number, line in lines]
    number, first = found[0]
    if isinstance(first, str):
        raise ValueError(f"line {number}: {first}")
    names = list(dict.fromkeys(name for _, row in found if isinstance(row, dict) for name in row))

    def cells(row: dict[str, Any] | str) -> list[Any] | str:
        return row if isinstance(row, str) else [row.get(name) for name in names]

    return Table(names, ((number, cells(row)) for number, row in found))


def _json_object(line: str) -> dict[str, Any] | str:
    """The object that a line holds, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    return row if isinstance(row, dict) else "no JSON object"


def _parquet(data: bytes, _: tuple[str, ...]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except OSError as error:  # what Arrow raises for broken contents, too
        raise ValueError(error) from None
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    numbered = ((n, list(cells)) for n, cells in enumerate(rows, 1))
    return Table(table.column_names, numbered, _class_names(table.schema.metadata or {}))


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


FORMATS: dict[str, Callable[[bytes, tuple[str, ...]], Table]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
"""How each extension is read, given the names of the columns where the file has none."""
