"""What a plan will cost, from a few real steps on this machine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench import registry
from bench.compression.floor import Floor
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.endings import ENDINGS
from bench.data.prepare import load
from bench.models.checkpoint import load_model
from bench.protocol import SYNTHETIC
from bench.results.record import without_option
from bench.runs.cells.start import intermediate_steps
from bench.training import loop
from bench.training.batches import EVALUATION_BATCH, steps_per_epoch
from bench.training.evaluate import respond
from bench.training.perturber import perturber_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.runs.cells.cell import Cell
    from bench.runs.cells.claim import Job
    from bench.runs.cells.context import Context

TIMED_STEPS = 5

GENERAL = "general_epochs"
"""The parameter by which a method says how often it goes through unlabelled text."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan.

    Attributes:
        trainings: Trainings of a model.
        general: Those of them that are on unlabelled text.
        intermediate: Those of them that are on a task before the suite's own.
        steps: Optimizer steps of all of them.
        seconds: Wall time, all workers together.
        megabytes: Disk for models that are kept.
        unreachable: Cells that counting says no training can meet.
        taught: Whether any of it learns from a teacher.
        timed_steps: Optimizer steps a task that the time is reckoned from.
    """

    trainings: int
    general: int
    intermediate: int
    steps: int
    seconds: float
    megabytes: float
    unreachable: int
    taught: bool
    timed_steps: int = TIMED_STEPS


def estimate(todo: Sequence[Job], context: Context, workers: int) -> Estimate:
    """Estimates what cells and trials will cost.

    Args:
        todo: What is to be run.
        context: Prepared tasks, encoder and protocol.
        workers: Processes that share the work.
    """
    size = sum(path.stat().st_size for path in context.encoder.glob("*.safetensors")) / 1e6
    timed: dict[tuple[str, str], _Seconds] = {}
    general: dict[tuple[str, str, float], int] = {}
    before: dict[tuple[str, int], int] = {}
    trainings = steps = unreachable = 0
    taught = False
    seconds = megabytes = 0.0
    for job in todo:
        cell = job.cell
        bound = context.bind(cell)
        if bound.limit < cell.ratio:
            unreachable += 1
            continue
        key = (cell.task, bound.context.protocol.perturb)
        if key not in timed:
            timed[key] = _seconds(bound.context, cell.task)
        took, method = timed[key], bound.method
        if job.adds:
            seconds += took.loading + took.challenges
            continue
        trains = issubclass(method.Params, TrainParams)
        made = trains * _steps(bound.context, cell, job.trial)
        pinned = {**method.Params.defaults(), **bound.pins}
        text = "" if context.corpus else cell.task
        if passes := int(pinned.get(GENERAL, 0)):
            rest, _ = without_option(cell.method, "max_train_samples")  # which moves no other text
            name = cell.method if text else rest
            general[name, text, cell.ratio] = passes * _general_steps(bound.context, cell.task)
        if more := bound.context.protocol.pretrain_steps:
            general[f"pretrain_steps={more}", "", 1.0] = more
        if trains and (name := bound.context.protocol.intermediate):
            made_before = intermediate_steps(bound.context)
            before[name, bound.context.protocol.pretrain_steps] = made_before
        trainings += trains
        taught |= pinned.get("teacher", method.info.teacher) != "none"
        steps += made
        # Tune rows are fewer than report rows or about as many.
        seconds += made * took.step + took.loading + took.report + took.challenges * (not job.trial)
        kept = context.keeps_model(cell) and not issubclass(method, Floor)
        megabytes += size * (kept + (method.info.kind == "reference" and trains and not job.trial))
    trainings += len(general) + len(before)
    steps += sum(general.values()) + sum(before.values())
    for (_, text, _), made in general.items():
        per_step = max(took.step for (task, _), took in timed.items() if text in ("", task))
        seconds += made * per_step
    for (name, _), made in before.items():
        rows = ENDINGS if name == SYNTHETIC[0] else 1  # that a step takes as one
        seconds += rows * made * max(took.step for took in timed.values())
    return Estimate(
        trainings,
        len(general),
        len(before),
        steps,
        seconds / workers,
        megabytes,
        unreachable,
        taught,
    )


def _steps(context: Context, cell: Cell, trial: bool) -> int:
    """Optimizer steps of a training; where rows are yet to be augmented, as many as can be."""
    prepared, protocol = context.tasks[cell.task], context.protocol
    rows = prepared.train_rows
    if "augmentation" not in prepared.facts:
        rows *= 1 + protocol.augment
    if trial:
        rows = round(rows * prepared.facts["fit"] / prepared.facts["train"])
    return protocol.epochs * steps_per_epoch(rows, protocol.batch_size)


def _general_steps(context: Context, task: str) -> int:
    """Optimizer steps of one pass over the unlabelled text."""
    facts = context.tasks[task].facts
    own = facts.get("windows", facts)["train"]
    rows = context.corpus.rows if context.corpus else int(own)
    return steps_per_epoch(rows, context.protocol.batch_size)


class _Seconds(NamedTuple):
    """What one optimizer step takes, and loading and scoring a model."""

    step: float
    loading: float
    report: float
    challenges: float


def _seconds(context: Context, task_name: str) -> _Seconds:
    """What a task takes, on its own rows."""
    prepared = context.tasks[task_name]
    task, data = registry.task(prepared.task), load(prepared)
    dropout = context.protocol.dropout

    def fresh() -> PreTrainedModel:
        labels, spans = task.info.labels, task.finds_spans
        return load_model(context.encoder, labels, dropout, spans=spans, fresh_head=True)

    fresh()  # the first imports its code
    begin = time.perf_counter()
    model = fresh()
    loading = time.perf_counter() - begin
    batch = context.protocol.batch_size
    order = np.random.default_rng(0).permutation(len(data.train))  # rows of every length
    sample = data.train.select(order[: TIMED_STEPS * batch].tolist())
    # No label takes longer than another, and any loss is finite with these.
    sample = dataclasses.replace(sample, labels=np.zeros_like(sample.labels))
    protocol = dataclasses.replace(context.protocol, epochs=1)
    perturber = perturber_of(protocol, context.encoder)

    def train() -> None:
        loop.train(model, sample, loss=task_loss, params=TrainParams(), protocol=protocol,
                   device=context.device, seed=(0,), perturber=perturber)  # fmt: skip

    train()  # the first steps also pay for allocations
    begin = time.perf_counter()
    train()
    per_step = (time.perf_counter() - begin) / steps_per_epoch(len(sample), batch)
    report = data.report.select(list(range(min(EVALUATION_BATCH, len(data.report)))))
    begin = time.perf_counter()
    respond(model, task.info.metric, report, context.device)
    per_row = (time.perf_counter() - begin) / len(report)
    beside = sum(one.rows for one in context.challenges.get(task_name, ()))
    return _Seconds(per_step, loading, per_row * len(data.report), per_row * beside)
