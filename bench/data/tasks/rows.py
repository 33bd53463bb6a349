"""Labelled rows out of files: the one place that judges what a readable row is.

A row without a label, or one that cannot be read (missing columns, no text), is left out, counted
and named. What casts doubt on the whole file stops instead: a label that is none of the valid ones,
a missing column, classes in another order than the task's, a file that is empty, cut off, not
UTF-8, or has more than a few per cent of unreadable rows. Blank lines are no rows.

`bench.data.tasks.formats` takes the files apart.
"""

from __future__ import annotations

import codecs
import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.task import Splits
from bench.data.tasks.formats import FORMATS, Asked, Row, Table, Unreadable
from bench.errors import BenchError
from bench.inputs import USUAL, Limits, read_bytes

if TYPE_CHECKING:
    from datasets import Dataset

_NO_LABEL = ("", "-")

INDEX = ("index", "idx")
"""What a file of rows to be answered calls the column that says which row is which."""

FEW = 3
"""So many bad rows are accepted however short the file is; of a longer one, 5 %."""

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
        id: Column of the rows' ids, where they have some of their own.
        extra: Columns whose cells are kept as texts, which may be empty.
        take: How a file is taken apart, where its extension does not say it.
    """

    text: tuple[str, ...]
    label: str
    header: tuple[str, ...] = ()
    named: bool = False
    low: float = -_LARGEST
    high: float = _LARGEST
    id: str = ""
    extra: tuple[str, ...] = ()
    take: Callable[[bytes, Asked], Table] | None = None


@dataclass(frozen=True)
class Rows:
    """The readable rows of one file.

    Attributes:
        columns: Equally long lists: `id` (the row's number in the file, from 0), `text`,
            `text_pair` where there are pairs, `label`, and `extra` where that is asked for.
        skipped: One line `file:line: reason` for each unreadable row.
        digest: First twelve hexadecimal digits of the file's SHA-256.
    """

    columns: dict[str, list[Any]]
    skipped: list[str]
    digest: str


class _UnreadableRow(Exception):  # noqa: N818  # no error: the row is left out
    """Why a row is left out."""


class _NoLabel(_UnreadableRow):
    """A row that is whole, but that nobody has labelled; it says nothing of the file."""


class _EmptyText(_UnreadableRow):
    """A row that is whole, but has no text to read; it says nothing of the file's end."""


def read_splits(
    folder: Path,
    layout: Layout,
    labels: tuple[str, ...] | None,
    *,
    train: str,
    dev: Mapping[str, str],
    provenance: Mapping[str, str],
    limits: Limits,
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
        limits: How much a file may hold.
        remedy: What to do where a file is missing, as a sentence.

    Raises:
        BenchError: A file is missing or unreadable, or its content is not what the layout says.
    """
    read = {
        name: read_rows(folder, name, layout, labels, limits, remedy)
        for name in (train, *dev.values())
    }
    files = ", ".join(f"{name} {rows.digest}" for name, rows in read.items())
    return Splits(
        train=as_dataset({"": read[train]}),
        dev=as_dataset({part: read[name] for part, name in dev.items()}),
        provenance={**provenance, "files": files},
        skipped=tuple(line for rows in read.values() for line in rows.skipped),
    )


def read_unlabelled(
    folder: Path,
    name: str,
    layout: Layout,
    is_regression: bool,
    limits: Limits,
    remedy: str = "",
) -> Dataset:
    """Reads one file whose labels nobody but its owner has; they are 0 here.

    Every row is to be answered: one without a text is an empty text. A row's id is what the file
    itself calls it (`INDEX`), where it does.

    Raises:
        BenchError: The file is missing or unreadable, one of its rows is, or two have one index.
    """
    layout = replace(layout, label="")
    rows = read_rows(folder, name, layout, None, limits, remedy, unlabelled=True)
    if len(set(rows.columns["id"])) < len(rows.columns["id"]):
        raise BenchError(f"{folder / name} has an index twice.")
    if rows.skipped:
        raise BenchError(f"every row is to be answered, but {rows.skipped[0]}.")
    if not is_regression:
        rows.columns["label"] = [0] * len(rows.columns["id"])
    return as_dataset({"": rows})


def read_rows(
    folder: Path,
    name: str,
    layout: Layout,
    labels: tuple[str, ...] | None,
    limits: Limits = USUAL,
    remedy: str = "",
    *,
    unlabelled: bool = False,
) -> Rows:
    """Reads one file; arguments and errors as for `read_splits` and `read_unlabelled`."""
    path = folder / name
    data = read_file(path, remedy, limits)
    named = (*layout.text, layout.label, layout.id, *layout.extra)
    wanted = [column for column in named if column]
    asked = Asked(layout.header, {*wanted, *(INDEX if unlabelled else ())}, limits)
    try:
        table = (layout.take or FORMATS[path.suffix])(data, asked)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} cannot be read as {path.suffix}: {_reason(error)}.") from None
    for column in wanted:
        _check_column(path, table.names, column)
    if labels is not None and layout.label in table.classes:
        _check_classes(path, table.classes[layout.label], labels)
    parse_label = _score_parser(layout) if labels is None else _class_parser(labels, layout.named)
    columns: dict[str, list[Any]] = {"id": [], "text": [], "text_pair": [], "label": []}
    columns |= {"extra": []} if layout.extra else {}
    own = [column for column in table.names if unlabelled and column in INDEX]
    own += [layout.id] if layout.id else []
    skipped: list[str] = []
    index, no_label, broken_off = -1, 0, ""
    try:
        for index, (line, cells) in enumerate(table.rows):
            try:
                texts = _texts(cells, layout.text, empty=unlabelled)
                number = parse_label(_cell(cells, layout.label)) if layout.label else 0.0
                row = str(_cell(cells, own[-1])).strip() if own else str(index)
                extra = [_spelled(_cell(cells, column)) for column in layout.extra]
            except _UnreadableRow as reason:
                no_label += isinstance(reason, _NoLabel)
                whole = isinstance(reason, _EmptyText) or (
                    isinstance(reason, _NoLabel) and path.suffix == ".jsonl"
                )
                broken_off = "" if whole else str(reason)
                skipped.append(f"{name}:{line}: {reason}")
                continue
            except ValueError as error:
                raise BenchError(f"{path}:{line}: {error}.") from None
            broken_off = ""
            columns["id"].append(row)
            columns["text"].append(texts[0])
            columns["text_pair"].append(texts[-1])
            columns["label"].append(number)
            if layout.extra:
                columns["extra"].append(extra)
    except (OSError, ValueError) as error:  # of the library that takes the file apart
        raise BenchError(f"{path}, after row {index + 1}: {_reason(error)}.") from None
    in_lines = path.suffix not in (".parquet", ".json")
    if broken_off and in_lines and not data.endswith(b"\n"):
        raise BenchError(f"{path}:{line}: the file is cut off in its last line: {broken_off}.")
    check_count(path, index + 1, skipped, no_label)
    if len(layout.text) == 1:
        del columns["text_pair"]
    return Rows(columns, skipped, hashlib.sha256(data).hexdigest()[:12])


def read_file(path: Path, remedy: str, limits: Limits) -> bytes:
    """The bytes of a file of rows.

    Raises:
        BenchError: It is missing, empty, too large, or no UTF-8 where it is text.
    """
    try:
        data = read_bytes(path, limits)
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


def _check_column(path: Path, names: list[str], column: str) -> None:
    if column not in names:
        raise BenchError(
            f"{path} has no column '{column}'; it has: {_clip(', '.join(map(repr, names)))}."
        )
    if names.count(column) > 1:
        raise BenchError(f"{path} has {names.count(column)} columns called '{column}'.")


def _check_classes(path: Path, there: Sequence[str], labels: Sequence[str]) -> None:
    """Refuses class numbers that mean other classes than the task's.

    Names that the task has not are no contradiction: it may call them otherwise.
    """
    numbers = {name.casefold().strip(): number for number, name in enumerate(there)}
    known = [numbers.get(label.casefold().strip(), number) for number, label in enumerate(labels)]
    if known != list(range(len(labels))):
        raise BenchError(
            f"{path} numbers its classes {', '.join(there)}, and the task {', '.join(labels)}: "
            "name the labels in the file's order."
        )


def _cell(cells: Row, column: str) -> Any:
    """What stands in a column of a row.

    Raises:
        _UnreadableRow: The row cannot be taken apart, or the cell is no single value.
    """
    if isinstance(cells, str):
        raise _UnreadableRow(cells)
    if isinstance(cell := cells[column], Unreadable):
        raise _UnreadableRow(f"column '{column}' holds {cell.kind}")
    return cell


def _texts(cells: Row, columns: Sequence[str], empty: bool) -> list[str]:
    """The texts of a row; `empty` says whether one may be."""
    texts = []
    for column in columns:
        cell = _cell(cells, column)
        text = cell if isinstance(cell, str) else _spelled(cell)
        if not (text.strip() or empty):
            raise _EmptyText(f"no text in column '{column}'")
        if re.search("[\ud800-\udfff]", text):
            raise _EmptyText(f"half a surrogate pair in column '{column}'")
        texts.append(text)
    return texts


def _class_parser(labels: tuple[str, ...], named: bool) -> Callable[[Any], int]:
    """From what a file says to a class number; `ValueError` where it is none of the valid ones."""
    numbers = {str(number): number for number in range(len(labels))}
    names = {label: number for number, label in enumerate(labels)} if named else {}
    # Names that are numbers themselves ("1" to "5" stars) leave no room for class numbers.
    known = names if names.keys() & numbers.keys() else numbers | names

    def parse(value: Any) -> int:
        text = _as_written(value)
        if text in known:
            return known[text]
        if text in _NO_LABEL:
            raise _NoLabel("no label")
        if not (named or text.lstrip("+-").isdecimal()):
            raise _UnreadableRow(f"label '{_clip(text)}' cannot be read")
        raise ValueError(f"label '{_clip(text)}' is none of {', '.join(known)}")

    return parse


def _score_parser(layout: Layout) -> Callable[[Any], float]:
    """From what a file says to a number; `ValueError` where it is not a valid one."""

    def parse(value: Any) -> float:
        text = _as_written(value)
        if text in _NO_LABEL:
            raise _NoLabel("no label")
        try:
            score = float(text)
        except (ValueError, OverflowError):
            raise _UnreadableRow(f"label '{_clip(text)}' cannot be read") from None
        if not layout.low <= score <= layout.high:
            raise ValueError(f"label {score:g} is no number from {layout.low:g} to {layout.high:g}")
        return score

    return parse


def _spelled(value: Any) -> str:
    """A value as its file spells it: none is no text, not "None", and true is no "True"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_written(value: Any) -> str:
    """A label as its file spells it: what has none is no class called None, and true is no 1."""
    if isinstance(value, float) and value.is_integer():  # a column with gaps holds floats
        return str(int(value))
    return _spelled(value).strip()


def check_count(path: Path, total: int, skipped: list[str], no_label: int) -> None:
    """Accepts a few bad rows, as the real QQP has, but no file that is broken or something else.

    Rows without a label are no bad ones, as long as most rows have one.
    """
    if total == 0:
        raise BenchError(f"{path} has a header and no rows.")
    bad = len(skipped) - no_label
    first = "; ".join(skipped[:3])
    if bad > min(total // 2, max(FEW, total // 20)):
        raise BenchError(f"{path}: {bad} of {total} rows cannot be read, the first: {first}.")
    if len(skipped) > total // 2:
        raise BenchError(
            f"{path}: {len(skipped)} of {total} rows have no label or cannot be read, the first: "
            f"{first}."
        )


def as_dataset(parts: Mapping[str, Rows]) -> Dataset:
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
    if "extra" in columns:
        types["extra"] = [Value("string")]
    return Dataset.from_dict(columns, features=Features(types))


def _reason(error: Exception) -> str:
    return _clip(str(error).rstrip("."))


def _clip(value: object) -> str:
    """A value from a file, short enough for one line of a message."""
    text = " ".join(str(value).encode(errors="replace").decode().split())
    return text if len(text) <= 120 else f"{text[:119]}…"
