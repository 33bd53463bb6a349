"""Tokenised rows, end to end in one array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.spans import Spans
from bench.files import atomic_path
from bench.parquet import read_parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray


FOREIGN = -1
"""Among the sources of rows: of another domain."""


@dataclass(frozen=True)
class Encoded:
    """Tokenised rows, one after the other in flat arrays.

    Attributes:
        ids: Row ids, `[rows]`.
        pieces: Word pieces of all rows, `[pieces]`.
        segments: 0 for the first text, 1 for the second, `[pieces]`.
        offsets: Where each row begins in `pieces`, `[rows + 1]`.
        labels: Class numbers (int64) or figures (float32), `[rows]`; of spans the first and the
            last piece, `[rows, 2]`.
        parts: The part that each row is scored in, or `None`, `[rows]`.
        cut: Rows that were too long and lost pieces.
        sources: The number of the row that each was made from, which for all but augmentations is
            its own, and `FOREIGN` for a row of another domain; `None` where all are the task's own,
            `[rows]`.
        spans: Where spans are looked for: what the rows are windows of.
    """

    ids: list[str]
    pieces: NDArray[np.int32]
    segments: NDArray[np.int8]
    offsets: NDArray[np.int64]
    labels: NDArray[Any]
    parts: list[str] | None = None
    cut: int = 0
    sources: NDArray[np.int64] | None = None
    spans: Spans | None = None

    @classmethod
    def unlabelled(cls, pieces: NDArray[Any], offsets: NDArray[np.int64]) -> Encoded:
        """Rows of one text each, whose labels are all zero."""
        rows = len(offsets) - 1
        return cls(
            ids=[str(number) for number in range(rows)],
            pieces=pieces,
            segments=np.zeros(len(pieces), np.int8),
            offsets=offsets,
            labels=np.zeros(rows, np.int64),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def asked(self) -> list[str]:
        """Ids of what is answered: of the rows, or of the examples that they are windows of."""
        return self.ids if self.spans is None else self.spans.ids

    @property
    def references(self) -> NDArray[Any]:
        """What answers are compared with: labels, or the right texts of each example."""
        return self.labels if self.spans is None else self.spans.answers

    @property
    def foreign(self) -> NDArray[np.bool_] | None:
        """Which rows are of another domain, `[rows]`; `None` where there are none."""
        if self.sources is None or not (self.sources == FOREIGN).any():
            return None
        return np.asarray(self.sources == FOREIGN)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Pieces of each row, `[rows]`."""
        return np.diff(self.offsets)

    def select(self, rows: list[int]) -> Encoded:
        """The given rows, in the given order, without their `sources`."""
        index = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        flat = np.repeat(self.offsets[index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Encoded(
            ids=[self.ids[i] for i in rows],
            pieces=self.pieces[flat],
            segments=self.segments[flat],
            offsets=offsets,
            labels=self.labels[index],
            parts=None if self.parts is None else [self.parts[i] for i in rows],
            spans=None if self.spans is None else self.spans.select(index, flat),
        )

    @classmethod
    def join(cls, parts: list[Encoded], sources: NDArray[np.int64]) -> Encoded:
        """All rows of several, one after the other; only the first one's `cut` is kept."""
        lengths = np.concatenate([part.lengths for part in parts])
        groups = [part.parts for part in parts if part.parts is not None]
        return cls(
            ids=[row for part in parts for row in part.ids],
            pieces=np.concatenate([part.pieces for part in parts]),
            segments=np.concatenate([part.segments for part in parts]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            labels=np.concatenate([part.labels for part in parts]),
            parts=[name for group in groups for name in group] if groups else None,
            cut=parts[0].cut,
            sources=sources,
        )

    def save(self, path: Path) -> None:
        """Writes the rows as Parquet."""
        import pyarrow
        from pyarrow import parquet

        def rows_of(flat: NDArray[Any]) -> Any:
            return pyarrow.LargeListArray.from_arrays(self.offsets, flat)

        columns = {
            "id": self.ids,
            "pieces": rows_of(self.pieces),
            "segments": rows_of(self.segments),
            "label": self.labels if self.labels.ndim == 1 else list(self.labels),
        }
        if self.parts is not None:
            columns["part"] = self.parts
        if self.sources is not None:
            columns["source"] = self.sources
        if self.spans is not None:
            columns |= self.spans.columns(self.offsets)
        table = pyarrow.table(columns).replace_schema_metadata({"cut": str(self.cut)})
        with atomic_path(path, sealed=True) as temporary:
            parquet.write_table(table, temporary)

    @classmethod
    def load(cls, path: Path) -> Encoded:
        """Reads what `save` wrote."""
        table = read_parquet(path, f"remove {path.parent}, and it is made anew").combine_chunks()
        pieces = table["pieces"].chunk(0)
        spans = Spans.of_table(table) if "example" in table.column_names else None
        labels = table["label"].to_numpy()
        return cls(
            ids=table["id"].to_pylist(),
            pieces=pieces.flatten().to_numpy(),
            segments=table["segments"].chunk(0).flatten().to_numpy(),
            offsets=np.asarray(pieces.offsets.to_numpy(), dtype=np.int64),
            labels=labels if spans is None else np.stack(labels),
            parts=table["part"].to_pylist() if "part" in table.column_names else None,
            sources=table["source"].to_numpy() if "source" in table.column_names else None,
            cut=int(table.schema.metadata[b"cut"]),
            spans=spans,
        )
