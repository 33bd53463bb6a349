"""Where the answers of a text lie: windows of it, and what stands where in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.answers import text_column

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow import Table

NOWHERE = -1
"""Where a piece begins and ends that is none of the context's."""


@dataclass(frozen=True)
class Spans:
    """What windows are cut out of, and where their pieces lie in it.

    A row of an `Encoded` is a window then. An example is a question with its context, of which each
    window shows a part.

    Attributes:
        examples: The number of each window's example, `[windows]`.
        begins: Where each piece begins in its context, in characters, or `NOWHERE`, `[pieces]`.
        ends: Where it ends, `[pieces]`.
        ids: Of the examples, `[examples]`.
        contexts: Of the examples, `[examples]`.
        answers: The right texts of each example, of which there may be none, `[examples]`.
    """

    examples: NDArray[np.int64]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    ids: list[str]
    contexts: list[str]
    answers: NDArray[Any]

    def select(self, windows: NDArray[np.int64], pieces: NDArray[np.int64]) -> Spans:
        """Those of some windows, whose pieces these are, and of their examples."""
        kept, examples = np.unique(self.examples[windows], return_inverse=True)
        return Spans(
            examples=examples,
            begins=self.begins[pieces],
            ends=self.ends[pieces],
            ids=[self.ids[example] for example in kept],
            contexts=[self.contexts[example] for example in kept],
            answers=self.answers[kept],
        )

    def columns(self, offsets: NDArray[np.int64]) -> dict[str, Any]:
        """Columns of a table with a row a window, whose pieces begin at `offsets`."""
        import pyarrow

        def of_each_window(values: list[Any]) -> Any:
            return pyarrow.array(values).take(pyarrow.array(self.examples))

        return {
            "example": self.examples,
            "begins": pyarrow.LargeListArray.from_arrays(offsets, self.begins),
            "ends": pyarrow.LargeListArray.from_arrays(offsets, self.ends),
            "question": of_each_window(self.ids),
            "context": of_each_window(self.contexts),
            "answers": pyarrow.array(
                [list(texts) for texts in self.answers], pyarrow.list_(pyarrow.string())
            ).take(pyarrow.array(self.examples)),
        }

    @classmethod
    def of_table(cls, table: Table) -> Spans:
        """Reads what `columns` gave, in one chunk a column."""
        examples = table["example"].to_numpy()
        _, first = np.unique(examples, return_index=True)
        own = table.select(["question", "context", "answers"]).take(first)
        begins, ends = (table[n].chunk(0).flatten().to_numpy() for n in ("begins", "ends"))
        known: dict[str, str] = {}  # a paragraph has several questions
        return cls(
            examples=examples,
            begins=begins,
            ends=ends,
            ids=own["question"].to_pylist(),
            contexts=[known.setdefault(text, text) for text in own["context"].to_pylist()],
            answers=text_column(map(tuple, own["answers"].to_pylist())),
        )
