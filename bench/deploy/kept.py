"""The model that a cell kept, and its dense one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.checksums import damaged_files
from bench.errors import BenchError
from bench.models.folder import check_model
from bench.results.record import dense_of

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store


def kept_model(store: Store, record: Record) -> Path:
    """The folder of a cell's model.

    Raises:
        BenchError: There is none, it was not kept, or is not whole any more.
    """
    folder = store.folder(record.id) / "model"
    if record.status == "external":
        raise BenchError(f"{record.id} was made elsewhere: the run folder has no model of it.")
    if not record.has_model:
        raise BenchError(f"{record.id} is of {record.cell['method']}: it has answers and no model.")
    if record.score is None or not (folder / "config.json").is_file():
        raise BenchError(
            f"the model of cell {record.id} was not kept: run it with --keep-models all and "
            "--rerun all."
        )
    if damaged := damaged_files(folder):
        raise BenchError(
            f"{folder / damaged[0]} is not what was written: remove {folder.parent} and run the "
            "same command again with --keep-models all."
        )
    check_model(folder)
    return folder


def kept_dense(store: Store, record: Record) -> str | None:
    """The kept dense model of the cell's task and options, if there is one."""
    dense = dense_of(record.cell["method"])
    same = ("task", "model", "protocol")
    for other in store.records():
        if other.cell["method"] == dense and all(other.cell[k] == record.cell[k] for k in same):
            folder = store.folder(other.id) / "model"
            if (folder / "config.json").is_file():
                return str(folder)
    return None
