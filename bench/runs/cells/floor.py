"""What floors answer: made once a run folder, since no seed changes it, and kept there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from safetensors.numpy import load_file, save

from bench import machine, process_state, registry
from bench.answers import text_column
from bench.compression.floor import Floor
from bench.data.prepare import load
from bench.data.texts import encode_texts, read_texts
from bench.errors import BenchError
from bench.files import is_whole, json_hash, read_json, write_bytes, write_json
from bench.models.checkpoint import load_model
from bench.models.footprint import count_dense
from bench.results.record import TEXT_FLOOR
from bench.results.store import Store
from bench.training import scoring
from bench.training.evaluate import answers_of, pooled

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.compression.floor import Answers
    from bench.data.challenge import PreparedChallenge
    from bench.data.task import Task
    from bench.data.texts import Texts
    from bench.runs.cells.context import Context


LOGITS, TEXTS = "logits.safetensors", "texts.json"
"""What keeps answers: one or the other."""


@dataclass(frozen=True)
class Kept:
    """What a floor answered, as the run folder keeps it.

    Attributes:
        answers: Class numbers, figures or texts, `[rows]`.
        logits: What they were taken from, as `bench.Answers` has them.
        chosen: What was chosen inside the training rows.
        flops: Of forward passes over training rows.
        tune_score: The task's main figure on the tune rows, in a trial.
    """

    answers: NDArray[Any]
    logits: NDArray[np.float32] | None
    chosen: dict[str, Any]
    flops: int
    tune_score: float | None


class _Described(Struct, kw_only=True):
    """What `floor.json` has to say."""

    chosen: dict[str, Any]
    flops: int
    tune_score: float | None


@dataclass
class _Lent:
    """The `bench.FloorRun` of a task's rows."""

    context: Context
    task: Task
    train: Sequence[Texts]
    labels: NDArray[Any]
    asked: Sequence[Texts]
    flops: int = 0

    def score(self, logits: NDArray[Any], labels: NDArray[Any]) -> float:
        """The task's own metric; see `bench.FloorRun.score`."""
        answers = logits if self.task.finds_spans else self.answers(logits)
        return scoring.score(self.task.info.metric, answers, labels).main

    def answers(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Classes or figures."""
        return answers_of(logits, is_regression=self.task.is_regression)

    def pooled(self, texts: Sequence[str], *, charged: bool) -> NDArray[np.float32]:
        """Mean last hidden states; see `bench.FloorRun.pooled`."""
        encoder = self.context.encoder
        labels, spans = self.task.info.labels, self.task.finds_spans
        model = load_model(encoder, labels, dropout=0.0, spans=spans, fresh_head=True)
        rows = encode_texts(texts, encoder, self.context.protocol.sequence_length)
        if charged:
            self.flops += count_dense(model).forward_flops(rows.lengths)
        return pooled(model, rows, self.context.device)


def answers_of_floor(
    method: str,
    task: str,
    context: Context,
    *,
    trial: bool,
    challenge: PreparedChallenge | None = None,
) -> Kept:
    """What a floor answers to the report rows of a task or, in a trial, to its tune rows.

    Args:
        method: Its registered name.
        task: The task's name.
        context: The run's.
        trial: Whether it learns from fit rows and answers tune rows, as trials do.
        challenge: A challenge set whose rows it answers instead.

    Raises:
        BenchError: The floor answers in another shape, or not in numbers.
    """
    prepared, floor = context.tasks[task], registry.methods.get(method)
    assert issubclass(floor, Floor)  # noqa: S101 - who calls has asked for one
    identity = {
        "method": [method, floor.info.version],
        "rows": prepared.folder.name,  # which says data, tokenizer, cap and augmentation
        "split": challenge.folder.name if challenge else "tune" if trial else "report",
        "weights": context.weights,
        "protocol": context.protocol.version,
    }
    store = Store(context.runs)
    folder = store.root / "floors" / json_hash(identity)[:16]
    with store.lock(f"floor-{folder.name}"):
        known = read_json(folder / "floor.json", _Described)
        if known is None or not is_whole(folder / _file(registry.task(prepared.task))):
            data = load(prepared).for_trials() if trial else load(prepared)
            own = data.own
            asked = challenge.load()[0] if challenge else data.report
            lent = _Lent(
                context,
                registry.task(prepared.task),
                read_texts(prepared.folder, "train", own.asked),
                own.references,
                challenge.texts(asked)
                if challenge
                else read_texts(prepared.folder, "train" if trial else "report", asked.asked),
            )
            with process_state.kept(), machine.limited_threads(context.threads):
                answers = floor().answer(lent)
            given = _checked(method, answers, lent)
            _write(folder, given)
            known = {
                "chosen": dict(answers.chosen),
                "flops": lent.flops,
                "tune_score": lent.score(given, asked.references) if trial else None,
            }
            write_json(folder / "floor.json", {**known, **identity})
    logits, answered = _read(folder, registry.task(prepared.task))
    return Kept(answered, logits, known["chosen"], known["flops"], known["tune_score"])


def _file(task: Task) -> str:
    """The file that keeps what a floor answers to a task."""
    return TEXTS if task.finds_spans else LOGITS


def _checked(method: str, answers: Answers, lent: _Lent) -> NDArray[Any]:
    """Logits, or texts where spans are looked for.

    Raises:
        BenchError: They are of another shape, or not in numbers or texts.
    """
    rows = len(lent.asked)
    if lent.task.finds_spans:
        texts = [] if answers.texts is None else list(answers.texts)
        if len(texts) != rows or not all(isinstance(text, str) for text in texts):
            raise BenchError(f"{method} answered {len(texts)} rows of {rows}, or not in texts")
        return text_column(texts)
    if answers.logits is None:
        raise BenchError(f"{method} answered nothing")
    logits = np.asarray(answers.logits, np.float32)
    if (shape := (rows, lent.task.num_labels)) != logits.shape:
        raise BenchError(f"{method} answered {logits.shape}, not {shape}")
    if not np.isfinite(logits).all():
        raise BenchError(f"{method} answered NaN or infinity")
    return logits


def _write(folder: Path, given: NDArray[Any]) -> None:
    if given.dtype == object:
        write_json(folder / TEXTS, {"texts": given.tolist()})
    else:
        write_bytes(folder / LOGITS, save({"logits": np.ascontiguousarray(given)}))


def _read(folder: Path, task: Task) -> tuple[NDArray[np.float32] | None, NDArray[Any]]:
    """Logits, if there are any, and answers."""
    if task.finds_spans:
        return None, text_column(read_json(folder / TEXTS)["texts"])  # type: ignore[index]
    logits = load_file(folder / LOGITS)["logits"]
    return logits, answers_of(logits, is_regression=task.is_regression)


def tune_floor(task: str, context: Context) -> float:
    """The text floor's score on a task's tune rows, from its fit rows: seconds, and then kept.

    A study whose best trial is not above it has found nothing that words alone do not.

    Args:
        task: The task's name.
        context: The run's.
    """
    return float(answers_of_floor(TEXT_FLOOR, task, context, trial=True).tune_score or 0.0)
