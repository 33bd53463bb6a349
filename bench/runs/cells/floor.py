"""What floors answer: made once a run folder, since no seed changes it, and kept there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from safetensors.numpy import load_file, save

from bench import machine, process_state, registry
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
    from numpy.typing import NDArray

    from bench.data.task import Task
    from bench.data.texts import Texts
    from bench.runs.cells.context import Context


@dataclass(frozen=True)
class Kept:
    """What a floor answered, as the run folder keeps it.

    Attributes:
        logits: `[rows, classes]`, or `[rows, 1]` for a regression.
        chosen: What was chosen inside the training rows.
        flops: Of forward passes over training rows.
        tune_score: The task's main figure on the tune rows, in a trial.
    """

    logits: NDArray[np.float32]
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
        answers = answers_of(logits, is_regression=self.task.is_regression)
        return scoring.score(self.task.info.metric, answers, labels).main

    def pooled(self, texts: Sequence[str], *, charged: bool) -> NDArray[np.float32]:
        """Mean last hidden states; see `bench.FloorRun.pooled`."""
        encoder = self.context.encoder
        model = load_model(encoder, self.task.info.labels, dropout=0.0, fresh_head=True)
        rows = encode_texts(texts, encoder, self.context.protocol.sequence_length)
        if charged:
            self.flops += count_dense(model).forward_flops(rows.lengths)
        return pooled(model, rows, self.context.device)


def answers_of_floor(method: str, task: str, context: Context, *, trial: bool) -> Kept:
    """What a floor answers to the report rows of a task or, in a trial, to its tune rows.

    Args:
        method: Its registered name.
        task: The task's name.
        context: The run's.
        trial: Whether it learns from fit rows and answers tune rows, as trials do.

    Raises:
        BenchError: The floor answers in another shape, or not in numbers.
    """
    prepared, floor = context.tasks[task], registry.methods.get(method)
    assert issubclass(floor, Floor)  # noqa: S101 - who calls has asked for one
    identity = {
        "method": [method, floor.info.version],
        "rows": prepared.folder.name,  # which says data, tokenizer, cap and augmentation
        "split": "tune" if trial else "report",
        "weights": context.weights,
        "protocol": context.protocol.version,
    }
    store = Store(context.runs)
    folder = store.root / "floors" / json_hash(identity)[:16]
    with store.lock(f"floor-{folder.name}"):
        known = read_json(folder / "floor.json", _Described)
        if known is None or not is_whole(folder / "logits.safetensors"):
            data = load(prepared).for_trials() if trial else load(prepared)
            own, asked = data.own, data.report
            lent = _Lent(
                context,
                registry.task(prepared.task),
                read_texts(prepared.folder, "train", own.ids),
                own.labels,
                read_texts(prepared.folder, "train" if trial else "report", asked.ids),
            )
            with process_state.kept(), machine.limited_threads(context.threads):
                answers = floor().answer(lent)
            logits = np.asarray(answers.logits, np.float32)
            if (shape := (len(lent.asked), lent.task.num_labels)) != logits.shape:
                raise BenchError(f"{method} answered {logits.shape}, not {shape}")
            if not np.isfinite(logits).all():
                raise BenchError(f"{method} answered NaN or infinity")
            write_bytes(
                folder / "logits.safetensors", save({"logits": np.ascontiguousarray(logits)})
            )
            known = {
                "chosen": dict(answers.chosen),
                "flops": lent.flops,
                "tune_score": lent.score(logits, asked.labels) if trial else None,
            }
            write_json(folder / "floor.json", {**known, **identity})
    logits = load_file(folder / "logits.safetensors")["logits"]
    return Kept(logits, known["chosen"], known["flops"], known["tune_score"])


def tune_floor(task: str, context: Context) -> float:
    """The text floor's score on a task's tune rows, from its fit rows: seconds, and then kept.

    A study whose best trial is not above it has found nothing that words alone do not.

    Args:
        task: The task's name.
        context: The run's.
    """
    return float(answers_of_floor(TEXT_FLOOR, task, context, trial=True).tune_score or 0.0)
