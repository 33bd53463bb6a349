"""The encoder after an intermediate task, which all of a suite starts from.

Phang et al. (2018, arXiv:1811.01088) fine-tune an encoder on one task before another. Chang and Lu
(2021, arXiv:2108.11696) ask why that helps, by a task without content: to tell the real ending of a
passage from fakes. Each such encoder is made once a run folder.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from msgspec import Struct
from torch import nn

from bench.checksums import damaged_files
from bench.compression.losses import logits, task_loss
from bench.compression.params import TrainParams
from bench.data.endings import ENDINGS
from bench.files import is_whole, json_hash, lock, read_json, write_json
from bench.models.checkpoint import load_model
from bench.models.start import save_start
from bench.training.batches import collate, steps_per_epoch
from bench.training.evaluate import predict, respond
from bench.training.loop import train
from bench.training.reference import dense_cost
from bench.training.scoring import score
from bench.training.seeds import isolated_rng

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Loss, Training
    from bench.data.encoded import Encoded
    from bench.data.task import Task
    from bench.protocol import Protocol

SEED = 0
"""Of head, order and dropout: the encoder is the same for the cells of all seeds."""

MOST_HELD_OUT = 500
HELD_OUT = 0.1
"""Prompts that a synthetic task is scored on: a share of all, and so many at most."""

NOT_ASKED: dict[str, Any] = {
    "trials": 0, "perturb": "", "carried": "", "augment": 0, "max_train_samples": None,
    "corpus": "", "pretrain_steps": 0, "adapt_from": "", "intermediate": "", "generator": "",
    "train_with": "",
}  # fmt: skip
"""What of a protocol does not touch an intermediate training, or is told by rows and encoder."""


@dataclass(frozen=True)
class Lesson:
    """What the encoder is trained on before, and how that is scored.

    Attributes:
        rows: Rows to train on.
        labels: Names of the classes; `None` for one output.
        spans: Whether the head marks spans.
        loss: From model and batch to a scalar.
        score: The score of a trained model on rows that it has not seen.
        facts: What a record says of it: `metric`, `rows`, `held_out` and others.
        each: Rows that are trained on as one, of which batches have the first.
        flops: What the rows have cost.
    """

    rows: Encoded
    labels: Sequence[str] | None
    loss: Loss
    score: Callable[[PreTrainedModel], float]
    facts: dict[str, Any]
    spans: bool = False
    each: int = 1
    flops: int = 0


@dataclass(frozen=True)
class Start:
    """An encoder to start from, on disk.

    Attributes:
        key: Hash of all that it depends on.
        folder: Its Hugging Face folder.
        train_flops: What it cost, its rows included.
        wall_s: Seconds that it took.
        facts: What records say of it.
    """

    key: str
    folder: Path
    train_flops: int
    wall_s: float
    facts: dict[str, Any]


class _Described(Struct, kw_only=True):
    """What `intermediate.json` has to say."""

    train_flops: int
    wall_s: float
    facts: dict[str, Any]


def obtain_start(
    runs: Path,
    lesson: Callable[[], Lesson],
    *,
    encoder: Path,
    identity: dict[str, Any],
    protocol: Protocol,
    device: str,
    progress: Callable[[int, int], None],
) -> Start:
    """Returns the encoder after an intermediate task, training it where the run folder has none.

    Args:
        runs: The run folder.
        lesson: Prepares what it is trained on, if it has to be.
        encoder: Folder of the pre-trained encoder.
        identity: What names task, rows and encoder; `name` is the task's.
        protocol: What is held equal.
        device: `cpu` or `cuda`.
        progress: Called with steps made and steps in all.

    Raises:
        DivergedError: Its training met a NaN or an infinite value.
    """
    asked = dataclasses.replace(protocol, **NOT_ASKED)
    identity = {**identity, "protocol": asked.hash}
    folder = runs / "intermediates" / json_hash(identity)[:16]
    with lock(runs, f"intermediate-{folder.name}"):
        done = read_json(folder / "intermediate.json", _Described)
        if done is None or not is_whole(folder / "model.safetensors") or damaged_files(folder):
            begin = time.perf_counter()
            with isolated_rng(SEED):  # what is drawn later depends not on what was kept already
                taught = lesson()
            with isolated_rng(SEED):
                model, training = _trained(taught, encoder, asked, device, progress)
                found = taught.score(model) if taught.facts["held_out"] else None
                save_start(model.cpu(), folder, encoder)
            done = {
                "train_flops": taught.flops + _cost(training, taught),
                "wall_s": time.perf_counter() - begin,
                "facts": {"name": identity["name"], **taught.facts, "score": found},
                **identity,
            }
            write_json(folder / "intermediate.json", done)
    return Start(folder.name, folder, done["train_flops"], done["wall_s"], done["facts"])


def _trained(
    lesson: Lesson,
    encoder: Path,
    protocol: Protocol,
    device: str,
    progress: Callable[[int, int], None],
) -> tuple[PreTrainedModel, Training]:
    """The fine-tuned model, trained as a dense one is by default."""
    model = load_model(
        encoder, lesson.labels, protocol.dropout, spans=lesson.spans, fresh_head=True
    )
    firsts = np.arange(0, len(lesson.rows), lesson.each)
    training = train(
        model,
        lesson.rows,
        loss=lesson.loss,
        params=TrainParams(learning_rate=protocol.learning_rate),
        protocol=protocol,
        device=device,
        seed=(SEED, 0),
        progress=progress,
        steps=protocol.epochs * steps_per_epoch(len(firsts), protocol.batch_size),
        rows=firsts,
    )
    return model, training


def _cost(training: Training, lesson: Lesson) -> int:
    """FLOPs of the training: what is trained on as one is visited as one."""
    training.visits = np.repeat(training.visits[:: lesson.each], lesson.each)
    return dense_cost(training, lesson.rows.lengths)


def lesson_of_task(task: Task, fit: Encoded, tune: Encoded) -> Lesson:
    """A task as an intermediate one: its fit rows, scored on its tune rows.

    Tune rows stay unseen, since the task may be one of the suite's own.
    """
    metric = task.info.metric

    def score_of(model: PreTrainedModel) -> float:
        answers = respond(model, metric, tune, str(model.device)).answers
        return score(metric, answers, tune.references, tune.parts).main

    facts = {"metric": metric, "rows": len(fit), "held_out": len(tune)}
    return Lesson(fit, task.info.labels, task_loss, score_of, facts, spans=task.finds_spans)


def prompts_held_out(prompts: int) -> int:
    """How many of so many prompts a synthetic task is scored on."""
    return max(1, min(MOST_HELD_OUT, round(HELD_OUT * prompts)))


def lesson_of_endings(rows: Encoded, flops: int, made: str, *, binary: bool) -> Lesson:
    """To tell the real ending of each prompt.

    Args:
        rows: `ENDINGS` rows a prompt, the real one first.
        flops: What they have cost.
        made: What they are made from, and by whom.
        binary: Whether one ending is judged at a time, the real one or the first fake, in place of
            a choice among all.
    """
    prompts = len(rows) // ENDINGS
    held_out = prompts_held_out(prompts)
    each = 2 if binary else ENDINGS
    numbers = np.arange(len(rows)).reshape(prompts, ENDINGS)[:, :each]
    asked, fit = (rows.select(part.ravel().tolist()) for part in np.split(numbers, [held_out]))

    def score_of(model: PreTrainedModel) -> float:
        said = predict(model, asked, str(model.device))
        if binary:
            return 100 * float((said.argmax(axis=1) == asked.labels).mean())
        return 100 * float((said.reshape(-1, each).argmax(axis=1) == 0).mean())

    facts = {"metric": "accuracy", "rows": len(fit), "held_out": len(asked), "endings": made}
    if binary:
        return Lesson(fit, ("fake", "real"), task_loss, score_of, facts, flops=flops)
    return Lesson(fit, None, choice_loss(fit), score_of, facts, each=each, flops=flops)


def choice_loss(data: Encoded) -> Loss:
    """The paper's loss: −log of the real ending's softmax among the scores of all of its prompt.

    Args:
        data: `ENDINGS` rows a prompt, the real one first; a batch has the first of each.
    """

    def loss(model: PreTrainedModel, batch: Batch) -> Tensor:
        rows = (batch.rows[:, None] + np.arange(ENDINGS)).ravel()
        scores = logits(model, collate(data, rows, model, batch.labels.device))
        real = torch.zeros(len(batch.rows), dtype=torch.long, device=scores.device)
        return nn.functional.cross_entropy(scores.view(-1, ENDINGS), real)

    return loss
