"""Answers to SQuAD's dev questions in the file that its official scripts score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.files import write_text
from bench.metrics import metric_of
from bench.results.predictions import answers_by_id

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store


def has_spans(record: Record) -> bool:
    """Whether a cell's answers are spans of a text."""
    metric = metric_of(record.scores)
    return metric is not None and metric.spans


def write_answers(store: Store, records: Sequence[Record], out: Path) -> list[Path]:
    """Writes what some cells answered, a file a task: the text of each question by its id.

    Args:
        store: The run folder.
        records: The cells, each of another task that looks for spans.
        out: Folder for the files.

    Raises:
        BenchError: A task comes twice, or a cell's predictions are missing or damaged.
    """
    written: list[Path] = []
    for record in records:
        path = out / f"{record.cell['task']}.json"
        if path in written:
            raise BenchError(f"two of the cells are of {record.cell['task']}: a file has one's.")
        answers = answers_by_id(store, record.id)
        write_text(path, json.dumps(answers, ensure_ascii=False, indent=1) + "\n")
        written.append(path)
    return written
