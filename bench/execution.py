"""What happens in one cell: data, method, recount, evaluation, record."""

from __future__ import annotations

import dataclasses
import errno
import functools
import re
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from bench import data as rows
from bench import environment, metrics, registry
from bench.budget import Target, best_ratio, meets
from bench.errors import BenchError, UnreachableError
from bench.families import read_config
from bench.footprint import TRAINED_PASS, Counts, count_dense, footprint
from bench.plan import Cell, Variant
from bench.records import Record, Status, Store
from bench.reference import Reference, load_model, obtain, save_model
from bench.selection import resolve_params
from bench.training import collate, fit, predict

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow import Table
    from torch import Tensor

    from bench.data import Prepared, TaskData
    from bench.method import TrainParams
    from bench.protocol import Protocol
    from bench.task import Task
    from bench.training import Batch, Callback, Loss

SEQUENCE_LENGTH = 128
"""Pieces of the example that FLOPs are counted and matched on."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What all cells of a run share; plain data, so that worker processes can be sent it.

    Attributes:
        runs: The run folder.
        protocol: What is held equal.
        encoder: Folder of the pre-trained encoder.
        weights: Hash of the encoder.
        tasks: The prepared tasks, by name.
        device: `cpu` or `cuda`.
        threads: Threads of a cell on the processor.
        keep_models: Which compressed models stay on disk: `first` (those of seed 0), `all`, `none`.
    """

    runs: Path
    protocol: Protocol
    encoder: Path
    weights: str
    tasks: dict[str, Prepared]
    device: str
    threads: int
    keep_models: str = "first"

    def cell_id(self, cell: Cell) -> str:
        """The id that a cell's record is stored under."""
        method = registry.methods.get(Variant.parse(cell.method).method)
        prepared = self.tasks[cell.task]
        return cell.id(version=method.info.version, data=prepared.fingerprint, weights=self.weights)


@dataclass
class Log:
    """A cell's log file, a line at a time."""

    path: Path

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")

    def __call__(self, line: str) -> None:
        """Appends a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line.rstrip("\n") + "\n")


@dataclass
class CellRun:
    """The `bench.Run` of one cell: lends the method what it needs and keeps account of it.

    Attributes:
        flops: Training FLOPs by part.
        steps: Optimizer steps of the method's own trainings.
        reference: The reference that was asked for, if any.
    """

    context: Context
    task: Task
    target: Target
    seed: int
    data: TaskData
    log: Callable[[str], None]
    progress: Progress
    flops: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    reference: Reference | None = None
    _fits: int = 0

    def labels(self) -> NDArray[Any]:
        """Labels of the training rows, `[rows]`."""
        return self.data.train.labels

    def pretrained(self) -> PreTrainedModel:
        """A fresh copy of the encoder; every method of a seed gets the same new head."""
        with environment.isolated_rng(self.seed):
            return self._load(self.context.encoder, fresh_head=True)

    def finetuned(self, params: TrainParams | None = None) -> PreTrainedModel:
        """A fresh copy of the reference, or of one trained with other parameters."""
        with environment.isolated_rng(self.seed):
            return self._load(self._reference(params).folder)

    def teacher(self) -> PreTrainedModel:
        """The reference, frozen, in eval mode, each of its passes charged to this cell."""
        model = self.finetuned().requires_grad_(False)
        nn.Module.to(model, self.context.device)
        counts = count_dense(model)

        def charge(_: nn.Module, args: Any, inputs: dict[str, Tensor]) -> None:
            lengths = inputs["attention_mask"].sum(dim=1).cpu().numpy()
            self._charge("teacher", counts.forward_flops(lengths))

        model.register_forward_pre_hook(charge, with_kwargs=True)
        return model

    def sample(self, model: PreTrainedModel, rows: int, *, passes: int) -> list[Batch]:
        """Training rows drawn from the seed; see `bench.Run.sample`."""
        data = self.data.train
        generator = np.random.default_rng((self.seed, 1, rows))
        drawn = generator.permutation(len(data))[:rows]
        size = self.context.protocol.batch_size
        device = torch.device(self.context.device)
        nn.Module.to(model, device)
        self._charge("importance", passes * count_dense(model).forward_flops(data.lengths[drawn]))
        return [
            collate(data, drawn[begin : begin + size], model, device)
            for begin in range(0, len(drawn), size)
        ]

    def fit(
        self,
        model: PreTrainedModel,
        *,
        loss: Loss,
        params: TrainParams,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Trains a model in place; see `bench.training.fit`."""
        protocol = self.context.protocol
        self._fits += 1
        self.steps += fit(
            model,
            self.data.train,
            loss=loss,
            params=params,
            protocol=protocol,
            device=self.context.device,
            seed=(self.seed, self._fits),
            callbacks=callbacks,
            progress=self.progress,
        )
        one_epoch = count_dense(model).forward_flops(self.data.train.lengths)
        self._charge("training", TRAINED_PASS * one_epoch * protocol.epochs)

    def _load(self, folder: Path, fresh_head: bool = False) -> PreTrainedModel:
        dropout = self.context.protocol.dropout
        return load_model(folder, self.task, dropout, fresh_head=fresh_head)

    def _reference(self, params: TrainParams | None) -> Reference:
        context = self.context
        if params is None:
            params = resolve_params(registry.methods.get("dense"), {}, context.protocol)  # type: ignore[assignment]
        found = obtain(
            Store(context.runs),
            self.task,
            self.data.train,
            encoder=context.encoder,
            identity={
                "kind": "final",
                "data": context.tasks[self.task.name].fingerprint,
                "weights": context.weights,
            },
            params=params,  # type: ignore[arg-type]
            protocol=context.protocol,
            device=context.device,
            seed=self.seed,
            progress=self.progress,
        )
        if self.reference is None or self.reference.key != found.key:
            self.reference = found
            self._charge("reference", found.train_flops)
            self.steps += found.steps
        return found

    def _charge(self, part: str, flops: int) -> None:
        self.flops[part] = self.flops.get(part, 0) + flops


def execute(cell: Cell, context: Context, progress: Progress = lambda step, total: None) -> Record:
    """Runs a cell and stores its record; a failure of the method becomes a `failed` record.

    Args:
        cell: The cell.
        context: What it shares with the others.
        progress: Called with steps made and steps in all of the training at hand.

    Raises:
        OSError: The run folder cannot be written; nothing else would fare better there.
    """
    store = Store(context.runs)
    cell_id = context.cell_id(cell)
    log = Log(store.folder(cell_id) / "log.txt")
    begin = time.perf_counter()
    environment.reset_peak_memory(context.device)
    try:
        record, predictions = _run(cell, cell_id, context, log, progress)
    except UnreachableError as error:
        log(str(error))
        footprint_known = {cell.axis: {"ratio": error.best_ratio}}
        record = ended_early("unreachable", cell, cell_id, error, footprint=footprint_known)
        predictions = None
    except Exception as error:
        if is_storage_error(error):
            raise
        log(traceback.format_exc())
        record, predictions = ended_early("failed", cell, cell_id, error), None
    cost = {
        **record.cost,
        "wall_s": time.perf_counter() - begin,
        "peak_memory_mb": environment.peak_memory_mb(context.device),
    }
    described = {
        **environment.describe(context.device),
        "threads": context.threads,
        "precision": context.protocol.precision,
    }
    record = dataclasses.replace(
        record, method=_method_facts(cell), cost=cost, environment=described
    )
    log(f"{record.status} after {cost['wall_s']:.1f} s")
    store.put(record, predictions)
    return record


def _method_facts(cell: Cell) -> dict[str, Any]:
    """What a page says of a method; a pinned `init` or `teacher` overrides its metadata."""
    variant = Variant.parse(cell.method)
    method = registry.methods.get(variant.method)
    params = {**method.Params.defaults(), **dict(variant.pins)}
    info = method.info
    return {
        "kind": info.kind,
        "control": info.control,
        "starts_from": params.get("init", info.starts_from),
        "teacher": params.get("teacher", info.teacher),
        "paper": info.paper,
        "version": info.version,
    }


def ended_early(status: Status, cell: Cell, cell_id: str, error: Exception, **known: Any) -> Record:
    """The record of a cell that did not come to a score, and why; its page names no place here."""
    first_line = (str(error).strip().splitlines() or ["no message"])[0]
    message = re.sub(r"(?<![\w./])/(?:[^\s/'\"]+/)+", "…/", first_line)  # the log has all of it
    return Record(
        id=cell_id,
        status=status,
        cell=dataclasses.asdict(cell),
        error={
            "type": type(error).__name__,
            "message": message,
            "log": f"{cell_id}/log.txt",
        },
        **known,
    )


def is_storage_error(error: BaseException) -> bool:
    """Whether an error says that the disk is full or cannot be written."""
    no_writing = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in no_writing:
            return True
        if "No space left on device" in str(chain):  # what safetensors' own writer says
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _run(
    cell: Cell, cell_id: str, context: Context, log: Log, progress: Progress
) -> tuple[Record, Table | None]:
    """The cell itself: record without cost and environment, and the predictions."""
    variant = Variant.parse(cell.method)
    method = registry.methods.get(variant.method)
    task, task_data, dense = _load_task(context.encoder, context.tasks[cell.task])
    params = resolve_params(method, dict(variant.pins), context.protocol)
    target = Target(cell.axis, cell.ratio, SEQUENCE_LENGTH)  # type: ignore[arg-type]
    best = best_ratio(method.info.kind, dense, target.axis, SEQUENCE_LENGTH)
    if best < cell.ratio:
        raise UnreachableError(
            f"{cell.method} reaches {best:.4g}× on {cell.axis} at most, not {cell.ratio:g}×", best
        )
    environment.seed_everything(cell.seed)
    run = CellRun(context, task, target, cell.seed, task_data, log, progress)
    model = method().compress(run, params)
    if not isinstance(model, PreTrainedModel):
        raise BenchError(f"{cell.method} returned a {type(model).__name__}, not a model")
    logits = predict(model, task_data.report, context.device)
    score, table = _score(task, task_data, logits)
    model.cpu()
    counted = footprint(model, run.pretrained(), SEQUENCE_LENGTH)
    reached = meets(counted[target.axis]["ratio"], target.ratio)
    if context.keep_models == "all" or (context.keep_models == "first" and cell.seed == 0):
        save_model(model, context.runs / cell_id / "model", context.encoder)
    record = Record(
        id=cell_id,
        status="ok" if reached else "missed",
        cell=dataclasses.asdict(cell),
        params=dataclasses.asdict(params),
        tuning={"trials": 0, "parameters": "default"},
        score=score.main,
        scores=score.figures,
        reference=None if run.reference is None else {"key": run.reference.key},
        footprint=counted,
        cost={"train_flops": sum(run.flops.values()), "parts": run.flops, "steps": run.steps},
        data={**task_data.facts, "notes": list(score.notes)},
    )
    return record, table


def _score(
    task: Task, task_data: TaskData, logits: NDArray[np.float32]
) -> tuple[metrics.Score, Table]:
    """Scores logits on the report split, and lays the predictions out as a table."""
    import pyarrow

    report = task_data.report
    predictions = logits[:, 0] if task.is_regression else logits.argmax(axis=1)
    score = metrics.score(task.info.metric, predictions, report.labels, report.parts)
    table = pyarrow.table({"id": report.ids, "label": report.labels, "prediction": predictions})
    return score, table


@functools.lru_cache(maxsize=4)
def _load_task(encoder: Path, prepared: Prepared) -> tuple[Task, TaskData, Counts]:
    """A task, its rows, and the counts of the uncompressed model for it."""
    task = registry.task(prepared.task)
    config = read_config(encoder)
    config.num_labels = task.num_labels
    return task, rows.load(prepared), count_dense(config)
