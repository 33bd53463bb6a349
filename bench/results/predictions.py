"""What models answered on the report rows: a file a cell in a run folder, one a suite in pages."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import read_parquet, write_parquet
from bench.inputs import Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pyarrow import DataType, Table

    from bench.results.store import Store


FILE = "predictions.parquet"

LIMITS = Limits(4, option="")
"""Of one file of them, which somebody may have sent."""


@dataclass(frozen=True)
class Predictions:
    """A cell's answers, in the order of the report rows.

    Attributes:
        labels: Class numbers or figures, `[rows]`.
        answers: The same of the model, `[rows]`.
        parts: The part that each row is scored in, where the task has parts, `[rows]`.
        logits: What the answers were taken from, `[rows, classes]`; `None` for a regression, whose
            answers they are, and where a record of schema 1 did not keep them.
    """

    labels: NDArray[Any]
    answers: NDArray[Any]
    parts: list[str] | None = None
    logits: NDArray[np.float32] | None = None


PredictionsOf = Callable[[str], "Predictions | None"]
"""Gives a cell's predictions by its id, where they are there."""


def predictions_hash(found: Predictions) -> str:
    """Hash over what a page says they are, whatever file holds them: figures as 32-bit floats."""
    import numpy as np

    state = hashlib.sha256(json.dumps(found.parts).encode())
    for column in (found.labels, found.answers, found.logits):
        if column is not None:
            state.update(f"{column.shape}".encode())
            state.update(np.ascontiguousarray(column, "<f4").tobytes())
    return state.hexdigest()[:16]


def as_table(
    ids: Sequence[str],
    labels: NDArray[Any],
    answers: NDArray[Any],
    parts: Sequence[str] | None = None,
    logits: NDArray[np.float32] | None = None,
) -> Table:
    """What a cell's file holds: id, label, prediction and, where there are any, part and logits.

    Args:
        ids: Of the report rows.
        labels: Class numbers or figures, `[rows]`.
        answers: The same of the model, `[rows]`.
        parts: The part that each row is scored in, where the task has parts.
        logits: `[rows, classes]`, in the order of the task's classes; those of a regression, with
            one column, are its answers and not kept twice.
    """
    import pyarrow

    columns = {"id": ids, "label": labels, "prediction": answers}
    if parts is not None:
        columns["part"] = parts
    if logits is not None and logits.shape[1] > 1:
        columns["logits"] = pyarrow.array(list(logits), pyarrow.list_(pyarrow.float32()))
    return pyarrow.table(columns)


def in_store(store: Store, *, sealed: bool = True) -> PredictionsOf:
    """Those that lie beside the records of a run folder.

    Args:
        store: The run folder.
        sealed: Whether each is compared with its checksum, and gets one where it has none.
    """

    def find(cell_id: str) -> Predictions | None:
        path = store.folder(cell_id) / FILE
        return predictions_of(_of_a_cell(path, sealed=sealed), str(path)) if path.exists() else None

    return find


def published(path: Path) -> PredictionsOf:
    """Those of a suite's pages, from one file."""
    found = read_published(path)

    def find(cell_id: str) -> Predictions | None:
        place = f"{path}: cell {cell_id}"
        return predictions_of(found[cell_id], place) if cell_id in found else None

    return find


def read_published(path: Path) -> dict[str, Table]:
    """A suite's predictions by cell; none where there is no file.

    Raises:
        BenchError: It cannot be read, or its rows do not lie together cell by cell.
    """
    import numpy as np
    import pyarrow

    if not path.exists():
        return {}
    remedy = "restore it, or remove it and take the suite's run folder in again"
    table = read_parquet(path, remedy, sealed=False, limits=LIMITS)
    if not _is_of(table, "cell", pyarrow.types.is_string):
        raise BenchError(f"{path} does not say of which cells its rows are: {remedy}.")
    cells = table["cell"].to_numpy(zero_copy_only=False)
    begins = [0, *(np.flatnonzero(cells[1:] != cells[:-1]) + 1).tolist(), len(cells)]
    found: dict[str, Table] = {}
    for begin, end in itertools.pairwise(begins):
        if cells[begin:end].size:
            cell = str(cells[begin])
            if cell in found:
                raise BenchError(f"{path} has the rows of cell {cell} in two places: {remedy}.")
            found[cell] = table.slice(begin, end - begin)
    return found


def write_published(path: Path, tables: Mapping[str, Table], cells: Iterable[str]) -> None:
    """Writes those of the given cells into one file, cell after cell; without any, no file."""
    import pyarrow

    chosen = [tables[cell] for cell in sorted(cells) if cell in tables]
    if chosen:  # parts and logits are null in the rows of cells that have none
        write_parquet(path, pyarrow.concat_tables(chosen, promote_options="default"), sealed=False)


def to_publish(cell_id: str, found: Predictions) -> Table:
    """A cell's predictions without the rows' ids, which may say what a licence keeps private."""
    import numpy as np
    import pyarrow

    rows = len(found.labels)
    columns = {
        "cell": pyarrow.array([cell_id] * rows),
        "row": pyarrow.array(range(rows), pyarrow.int32()),
        "label": pyarrow.array(found.labels.astype(np.float32)),
        "prediction": pyarrow.array(found.answers.astype(np.float32)),
    }
    if found.parts is not None:
        columns["part"] = pyarrow.array(found.parts)
    if found.logits is not None:
        of_a_row = pyarrow.list_(pyarrow.field("element", pyarrow.float32()))
        begins = np.arange(rows + 1, dtype=np.int32) * found.logits.shape[1]
        flat = pyarrow.array(found.logits.astype(np.float32).ravel())
        columns["logits"] = pyarrow.ListArray.from_arrays(begins, flat, type=of_a_row)
    return pyarrow.table(columns)


def _of_a_cell(path: Path, *, sealed: bool = True) -> Table:
    remedy = f"remove {path.parent} and run the same command again"
    return read_parquet(path, remedy, sealed=sealed, limits=LIMITS)


def predictions_of(table: Table, place: str) -> Predictions:
    """The predictions of one cell.

    Raises:
        BenchError: Its columns are not those of predictions.
    """
    if wrong := _objection(table):
        raise BenchError(f"{place}: these are no predictions: {wrong}.")
    labels, answers = table["label"].to_numpy(), table["prediction"].to_numpy()
    parts, logits = (
        table[name].combine_chunks()
        if name in table.column_names and not table[name].null_count
        else None
        for name in ("part", "logits")
    )
    return Predictions(
        labels,
        answers,
        None if parts is None else parts.to_pylist(),
        None if logits is None else logits.flatten().to_numpy().reshape(len(table), -1),
    )


def _objection(table: Table) -> str:
    """Why the columns of a table are not those of predictions; empty where they are."""
    import numpy as np
    from pyarrow import compute, types

    def number(kind: DataType) -> bool:
        return bool(types.is_integer(kind) or types.is_floating(kind))

    def row_of_numbers(kind: DataType) -> bool:
        return bool(types.is_list(kind) and number(kind.value_type))

    for name in ("label", "prediction"):
        if not _is_of(table, name, number):
            return f"'{name}' is no column of numbers"
    for name, test in (("part", types.is_string), ("logits", row_of_numbers)):
        if name in table.column_names and table[name].null_count < len(table):
            if not _is_of(table, name, test):
                return f"'{name}' is not what it should be"
            if name == "logits" and len(compute.list_value_length(table[name]).unique()) > 1:
                return "'logits' are of different lengths"
            if name == "logits" and compute.list_flatten(table[name]).null_count:
                return "'logits' are not complete"
    if "row" in table.column_names and not (
        _is_of(table, "row", types.is_integer)
        and np.array_equal(table["row"].to_numpy(), np.arange(len(table)))
    ):
        return "their rows are not in order"
    return ""


def _is_of(table: Table, name: str, test: Callable[[DataType], bool]) -> bool:
    """Whether a table has one column of a name, of some type, with a value in every row."""
    return (
        table.column_names.count(name) == 1
        and bool(test(table[name].type))
        and not table[name].null_count
    )
