"""What a task is: labelled texts, a metric, and where they come from.

A plugin adds a task by subclassing `Task` and naming it in the entry-point group `bench.tasks`:

    class Politeness(Task):
        info = TaskInfo(
            name="politeness", summary="...", labels=("rude", "polite"), metric="accuracy"
        )

        def load(self, source: Source) -> Splits:
            train, dev = ...          # datasets.Dataset with the columns that `Splits` names
            return Splits(train=train, dev=dev, provenance={"source": "..."})

A challenge set is rows beside a task's own, which its models are scored on and nothing else.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeVar

from bench.errors import BenchError, kind_and_line
from bench.inputs import USUAL, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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
        licence: SPDX identifier of the licence that its rows' texts are under; empty where that is
            not known. Pages show texts where it is one of `bench.data.licences.OPEN`.
        version: Raise it when the same files would now be read as other rows.
    """

    name: str
    summary: str
    labels: tuple[str, ...] | None
    metric: str
    group: str = ""
    reference: str = ""
    licence: str = ""
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


@dataclass(frozen=True, kw_only=True)
class ChallengeInfo:
    """What is known of a challenge set before any of its data is read.

    Attributes:
        name: Name on the command line, in records and pages: as a task's.
        summary: One line that says what it asks of a model.
        tasks: Names of the tasks whose models it is for.
        reference: Paper or page that it comes from.
        version: Raise it when the same files would now be read as other rows.
    """

    name: str
    summary: str
    tasks: tuple[str, ...]
    reference: str = ""
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge set's rows for one task.

    Attributes:
        rows: The columns of a split, perhaps with `part`; and `groups` (a list of strings), the
            groups of rows that each belongs to and that are scored one by one beside all rows. A
            name such as `Logic: Negation` is of a group within another.
        metric: A key of `bench.metrics.METRICS`; its main figure is the score.
        merged: The set's class of each of the task's classes, where the set tells fewer apart;
            labels are the set's then.
        provenance: Where the rows came from, for the record.
        skipped: One line `file:line: reason` for each unreadable row.
        targets: Ids of cells that the rows were written against, for which they are harder.
        stems: The id of the training row that each was made from, which is empty for none; nothing
            where nobody knows.
    """

    rows: Dataset
    metric: str
    merged: tuple[int, ...] | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()


class ChallengeSet(abc.ABC):
    """A challenge set: its `info`, and how to read its rows."""

    info: ChallengeInfo

    @property
    def name(self) -> str:
        """Its name."""
        return self.info.name

    @abc.abstractmethod
    def load(self, task: Task, source: Source) -> Challenge:
        """Reads the rows for one of its tasks.

        Args:
            task: The task.
            source: Where rows may come from; its folder is that of challenge sets.

        Raises:
            BenchError: As `Task.load`.
        """


class Task(abc.ABC):
    """A task: its `info`, and how to read its rows."""

    info: ClassVar[TaskInfo]

    @property
    def challenges(self) -> Mapping[str, ChallengeSet]:
        """Challenge sets of the task's own, by name, which its models are always scored on."""
        return {}

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

    def faults(splits: Splits) -> Iterator[str]:
        pairs = "text_pair" in splits.train.column_names
        for split in ("train", "dev"):
            yield from _objections(getattr(splits, split), split, task, task.num_labels, pairs)

    return _checked(f"task '{task.name}'", lambda: task.load(source), faults)


def checked_challenge(challenge_set: ChallengeSet, task: Task, source: Source) -> Challenge:
    """A challenge set's rows for a task, checked as a task's own are.

    Raises:
        BenchError: They cannot be read, there are none, or they are not what they should be.
    """

    def faults(found: Challenge) -> Iterator[str]:
        if task.finds_spans:
            yield f"is of classes, and {task.name} looks for spans"
        classes = task.num_labels if found.merged is None else max(found.merged) + 1
        pairs = "text_pair" in found.rows.column_names
        yield from _objections(found.rows, "challenge", task, classes, pairs)
        if "groups" not in found.rows.column_names:
            return
        names = {name for row in found.rows["groups"][:] for name in row}
        if len(names) > MOST_GROUPS:
            yield f"has {len(names):,} groups of rows: {MOST_GROUPS} at most"

    what = f"challenge set '{challenge_set.name}'"
    return _checked(what, lambda: challenge_set.load(task, source), faults)


MOST_GROUPS = 200
"""Of a challenge set's rows, each of which a page has a row for."""

T = TypeVar("T")


def _checked(what: str, load: Callable[[], T], faults: Callable[[T], Iterator[str]]) -> T:
    """What somebody's code reads, if nothing is wrong with it; else one clear line."""
    from bench.process_state import kept  # not above: who writes a method does not need it

    try:
        with kept():
            found = load()
        fault = next(faults(found), None)
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(f"{what} cannot read its rows: {kind_and_line(error)}") from error
    if fault:
        raise BenchError(f"{what} {fault}.")
    return found


def _objections(
    rows: Dataset, split: str, task: Task, num_classes: int, pairs: bool
) -> Iterator[str]:
    """What is wrong with the rows of a split, the worst first."""
    if len(rows) == 0:
        yield f"has no {split} rows"
        return
    columns = set(rows.column_names)
    if missing := {"id", "text", *(SPAN_COLUMNS if task.finds_spans else ("label",))} - columns:
        yield f"has no column {min(missing)} in its {split} rows"
        return
    if ("text_pair" in columns) != pairs:
        yield "has pairs in one of its splits only"
    for name in ("id", "text", "text_pair", "part"):
        if name in columns and not all(isinstance(text, str) for text in rows[name][:]):
            yield f"has a {name} that is no text in its {split} rows"
    if len(set(rows["id"][:])) < len(rows):
        yield f"has an id twice in its {split} rows"
    if task.finds_spans:
        yield from _wrong_spans(rows, split)
        return
    classes = range(num_classes)
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
