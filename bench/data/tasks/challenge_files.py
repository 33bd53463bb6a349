"""Challenge sets as files of our own layout: a folder a set, in it `TASK.parquet` for each task.

Columns of a file:

- `id`: a text of each row's own,
- `text`, and `text_pair` where the task has pairs,
- `label`: the task's class by name or number, or the figure of a regression.

Whatever else it holds is left alone. Such a set is named as its folder, and is one of every folder
of challenge sets that has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.task import Challenge, ChallengeInfo, ChallengeSet
from bench.data.tasks.rows import Layout, as_dataset, read_rows
from bench.inputs import Limits, read_bytes
from bench.parquet import open_bounded

if TYPE_CHECKING:
    from bench.data.task import Source, Task

END = ".parquet"


class FolderSet(ChallengeSet):
    """A set in a folder.

    Args:
        folder: The folder, whose name is the set's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.info = ChallengeInfo(
            name=folder.name,
            summary=f"rows of {folder}",
            tasks=tuple(sorted(path.stem for path in folder.glob(f"*{END}"))),
        )

    def load(self, task: Task, source: Source) -> Challenge:
        """Reads the task's file; `source` is for sets that have a choice."""
        name = f"{task.name}{END}"
        pairs = "text_pair" in _columns(self._folder / name, source.limits)
        texts = ("text", "text_pair") if pairs else ("text",)
        layout = Layout(text=texts, label="label", named=True, id="id")
        rows = read_rows(self._folder, name, layout, task.info.labels, source.limits)
        return Challenge(
            rows=as_dataset({"": rows}),
            metric=task.info.metric,
            provenance={"source": self.name, "files": f"{name} {rows.digest}"},
            skipped=tuple(rows.skipped),
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
