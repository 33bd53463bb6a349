"""Predictions on GLUE's test rows, in the files that its server takes."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.data.prepare import encode
from bench.data.revisions import pinned
from bench.data.tasks.glue import GlueTask
from bench.deploy.kept import kept_model
from bench.errors import BenchError
from bench.files import atomic_path, write_text
from bench.models.checkpoint import load_model
from bench.training.evaluate import answers_of, predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.data.task import Source
    from bench.results.record import Record
    from bench.results.store import Store

ARCHIVE = "submission.zip"

EVERY_FILE = ("AX", "CoLA", "MNLI-m", "MNLI-mm", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B",
              "WNLI")  # fmt: skip
"""What the server asks for; one zip holds all of them."""


def write_submission(
    store: Store, records: Sequence[Record], source: Source, out: Path, device: str
) -> list[Path]:
    """Predicts the test rows of the tasks of some cells, and writes a file each and a zip of all.

    Args:
        store: The run folder, which holds the cells' models.
        records: The cells, each of another task.
        source: Where test rows may come from.
        out: Folder for the files.
        device: `cpu` or `cuda`.

    Returns:
        The files, the zip last.

    Raises:
        BenchError: A task is none of GLUE's, comes twice, a cell's model was not kept, or a file of
            test rows cannot be read; nothing is written then.
    """
    chosen: dict[str, tuple[GlueTask, Path, int]] = {}
    for record in records:
        name = record.cell["task"]
        task = registry.task(name) if name in registry.tasks.names() else None
        if not isinstance(task, GlueTask):
            raise BenchError(f"'{name}' is none of GLUE's tasks: its server knows nothing of it.")
        if name in chosen:
            raise BenchError(f"two of the cells are of {name}: the server takes one.")
        chosen[name] = task, kept_model(store, record), record.data["cut_to_fit"]["pieces"]
    asked = {  # all before the first answer, so that what cannot be read costs none
        name: task.load_test(pinned(source, name, store.root / "data"))
        for name, (task, _, _) in chosen.items()
    }
    written: list[Path] = []
    for name, (task, folder, length) in chosen.items():
        model = load_model(folder, task.info.labels, dropout=0.0)
        for part, rows in asked[name].items():
            path = out / f"{task.submission(part)}.tsv"
            (encoded,) = encode([rows], folder, length, task.is_regression)
            lines = _answers(task, predict(model, encoded, device))
            answers = zip(encoded.ids, lines, strict=True)
            table = "".join(f"{index}\t{answer}\n" for index, answer in answers)
            write_text(path, f"index\tprediction\n{table}")
            written.append(path)
    with atomic_path(out / ARCHIVE) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for path in written:
            # A fixed date: the same answers are the same bytes.
            info = zipfile.ZipInfo(path.name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return [*written, out / ARCHIVE]


def _answers(task: GlueTask, logits: NDArray[Any]) -> list[str]:
    """What the server reads: a name where the task's files have names, else a number."""
    answers = answers_of(logits, is_regression=task.is_regression)
    if task.is_regression:
        return [f"{value:.3f}" for value in answers.clip(task.layout.low, task.layout.high)]
    labels = task.info.labels or ()
    return [labels[number] if task.layout.named else str(number) for number in answers.tolist()]
