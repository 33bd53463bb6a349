"""What models answered: a file a cell in a run folder, one a suite in pages.

Answers to report rows lie in one, and those to challenge rows in others, which also hold the groups
of the rows; there a cell's id is followed by the set's name.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.answers import text_column
from bench.errors import BenchError
from bench.files import inside
from bench.inputs import Limits
from bench.parquet import read_parquet, write_parquet
from bench.results.store import challenge_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pyarrow import Array, ChunkedArray, DataType, Table

    from bench.results.store import Store


FILE = "predictions.parquet"

LIMITS = Limits(4, option="")
"""Of one file of them, which somebody may have sent."""


@dataclass(frozen=True)
class Predictions:
    """A cell's answers, in the order of the report rows.

    Attributes:
        labels: Class numbers or figures, `[rows]`; of spans the right texts, none where there is no
            answer.
        answers: The same of the model, `[rows]`; of spans a text.
        parts: The part that each row is scored in, where the task has parts, `[rows]`.
        logits: What the answers were taken from, `[rows, classes]`; `None` for a regression, whose
            answers they are, for spans, of challenge rows, and where a record of schema 1 did not
            keep them.
        groups: The groups of each challenge row, where there are any, `[rows]`.
    """

    labels: NDArray[Any]
    answers: NDArray[Any]
    parts: list[str] | None = None
    logits: NDArray[np.float32] | None = None
    groups: list[list[str]] | None = None

    @property
    def are_texts(self) -> bool:
        """Whether they are texts rather than numbers."""
        return self.answers.dtype == object


PredictionsOf = Callable[[str], "Predictions | None"]
"""Gives a cell's predictions by its id, where they are there."""


def predictions_hash(found: Predictions) -> str:
    """Hash over what a page says they are, whatever file holds them: figures as 32-bit floats."""
    import numpy as np

    state = hashlib.sha256(json.dumps(found.parts).encode())
    if found.are_texts:
        texts = [found.labels.tolist(), found.answers.tolist()]
        state.update(json.dumps(texts).encode())
        return state.hexdigest()[:16]
    for column in (found.labels, found.answers, found.logits):
        if column is not None:
            state.update(f"{column.shape}".encode())
            state.update(np.ascontiguousarray(column, "<f4").tobytes())
    if found.groups is not None:
        state.update(json.dumps(found.groups).encode())
    return state.hexdigest()[:16]


def as_table(
    ids: Sequence[str],
    labels: NDArray[Any],
    answers: NDArray[Any],
    parts: Sequence[str] | None = None,
    logits: NDArray[np.float32] | None = None,
    groups: Sequence[Sequence[str]] | None = None,
) -> Table:
    """What a cell's file holds: id, label, prediction and, where there are any, part and logits.

    Texts have columns of their own, so that those of several tasks can lie in one file.

    Args:
        ids: Of the report rows.
        labels: Class numbers or figures, or the right texts of each, `[rows]`.
        answers: The same of the model, `[rows]`.
        parts: The part that each row is scored in, where the task has parts.
        logits: `[rows, classes]`, in the order of the task's classes; those of a regression, with
            one column, are its answers and not kept twice.
        groups: The groups of each challenge row, if there are any.
    """
    import pyarrow

    if answers.dtype == object:
        return pyarrow.table({"id": ids, **_texts(labels, answers)})
    columns = {"id": ids, "label": labels, "prediction": answers}
    if parts is not None:
        columns["part"] = parts
    if logits is not None and logits.shape[1] > 1:
        columns["logits"] = pyarrow.array(list(logits), pyarrow.list_(pyarrow.float32()))
    if groups is not None:
        columns["groups"] = pyarrow.array(groups, pyarrow.list_(pyarrow.string()))
    return pyarrow.table(columns)


def in_store(store: Store, *, sealed: bool = True) -> PredictionsOf:
    """Those that lie beside the records of a run folder.

    Args:
        store: The run folder.
        sealed: Whether each is compared with its checksum, and gets one where it has none.
    """

    def find(cell_id: str) -> Predictions | None:
        path = store.folder(cell_id) / FILE
        return _in_file(path, sealed=sealed)

    return find


def challenge_key(cell_id: str, name: str) -> str:
    """What a cell's answers to a challenge set are found by."""
    return f"{cell_id}.{name}"


def challenges_in_store(store: Store, *, sealed: bool = True) -> PredictionsOf:
    """Answers to challenge sets beside the records of a run folder, by `challenge_key`."""

    def find(key: str) -> Predictions | None:
        cell_id, _, name = key.partition(".")
        path = inside(store.folder(cell_id), challenge_file(name))
        return _in_file(path, sealed=sealed)

    return find


def answers_by_id(store: Store, cell_id: str) -> dict[str, str]:
    """The texts that a cell of a run folder answered, by the ids of what was asked.

    Raises:
        BenchError: There are none, or the file is damaged.
    """
    path = store.folder(cell_id) / FILE
    if not path.exists():
        raise BenchError(f"cell {cell_id} has no predictions.")
    table = _of_a_cell(path)
    found = predictions_of(table, str(path))
    if not found.are_texts or "id" not in table.column_names:
        raise BenchError(f"{path}: its answers are no texts that are known by an id.")
    return dict(zip(table["id"].to_pylist(), found.answers.tolist(), strict=True))


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

    if not path.exists():
        return {}
    remedy = "restore it, or remove it and take the suite's run folder in again"
    table = read_parquet(path, remedy, sealed=False, limits=LIMITS)
    if "cell" not in table.column_names or not _is_full(table["cell"], _is_text):
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
        "cell": pyarrow.repeat(cell_id, rows),
        "row": pyarrow.array(np.arange(rows, dtype=np.int32)),
    }
    if found.are_texts:
        return pyarrow.table({**columns, **_texts(found.labels, found.answers)})
    columns |= {
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
    if found.groups is not None:
        columns["groups"] = pyarrow.array(found.groups, pyarrow.list_(pyarrow.string()))
    return pyarrow.table(columns)


RIGHT, ANSWER = "right", "answer"
"""The columns of texts: those that are right, and the model's."""


def _texts(labels: NDArray[Any], answers: NDArray[Any]) -> dict[str, Array]:
    import pyarrow

    text = pyarrow.string()
    return {
        RIGHT: pyarrow.array([list(texts) for texts in labels], pyarrow.list_(text)),
        ANSWER: pyarrow.array(answers.tolist(), text),
    }


READ = ["label", "prediction", "part", "logits", "groups", RIGHT, ANSWER]
"""What predictions are made from; to read whose rows they are would take half as long again."""


def _in_file(path: Path, *, sealed: bool) -> Predictions | None:
    """The predictions of a cell's file, if there is one."""
    if not path.exists():
        return None
    return predictions_of(_of_a_cell(path, READ, sealed=sealed), str(path))


def _of_a_cell(path: Path, columns: list[str] | None = None, *, sealed: bool = True) -> Table:
    remedy = f"remove {path.parent} and run the same command again"
    return read_parquet(path, remedy, sealed=sealed, limits=LIMITS, columns=columns)


def predictions_of(table: Table, place: str) -> Predictions:
    """The predictions of one cell.

    Raises:
        BenchError: Its columns are not those of predictions.
    """
    columns = dict(zip(table.column_names, table.columns, strict=True))
    if ANSWER in columns and columns[ANSWER].null_count < len(columns[ANSWER]):
        return _predictions_of_texts(columns, place)
    if wrong := _objection(columns):
        raise BenchError(f"{place}: these are no predictions: {wrong}.")
    parts, logits, groups = (
        columns[name].combine_chunks() if name in columns and not columns[name].null_count else None
        for name in ("part", "logits", "groups")
    )
    return Predictions(
        columns["label"].to_numpy(),
        columns["prediction"].to_numpy(),
        None if parts is None else parts.to_pylist(),
        None if logits is None else logits.flatten().to_numpy().reshape(len(table), -1),
        None if groups is None else groups.to_pylist(),
    )


def _predictions_of_texts(columns: Mapping[str, ChunkedArray], place: str) -> Predictions:
    for name, test in ((ANSWER, _is_text), (RIGHT, _is_row_of_texts)):
        if name not in columns or not _is_full(columns[name], test):
            raise BenchError(f"{place}: these are no predictions: '{name}' holds no texts.")
    right = columns[RIGHT].to_pylist()
    wrong = any(text is None for texts in right for text in texts)
    if wrong or not _is_in_order(columns):
        reason = f"'{RIGHT}' is not complete" if wrong else "their rows are not in order"
        raise BenchError(f"{place}: these are no predictions: {reason}.")
    return Predictions(text_column(map(tuple, right)), text_column(columns[ANSWER].to_pylist()))


def _objection(columns: Mapping[str, ChunkedArray]) -> str:
    """Why columns are not those of predictions; empty where they are."""
    from pyarrow import compute

    for name in ("label", "prediction"):
        if name not in columns or not _is_full(columns[name], _is_number):
            return f"'{name}' is no column of numbers"
        if not len(columns[name]):
            return "there are no rows"
    kinds = {"part": _is_text, "logits": _is_row_of_numbers, "groups": _is_row_of_texts}
    for name, test in kinds.items():
        column = columns.get(name)
        if column is None or column.null_count == len(column):
            continue
        if not _is_full(column, test):
            return f"'{name}' is not what it should be"
        if name == "logits" and len(compute.list_value_length(column).unique()) > 1:
            return "'logits' are of different lengths"
        if name == "logits" and not compute.list_flatten(column):
            return "'logits' are empty"
        if name != "part" and compute.list_flatten(column).null_count:
            return f"'{name}' are not complete"
    return "" if _is_in_order(columns) else "their rows are not in order"


def _is_in_order(columns: Mapping[str, ChunkedArray]) -> bool:
    """Whether rows have their own numbers, where they have any."""
    import numpy as np

    rows = columns.get("row")
    return rows is None or (
        _is_full(rows, _is_number) and np.array_equal(rows.to_numpy(), np.arange(len(rows)))
    )


def _is_full(column: ChunkedArray, test: Callable[[DataType], bool]) -> bool:
    """Whether a column is of some type, with a value in every row."""
    return test(column.type) and not column.null_count


def _is_number(kind: DataType) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_text(kind: DataType) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind))


def _is_row_of_texts(kind: DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind)) and _is_text(kind.value_type)


def _is_row_of_numbers(kind: DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind)) and _is_number(kind.value_type)
