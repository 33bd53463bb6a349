"""Tasks of a few rows."""

from __future__ import annotations

from datasets import Dataset

from bench.data.task import Source, Splits, Task, TaskInfo
from bench.data.tasks.demo import Sentiment


class Pairs(Task):
    """Pairs of words, some far too long for the encoder."""

    info = TaskInfo(name="pairs", summary="", labels=None, metric="pearson_spearman")

    def __init__(self, rows: int = 40) -> None:
        self.rows = rows

    def load(self, source: Source) -> Splits:
        def split(name: str, rows: int) -> Dataset:
            return Dataset.from_list(
                [
                    {"id": f"{name}{i}", "text": name + " the" * (1 + i % 7), "label": i / 10,
                     "text_pair": "a " * (200 if i == 3 else 1 + i % 3), "part": "ab"[i % 2]}
                    for i in range(rows)
                ]
            )  # fmt: skip

        return Splits(train=split("t", self.rows), dev=split("d", 10), skipped=("file:3: bad",))


class Few(Task):
    """Some rows of the demo, of which some are equal."""

    info = TaskInfo(name="few", summary="", labels=("negative", "positive"), metric="accuracy")

    def __init__(self, rows: list[int] | None = None) -> None:
        self.rows = rows if rows is not None else [*range(60), 0, 1]

    def load(self, source: Source) -> Splits:
        whole = Sentiment().load(source)
        train = whole.train.select(self.rows).remove_columns("id")
        seen = [f"{row}{'b' * self.rows[:i].count(row)}" for i, row in enumerate(self.rows)]
        train = train.add_column("id", seen)
        return Splits(train=train, dev=whole.dev.select(range(10)))
