"""What a plan will cost, from a few real steps on this machine."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench import registry
from bench.budget import best_ratio
from bench.data import load
from bench.execution import SEQUENCE_LENGTH
from bench.families import read_config
from bench.method import TrainParams
from bench.plan import Variant
from bench.reference import load_model
from bench.training import EVALUATION_BATCH, fit, predict, steps_per_epoch, task_loss

if TYPE_CHECKING:
    from bench.budget import Axis
    from bench.lending import Context
    from bench.method import Kind
    from bench.plan import Cell

TIMED_STEPS = 5


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan.

    Attributes:
        trainings: Trainings of a model.
        steps: Optimizer steps of all of them.
        seconds: Wall time, all workers together.
        megabytes: Disk for models that are kept.
        unreachable: Cells that counting says no training can meet.
    """

    trainings: int
    steps: int
    seconds: float
    megabytes: float
    unreachable: int

    def lines(self) -> list[str]:
        """The estimate, for a person."""
        return [
            f"{self.trainings} trainings, {self.steps:,} optimizer steps; "
            f"{self.unreachable} cells cannot be reached",
            f"about {self.seconds / 3600:.3g} h on this machine, from {TIMED_STEPS} timed steps of "
            "dense fine-tuning a task (methods with a teacher take up to twice as long)",
            f"about {self.megabytes:,.0f} MB of disk",
        ]


def estimate(cells: Sequence[Cell], context: Context, workers: int) -> Estimate:
    """Estimates what cells will cost.

    Args:
        cells: What is to be run.
        context: Prepared tasks, encoder and protocol.
        workers: Processes that share the work.
    """
    torch.set_num_threads(context.threads)
    protocol = context.protocol
    size = sum(path.stat().st_size for path in context.encoder.glob("*.safetensors")) / 1e6
    timed = {task: _seconds(context, task) for task in {cell.task for cell in cells}}
    config = read_config(context.encoder)
    trainings = steps = unreachable = 0
    seconds = megabytes = 0.0

    @functools.cache  # a plan has thousands of cells, and two or three kinds of methods
    def best(kind: Kind, axis: Axis) -> float:
        return best_ratio(kind, config, axis, SEQUENCE_LENGTH)

    for cell in cells:
        per_step, evaluation = timed[cell.task]
        method = registry.methods.get(Variant.parse(cell.method).method)
        if best(method.info.kind, cell.axis) < cell.ratio:
            unreachable += 1
            continue
        trains = issubclass(method.Params, TrainParams)
        made = protocol.epochs * steps_per_epoch(_rows(context, cell), protocol.batch_size)
        trainings += trains
        steps += trains * made
        seconds += trains * made * per_step + evaluation
        kept = context.keep_models == "all" or (context.keep_models == "first" and cell.seed == 0)
        megabytes += size * (kept + (method.info.kind == "reference" and trains))
    return Estimate(trainings, steps, seconds / workers, megabytes, unreachable)


def _rows(context: Context, cell: Cell) -> int:
    """Rows that a training sees; where they are yet to be augmented, as many as there can be."""
    prepared = context.tasks[cell.task]
    made = "augmentation" in prepared.facts
    return prepared.train_rows * (1 if made else 1 + context.protocol.augment)


def _seconds(context: Context, task_name: str) -> tuple[float, float]:
    """Seconds of one optimizer step, and of one evaluation of the report split."""
    prepared = context.tasks[task_name]
    task, data = registry.task(prepared.task), load(prepared)
    model = load_model(context.encoder, task, context.protocol.dropout)
    batch = context.protocol.batch_size
    order = np.random.default_rng(0).permutation(len(data.train))  # rows of every length
    sample = data.train.select(order[: TIMED_STEPS * batch].tolist())
    protocol = dataclasses.replace(context.protocol, epochs=1)

    def train() -> None:
        fit(model, sample, loss=task_loss, params=TrainParams(), protocol=protocol,
            device=context.device, seed=(0,))  # fmt: skip

    train()  # the first steps also pay for allocations
    begin = time.perf_counter()
    train()
    per_step = (time.perf_counter() - begin) / steps_per_epoch(len(sample), batch)
    report = data.report.select(list(range(min(EVALUATION_BATCH, len(data.report)))))
    begin = time.perf_counter()
    predict(model, report, context.device)
    return per_step, (time.perf_counter() - begin) / len(report) * len(data.report)
