"""Challenge sets as files of our own layout: a folder a set, in it `TASK.parquet` for each task.

Columns of a file:

- `id`: a text of each row's own,
- `text`, and `text_pair` where the task has pairs,
- `label`: the task's class by name or number, or the figure of a regression.

Whatever else it holds is left alone. Such a set is named as its folder, and is one of every folder
of challenge sets that has it.

A closed round of an arena has its rows in `set.parquet`, and `round.json` says of which task they
are, and which cells they were written against.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from bench.data.task import Challenge, ChallengeInfo, ChallengeSet
from bench.data.tasks.rows import Layout, as_dataset, read_rows
from bench.errors import BenchError
from bench.files import read_json
from bench.inputs import Limits, read_bytes
from bench.parquet import open_bounded

if TYPE_CHECKING:
    from bench.data.task import Source, Task

END = ".parquet"

SET, FACTS = "set.parquet", "round.json"
"""What an arena calls the rows of a round, and what it says of them."""

STEM = "edited_row"
"""What it calls the column with the training row that each was made from."""


class _Target(Struct):
    cell: str


class _Round(Struct):
    """What `round.json` has to say, as far as it is read."""

    task: str
    labels: list[str]
    targets: list[_Target]


class FolderSet(ChallengeSet):
    """A set in a folder.

    Args:
        folder: The folder, whose name is the set's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = {path.stem: path.name for path in folder.glob(f"*{END}") if path.name != SET}
        self._round = read_json(folder / FACTS, _Round) if (folder / SET).exists() else None
        if self._round is not None:
            self._files[self._round["task"]] = SET
        self.info = ChallengeInfo(
            name=folder.name, summary=f"rows of {folder}", tasks=tuple(sorted(self._files))
        )

    @property
    def is_round(self) -> bool:
        """Whether it is a closed round of an arena."""
        return self._round is not None

    def load(self, task: Task, source: Source) -> Challenge:
        """Reads the task's file; `source` is for sets that have a choice."""
        name = self._files[task.name]
        held = self._round if name == SET else None
        if held is not None and tuple(held["labels"]) != task.info.labels:
            raise BenchError(
                f"{self._folder / FACTS} numbers its classes {', '.join(held['labels'])}, and "
                f"{task.name} {', '.join(task.info.labels or ('none',))}."
            )
        columns = _columns(self._folder / name, source.limits)
        texts = ("text", "text_pair") if "text_pair" in columns else ("text",)
        stem = (STEM,) if held is not None and STEM in columns else ()
        layout = Layout(text=texts, label="label", named=True, id="id", extra=stem)
        rows = read_rows(self._folder, name, layout, task.info.labels, source.limits)
        stems = [edited for (edited,) in rows.columns.pop("extra", ())]
        return Challenge(
            rows=as_dataset({"": rows}),
            metric=task.info.metric,
            provenance={"source": self.name, "files": f"{name} {rows.digest}"},
            skipped=tuple(rows.skipped),
            targets=tuple(one["cell"] for one in held["targets"]) if held else (),
            stems=tuple(stems),
        )


def _columns(path: Path, limits: Limits) -> list[str]:
    """Names of a file's columns; none where it cannot be read, as who reads its rows will say."""
    import pyarrow

    try:
        file, _ = open_bounded(pyarrow.BufferReader(read_bytes(path, limits)), limits)
    except (OSError, ValueError):
        return []
    names: list[str] = file.schema_arrow.names
    return names
