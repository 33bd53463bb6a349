"""What a task is: labelled texts, a metric, and where they come from.

A plugin adds a task by subclassing `Task` and naming it in the entry-point group `bench.tasks`:

    class Politeness(Task):
        info = TaskInfo(
            name="politeness", summary="...", labels=("rude", "polite"), metric="accuracy"
        )

        def load(self, source: Source) -> Splits:
            train, dev = ...          # datasets.Dataset with the columns that `Splits` names
            return Splits(train=train, dev=dev, provenance={"source": "..."})
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from bench.errors import BenchError, kind_and_line
from bench.inputs import USUAL, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datasets import Dataset


SPAN_COLUMNS = ("text_pair", "answers", "begins")
"""What rows have instead of a label where spans are looked for."""


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """What is known of a task before any of its data is read.

    Attributes:
        name: Name on the command line, in records and pages: lower case letters, digits, `-`, `_`.
        summary: One line that says what is to be told.
        labels: Class names, in the order of the label numbers; `None` for a regression, and
            `bench.metrics.SPAN_LABELS` where spans of a text are looked for.
        metric: A key of `bench.metrics.METRICS`; its main figure is the score.
        group: The group that `--tasks` can name as a whole (`glue`, `demo`); empty for none.
        reference: Paper or page that the task comes from.
        version: Raise it when the same files would now be read as other rows.
    """

    name: str
    summary: str
    labels: tuple[str, ...] | None
    metric: str
    group: str = ""
    reference: str = ""
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a task may take its data from.

    Attributes:
        data_dir: Folder in the original GLUE layout, or `None` for the hub.
        revision: Pinned revision of the hub's data set, or `None` for the newest.
        offline: Never ask the network; only what was fetched before.
        limits: How much a file of data may hold.
    """

    data_dir: Path | None = None
    revision: str | None = None
    offline: bool = False
    limits: Limits = USUAL


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The rows of a task.

    Every split has the columns `id` (string, unique within the split), `text` (string),
    `text_pair` (string; only where the task has pairs) and `label` (int64 class number, or float64
    for a regression). A `part` column (string) divides a dev
    split into parts that are scored one by one (MNLI: matched, mismatched).

    Where spans are looked for, `text` is the question and `text_pair` the context. In place of
    `label` stand `answers` (texts of the context, the first of which is learnt; none where it has
    no answer) and `begins` (int64: where each begins, in characters).

    Attributes:
        train: Rows to learn from; the protocol cuts *fit* and *tune* out of them.
        dev: The *report* rows.
        provenance: Where the rows came from (source, revision or file names), for the record.
        skipped: One line `file:line: reason` for each unreadable row.
    """

    train: Dataset
    dev: Dataset
    provenance: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


class Task(abc.ABC):
    """A task: its `info`, and how to read its rows."""

    info: ClassVar[TaskInfo]

    @property
    def name(self) -> str:
        """The task's registered name."""
        return self.info.name

    @property
    def is_regression(self) -> bool:
        """Whether the label is a number rather than a class."""
        return self.info.labels is None

    @property
    def finds_spans(self) -> bool:
        """Whether an answer is a span of a text rather than a class or a number."""
        from bench.metrics import METRICS  # not above: who writes a method does not need it

        return METRICS[self.info.metric].spans

    @property
    def num_labels(self) -> int:
        """Width of the head: the number of classes, 1, or 2 for the ends of a span."""
        return 1 if self.info.labels is None else len(self.info.labels)

    @abc.abstractmethod
    def load(self, source: Source) -> Splits:
        """Reads the rows.

        Raises:
            BenchError: A file or the hub cannot be reached, or its content is not what the task's
                layout says; the message names the file, the line and the remedy.
        """


def checked_rows(task: Task, source: Source) -> Splits:
    """A task's rows, checked against what `Splits` promises: a plugin may read them as it likes.

    Raises:
        BenchError: They cannot be read, a split has none, or one is not what it should be.
    """
    from bench.process_state import kept  # not above: who writes a method does not need it

    try:
        with kept():
            splits = task.load(source)
        faults = (fault for split in ("train", "dev") for fault in _objections(task, splits, split))
        fault = next(faults, None)
    except BenchError:
        raise
    except Exception as error:
        reason = kind_and_line(error)
        raise BenchError(f"task '{task.name}' cannot read its rows: {reason}") from error
    if fault:
        raise BenchError(f"task '{task.name}' {fault}.")
    return splits


def _objections(task: Task, splits: Splits, split: str) -> Iterator[str]:
    """What is wrong with a split, the worst first."""
    rows: Dataset = getattr(splits, split)
    if len(rows) == 0:
        yield f"has no {split} rows"
        return
    columns = set(rows.column_names)
    if missing := {"id", "text", *(SPAN_COLUMNS if task.finds_spans else ("label",))} - columns:
        yield f"has no column {min(missing)} in its {split} rows"
        return
    if ("text_pair" in columns) != ("text_pair" in splits.train.column_names):
        yield "has pairs in one of its splits only"
    for name in ("id", "text", "text_pair", "part"):
        if name in columns and not all(isinstance(text, str) for text in rows[name][:]):
            yield f"has a {name} that is no text in its {split} rows"
    if len(set(rows["id"][:])) < len(rows):
        yield f"has an id twice in its {split} rows"
    if task.finds_spans:
        yield from _wrong_spans(rows, split)
        return
    classes = range(task.num_labels)
    for label in rows["label"][:]:
        if not (isinstance(label, float | int) and math.isfinite(label)):
            yield f"has the label {label!r} in its {split} rows, which is no number"
        elif not task.is_regression and label not in classes:
            yield f"has the label {label} in its {split} rows, beside classes 0 to {classes[-1]}"


def _wrong_spans(rows: Dataset, split: str) -> Iterator[str]:
    """Answers that are not where they should be in the texts of a split."""
    columns = (rows[name][:] for name in ("id", "text_pair", "answers", "begins"))
    for row, context, answers, begins in zip(*columns, strict=True):
        if len(answers) != len(begins):
            yield f"has {len(answers)} answers and {len(begins)} begins in its {split} row {row}"
        elif answers and not context.startswith(answers[0], max(0, begins[0])):
            yield f"has an answer that is not where it should be in its {split} row {row}"
