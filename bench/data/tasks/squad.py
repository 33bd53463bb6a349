"""SQuAD 1.1 and 2.0, from a folder of the official files or from the hub.

A row is a question with its paragraph. What 2.0 asks without an answer has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from msgspec import Struct

from bench import hub
from bench.answers import plain_answer
from bench.data.task import Source, Splits, Task, TaskInfo
from bench.data.tasks.rows import check_count, read_file
from bench.errors import BenchError
from bench.metrics import SPAN_LABELS
from bench.parquet import batches, open_bounded
from bench.schema import check, parse_json

if TYPE_CHECKING:
    from datasets import Dataset

    from bench.inputs import Limits

FOLDER = "SQuAD"
"""Where the files may lie in a folder that GLUE's tasks have theirs in, too."""


class _Answer(Struct):
    text: str
    answer_start: int


class _Asked(Struct):
    id: str
    question: str
    answers: list[_Answer] = []
    is_impossible: bool = False


class _Paragraph(Struct):
    context: str
    qas: list[_Asked]


class _Article(Struct):
    paragraphs: list[_Paragraph]


class _File(Struct):
    """The layout of an official file, as far as it is read."""

    data: list[_Article]


class _Row(NamedTuple):
    """A question, as either source has it."""

    id: str
    question: str
    context: str
    answers: list[str]
    begins: list[int]


class Squad(Task):
    """SQuAD 1.1: every question has its answer in the paragraph.

    Attributes:
        files: Names of the official files of training and dev rows.
        repository: The hub's copy.
        folder: Where its Parquet files lie there.
        without_answer: What is wrong with a question that has no answer; empty for nothing.
    """

    info = TaskInfo(
        name="squad",
        summary="which words of the paragraph answer the question",
        labels=SPAN_LABELS,
        metric="squad",
        reference="Rajpurkar et al. 2016, arXiv:1606.05250",
        licence="CC-BY-SA-4.0",
    )
    files: ClassVar[tuple[str, str]] = ("train-v1.1.json", "dev-v1.1.json")
    repository: ClassVar[str] = "rajpurkar/squad"
    folder: ClassVar[str] = "plain_text"
    without_answer: ClassVar[str] = "no answer"

    def load(self, source: Source) -> Splits:
        """Reads the folder `source.data_dir`, or else the hub's copy."""
        if source.data_dir is None:
            files = tuple(f"{self.folder}/{split}-00000-of-00001.parquet"
                          for split in ("train", "validation"))  # fmt: skip
            folder = hub.snapshot(
                self.repository,
                "dataset",
                files=files,
                revision=source.revision,
                offline=source.offline,
                remedy=self._remedy(),
            )
            where = {"source": self.repository, "revision": folder.name}
        else:
            folder, files, where = source.data_dir, self.files, {"source": "folder"}
            if not (folder / files[0]).exists() and (folder / FOLDER).is_dir():
                folder /= FOLDER
        skipped: list[str] = []
        read = [self._read(folder / name, source.limits, skipped) for name in files]
        digests = ", ".join(f"{n} {digest}" for n, (_, digest) in zip(files, read, strict=True))
        return Splits(
            train=read[0][0],
            dev=read[1][0],
            provenance={**where, "files": digests},
            skipped=tuple(skipped),
        )

    def _read(self, path: Path, limits: Limits, skipped: list[str]) -> tuple[Dataset, str]:
        """The rows of a file, and a digest of it; adds a line for each that cannot be read."""
        data = read_file(path, self._remedy(), limits)
        take = _of_parquet if path.suffix == ".parquet" else _of_json
        kept, left_out = [], []
        try:
            rows = [self._right(row) for row in take(data, limits)]
        except (ValueError, BenchError) as error:
            reason = str(error).rstrip(".")
            raise BenchError(f"{path} is not in SQuAD's layout: {reason}.") from None
        for row in rows:
            if why := self._objection(row):
                left_out.append(f"{path.name}: question {row.id}: {why}")
            else:
                kept.append(row)
        check_count(path, len(rows), left_out, 0)
        skipped += left_out
        return _dataset(kept), hashlib.sha256(data).hexdigest()[:12]

    def _objection(self, row: _Row) -> str:
        """Why a row cannot be used; empty where it can."""
        if not (row.question.strip() and row.context.strip()):
            return "no text"
        if not row.answers:
            return self.without_answer
        if not (
            row.begins[0] >= 0
            and row.answers[0]
            and row.context.startswith(row.answers[0], row.begins[0])
        ):
            return "its answer is not where it should be"
        return ""

    def _right(self, row: _Row) -> _Row:
        """A row with those of its answers that count."""
        return row

    def _remedy(self) -> str:
        return (
            f"Either name a folder that holds {' and '.join(self.files)} with --data-dir DIR, or "
            f"run without it after fetching the task once with a network: bench fetch --tasks "
            f"{self.name}."
        )


class Squad2(Squad):
    """SQuAD 2.0: a third of the training questions, and half of dev's, have no answer."""

    info = TaskInfo(
        name="squad2",
        summary="which words of the paragraph answer the question, if any do",
        labels=SPAN_LABELS,
        metric="squad",
        reference="Rajpurkar et al. 2018, arXiv:1806.03822",
        licence="CC-BY-SA-4.0",
    )
    files = ("train-v2.0.json", "dev-v2.0.json")
    repository = "rajpurkar/squad_v2"
    folder = "squad_v2"

    without_answer = ""

    def _right(self, row: _Row) -> _Row:
        """Leaves out what is nothing but articles and punctuation, as its official script does."""
        kept = [place for place, text in enumerate(row.answers) if plain_answer(text)]
        return row._replace(
            answers=[row.answers[place] for place in kept],
            begins=[row.begins[place] for place in kept],
        )


def _of_json(data: bytes, limits: Limits) -> Iterator[_Row]:
    """Questions of an official file, those that are impossible without an answer."""
    file = check(parse_json(data.decode("utf-8-sig")), _File)
    for paragraph in (paragraph for article in file.data for paragraph in article.paragraphs):
        for asked in paragraph.qas:
            answers = [] if asked.is_impossible else asked.answers
            yield _Row(
                asked.id,
                asked.question,
                paragraph.context,
                [answer.text for answer in answers],
                [answer.answer_start for answer in answers],
            )


def _of_parquet(data: bytes, limits: Limits) -> Iterator[_Row]:
    """Questions of a file of the hub's."""
    import pyarrow

    file, _ = open_bounded(pyarrow.BufferReader(data), limits)
    for _, columns in batches(file, limits):
        if missing := {"id", "question", "context", "answers"} - columns.keys():
            raise ValueError(f"it has no column {min(missing)}")
        names = ("id", "question", "context", "answers")
        cells = zip(*(columns[name].to_pylist() for name in names), strict=True)
        for row, question, context, answers in cells:
            if not isinstance(answers, dict) or {"text", "answer_start"} - answers.keys():
                raise ValueError("its answers are no text with an answer_start")
            yield _Row(row, question, context, answers["text"], answers["answer_start"])


def _dataset(rows: list[_Row]) -> Dataset:
    from datasets import Dataset, Features, Value

    text, number = Value("string"), Value("int64")
    return Dataset.from_dict(
        {
            "id": [row.id for row in rows],
            "text": [row.question for row in rows],
            "text_pair": [row.context for row in rows],
            "answers": [row.answers for row in rows],
            "begins": [row.begins for row in rows],
        },
        features=Features(id=text, text=text, text_pair=text, answers=[text], begins=[number]),
    )
