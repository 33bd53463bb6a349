"""Suites as their folders have them: run folders, and folders of published pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.descriptions import read_suites
from bench.errors import BenchError, first_line, unknown_name
from bench.files import parse_json
from bench.models.folder import check_model
from bench.predictions import in_store, published
from bench.records import Record, Store

if TYPE_CHECKING:
    from bench.predictions import Answers


@dataclass(frozen=True)
class OpenSuite:
    """A suite as its folder has it.

    Attributes:
        suite: What it was asked for.
        records: Its records so far.
        answers: Where their predictions are found.
    """

    suite: dict[str, Any]
    records: list[Record]
    answers: Answers


def open_suite(folder: Path, name: str | None = None) -> OpenSuite:
    """Opens a suite of a run folder, or of a folder of published pages.

    Args:
        folder: Either of them.
        name: Which suite; not needed where the folder has only one.

    Raises:
        BenchError: The folder has no suite of the name, or several and no name says which.
    """
    base = folder / "records"
    store = Store(folder)
    suites = read_suites(folder / "suites") or read_suites(base)
    if not suites:
        raise BenchError(f"{folder}: no suite has been run here; --runs names another folder.")
    if name is None and len(suites) > 1:
        raise BenchError(f"{folder} has several suites; say --name {' or '.join(suites)}.")
    if name is not None and name not in suites:
        raise unknown_name("suite", name, suites)
    suite = suites[name or next(iter(suites))]
    if base.is_dir():
        name = suite["name"]
        return OpenSuite(suite, read_records(folder, name), published(base / f"{name}.parquet"))
    return OpenSuite(suite, suite_records(store, suite), in_store(store))


def find_record(store: Store, wanted: str) -> Record:
    """The record of a cell by the beginning of its id.

    Raises:
        BenchError: No id begins so, or several do.
    """
    known = {record.id: record for record in store.records()}
    found = [key for key in known if key.startswith(wanted)]
    if not found:
        raise unknown_name(f"cell of {store.root}", wanted, known)
    if len(found) > 1:
        raise BenchError(f"'{wanted}' begins the ids of {len(found)} cells: say more of it.")
    return known[found[0]]


def kept_model(store: Store, record: Record) -> Path:
    """The folder of a cell's model.

    Raises:
        BenchError: It was not kept, or is not whole any more.
    """
    folder = store.folder(record.id) / "model"
    if record.status == "external":
        raise BenchError(f"{record.id} was made elsewhere: the run folder has no model of it.")
    if record.score is None or not (folder / "config.json").is_file():
        raise BenchError(
            f"the model of cell {record.id} was not kept: run it with --keep-models all and "
            "--rerun all."
        )
    check_model(folder)
    return folder


def suite_records(store: Store, suite: dict[str, Any]) -> list[Record]:
    """The records that a suite's cells have so far."""
    found = (store.get(cell_id) for cell_id in suite["cells"])
    return [record for record in found if record is not None]


def read_records(out: Path, name: str) -> list[Record]:
    """The records of a suite that lie in `out`.

    Raises:
        BenchError: The file cannot be read, or a line is no record.
    """
    path = out / "records" / f"{name}.jsonl"
    records = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {first_line(error)}.") from None
    # Not str.splitlines, which also splits at characters that messages hold, such as U+2028.
    lines = text.removesuffix("\n").split("\n") if text else []  # a shard may have had none yet
    for number, line in enumerate(lines, 1):
        try:
            records.append(Record.from_json(parse_json(line)))
        except (ValueError, BenchError) as error:
            raise BenchError(f"{path}:{number}: no record: {error}.") from None
    return records
