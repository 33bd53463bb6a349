"""The run folder: records, its identity, locks.

One JSON file a cell, so that a record is either whole or not there. Predictions are Parquet, models
safetensors.
"""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.checksums import damaged, damaged_files, is_as_written
from bench.errors import BenchError
from bench.files import inside, lock, read_json, write_json
from bench.parquet import write_parquet
from bench.results.record import Record
from bench.schema import Id, is_of

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from pyarrow import Table


PREDICTIONS = "predictions.parquet"
"""What a cell's folder calls its predictions."""


def challenge_file(name: str) -> str:
    """What a cell's folder calls its answers to a challenge set."""
    return f"challenge-{name}.parquet"


class Store:
    """A run folder.

    Attributes:
        root: The folder; `root/<cell id>/record.json` holds a record.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, cell_id: str) -> Path:
        """Where a cell's record, predictions, log and model lie."""
        return inside(self.root, cell_id)

    def get(self, cell_id: str) -> Record | None:
        """A cell's record; `None` where there is none, or where its file is no whole record."""
        path = self.folder(cell_id) / "record.json"
        data = read_json(path)
        if data is None:
            return None
        try:
            return Record.from_json(data)
        except BenchError as error:
            damaged(path, str(error))
            return None

    def whole(self, cell_id: str) -> Record | None:
        """A cell's record, if its predictions, too, are still what was written."""
        record, predictions = self.get(cell_id), self.folder(cell_id) / PREDICTIONS
        damaged = predictions.exists() and not is_as_written(predictions)
        return None if damaged else record

    def can_answer(self, record: Record) -> bool:
        """Whether a cell's model was kept, or it is a floor's, which needs none."""
        return not record.has_model or (self.folder(record.id) / "model" / "config.json").is_file()

    def model_of(self, record: Record) -> Path:
        """The folder of the model that a cell has kept.

        Raises:
            BenchError: There is none, it was not kept, or is not whole any more.
        """
        folder = self.folder(record.id) / "model"
        if record.status == "external":
            raise BenchError(f"{record.id} was made elsewhere: the run folder has no model of it.")
        if not record.has_model:
            raise BenchError(
                f"{record.id} is of {record.cell['method']}: it has answers and no model."
            )
        if record.score is None or not (folder / "config.json").is_file():
            raise BenchError(
                f"the model of cell {record.id} was not kept: run it with --keep-models all and "
                "--rerun all."
            )
        if damaged := damaged_files(folder):
            raise BenchError(
                f"{folder / damaged[0]} is not what was written: remove {folder.parent} and run "
                "the same command again with --keep-models all."
            )
        return folder

    def put(
        self,
        record: Record,
        predictions: Table | None = None,
        challenged: Mapping[str, Table] | None = None,
    ) -> None:
        """Writes a record, after its predictions, so that a record implies them.

        Args:
            record: The record.
            predictions: Of the report rows, where they are new.
            challenged: Those of challenge rows, by the set, where they are new.
        """
        folder = self.folder(record.id)
        if predictions is not None:
            write_parquet(folder / PREDICTIONS, predictions)
        for name, table in (challenged or {}).items():
            write_parquet(folder / challenge_file(name), table)
        write_json(folder / "record.json", record.to_json())

    def amend(self, record: Record, **changes: Any) -> None:
        """Changes fields of a record that is stored.

        Raises:
            BenchError: The cell was run again since the record was read.
            OSError: The folder cannot be written.
        """
        with self.lock(record.id):
            newest = self.get(record.id)
            if newest is None or newest.created != record.created:
                raise BenchError("the cell was run again meanwhile.")
            self.put(dataclasses.replace(newest, **changes))

    def records(self) -> Iterator[Record]:
        """Every whole record in the folder, in the order of ids, each under its own name."""
        if not self.root.is_dir():
            return
        with os.scandir(self.root) as entries:
            folders = sorted(entry.name for entry in entries if entry.is_dir())
        names = [name for name in folders if is_of(name, Id)]  # a user's own folder is no cell
        for name in names:
            record = self.get(name)
            if record is not None and record.id == name:  # else it was copied, or made up
                yield record

    def identity(self) -> str:
        """A name of the folder that stays when it is moved, made when it is first asked for."""
        path = self.root / "identity.json"
        with self.lock("identity"):
            if (known := read_json(path)) is None:
                known = {"identity": uuid.uuid4().hex}
                write_json(path, known)
        return str(known["identity"])

    def lock(self, name: str) -> BaseFileLock:
        """A lock on a cell or a reference; see `lock`."""
        return lock(self.root, name)

    def is_locked(self, name: str) -> bool:
        """Whether some process works on a cell right now."""
        from filelock import Timeout

        if not inside(self.root / "locks", f"{name}.lock").exists():
            return False
        try:
            with self.lock(name).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # who may only read here cannot ask
            return False
