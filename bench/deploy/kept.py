"""The model that a cell kept, and its dense one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.models.folder import check_model
from bench.results.record import dense_of

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store


def kept_model(store: Store, record: Record) -> Path:
    """The folder of a cell's model.

    Raises:
        BenchError: As `Store.model_of`, or it describes no model.
    """
    folder = store.model_of(record)
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
