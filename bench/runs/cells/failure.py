"""What is kept of a cell that came to nothing: its log, and a record that says why."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import first_line, printable, text_of
from bench.files import write_text
from bench.results.record import Record
from bench.results.store import Store

if TYPE_CHECKING:
    from bench.results.layout import Status
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import BoundCell

LOG = "log.txt"
UNFINISHED_LOG = f".{LOG}"
"""The log of a cell that runs again, until its record replaces the one before."""

LONGEST_ENTRY = 100_000
"""Characters of an entry of a log: a traceback, with all that its error says."""


@dataclass
class Log:
    """A cell's log file, an entry at a time."""

    path: Path

    def __post_init__(self) -> None:
        write_text(self.path, "")  # in the place of whatever is there

    def __call__(self, line: str) -> None:
        """Appends a line or more, as far as they can be shown."""
        append(self.path, line)


def append(path: Path, text: str) -> None:
    """Appends a line or more to a log, as far as they can be shown."""
    if path.exists() and not path.is_file():  # a pipe, which nobody would read from
        write_text(path, "")
    with path.open("a", encoding="utf-8") as file:
        file.write(printable(text.rstrip("\n"), LONGEST_ENTRY) + "\n")


def ended_early(status: Status, cell: Cell, cell_id: str, error: Exception, **known: Any) -> Record:
    """The record of a cell that did not come to a score, and why; its page names no place here."""
    return Record(
        id=cell_id,
        status=status,
        cell=dataclasses.asdict(cell),
        error={
            "type": printable(type(error).__name__),
            "message": message_of(error),
            "log": f"{cell_id}/{LOG}",
        },
        **known,
    )


def message_of(error: Exception) -> str:
    """The first line of what an error says, without this machine's paths; a log has all of it."""
    line = first_line(error) if text_of(error).strip() else "no message"
    return re.sub(r"(?<![\w./])/(?:[^\s/'\"]+/)+", "…/", line)


def give_up(bound: BoundCell, error: Exception, replaces: str | None, details: str = "") -> Record:
    """The record of a cell whose process ended in its middle: `failed`, if it had none by then.

    Args:
        bound: The cell.
        error: How the process ended.
        replaces: The `created` of the record that the cell was to replace, if any.
        details: What the log says of it beside.
    """
    store = Store(bound.context.runs)
    record = store.get(bound.id)
    if record is not None and record.created != replaces:
        return record
    folder = store.folder(bound.id)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / UNFINISHED_LOG).exists():
        (folder / UNFINISHED_LOG).replace(folder / LOG)
    append(folder / LOG, f"{details}\n{text_of(error)}".lstrip())
    record = ended_early("failed", bound.cell, bound.id, error)
    store.put(record)
    return record
