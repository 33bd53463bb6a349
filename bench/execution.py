"""What happens in one cell: data, method, recount, evaluation, record."""

from __future__ import annotations

import dataclasses
import errno
import functools
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from bench import data as rows
from bench import environment, metrics, registry
from bench.budget import Target, best_ratio, meets
from bench.corpus import load_corpus
from bench.errors import BenchError, DivergedError, UnreachableError
from bench.families import read_config
from bench.footprint import count_dense, footprint
from bench.knowledge import masked_loss
from bench.plan import Cell, Variant
from bench.protocol import digest
from bench.records import Record, Status, Store, atomic_path, read_json, write_json
from bench.reference import Reference, load_model, obtain, save_model
from bench.selection import resolve_params
from bench.training import collate, fit, predict, steps_per_epoch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow import Table
    from torch import Tensor
    from transformers import PretrainedConfig

    from bench.corpus import Corpus
    from bench.data import Encoded, Prepared, TaskData
    from bench.knowledge import Probe
    from bench.method import MethodInfo, Run, TrainParams
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
        corpus: Unlabelled text for general distillation; without it a task's own text serves.
        probe: Masked text that every delivered model is asked for, if any.
    """

    runs: Path
    protocol: Protocol
    encoder: Path
    weights: str
    tasks: dict[str, Prepared]
    device: str
    threads: int
    keep_models: str = "first"
    corpus: Corpus | None = None
    probe: Probe | None = None

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
        text: The unlabelled text that was read, if any.
    """

    context: Context
    method: str
    task: Task
    target: Target
    seed: int
    data: TaskData
    log: Callable[[str], None]
    progress: Progress
    flops: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    reference: Reference | None = None
    text: str | None = None
    _fits: int = 0
    _share: float = 0.0

    def labels(self) -> NDArray[Any]:
        """Labels of the task's own training rows, `[rows]`."""
        return self.data.own.labels

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
        return self._frozen(self.finetuned())

    def pretrained_teacher(self) -> PreTrainedModel:
        """The pre-trained encoder, frozen, in eval mode, each of its passes charged."""
        return self._frozen(self.pretrained())

    def sample(
        self, model: PreTrainedModel, rows: int, *, passes: int, batch_size: int | None = None
    ) -> list[Batch]:
        """Training rows drawn from the seed; see `bench.Run.sample`."""
        data = self.data.train
        generator = np.random.default_rng((self.seed, 1, rows))
        drawn = generator.permutation(len(data))[:rows]
        size = batch_size or self.context.protocol.batch_size
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
        share: float = 1.0,
    ) -> None:
        """Trains a model in place on the task's rows; see `bench.Run.fit`."""
        data, protocol = self.data.train, self.context.protocol
        total = protocol.epochs * steps_per_epoch(len(data), protocol.batch_size)
        # The phases' ends are rounded, not their lengths, so that all together make every step.
        begin, self._share = round(self._share * total), self._share + share
        if share <= 0 or self._share > 1 + 1e-9:
            raise BenchError(
                f"the phases of a method share the protocol's {protocol.epochs} epochs: "
                f"{self._share:g} of them is not possible."
            )
        if steps := round(self._share * total) - begin:
            self._fit("training", model, data, steps, loss, params, callbacks)

    def fit_general(
        self,
        model: PreTrainedModel,
        *,
        loss: Loss,
        params: TrainParams,
        callbacks: Sequence[Callback] = (),
        epochs: int = 1,
    ) -> None:
        """Trains a model in place on unlabelled text; see `bench.Run.fit_general`."""
        data = self.corpus()
        steps = epochs * steps_per_epoch(len(data), self.context.protocol.batch_size)
        self._fit("general distillation", model, data, steps, loss, params, callbacks)

    def corpus(self) -> Encoded:
        """The unlabelled text of the run, or the task's own where none is given."""
        if self.context.corpus is not None:
            return load_corpus(self.context.corpus.path)
        own = self.data.own
        return dataclasses.replace(own, labels=np.zeros(len(own), dtype=np.int64))

    def shared(
        self, key: Mapping[str, Any], make: Callable[[Run], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Tensors made once a run folder; see `bench.Run.shared`."""
        context, store = self.context, Store(self.context.runs)
        self.text = context.corpus.name if context.corpus else f"{self.task.name}'s own"
        text = context.corpus.hash if context.corpus else context.tasks[self.task.name].fingerprint
        identity = {
            "key": dict(key),
            "method": self.method,
            "text": text,
            "weights": context.weights,
            "protocol": context.protocol.hash,
        }
        folder = store.root / "shared" / digest(identity)[:16]
        with store.lock(f"shared-{folder.name}"):
            cost = read_json(folder / "cost.json")
            if cost is None:
                run = dataclasses.replace(self, seed=0, flops={}, steps=0, _fits=0)
                with environment.isolated_rng(0):
                    tensors = {name: value.cpu().contiguous() for name, value in make(run).items()}
                with atomic_path(folder / "tensors.safetensors") as temporary:
                    save_file(tensors, temporary)
                cost = {"train_flops": sum(run.flops.values()), **identity}
                write_json(folder / "cost.json", cost)
        self._charge("general distillation", cost["train_flops"])
        return load_file(folder / "tensors.safetensors")

    def _fit(
        self,
        part: str,
        model: PreTrainedModel,
        data: Encoded,
        steps: int,
        loss: Loss,
        params: TrainParams,
        callbacks: Sequence[Callback],
    ) -> None:
        """Makes so many optimizer steps on some rows, and charges them."""
        self._fits += 1
        training = fit(
            model,
            data,
            loss=loss,
            params=params,
            protocol=self.context.protocol,
            device=self.context.device,
            seed=(self.seed, self._fits),
            callbacks=callbacks,
            progress=self.progress,
            steps=steps,
        )
        self.steps += training.step
        self._charge(part, count_dense(model).training_flops(data.lengths, training.visits))

    def _frozen(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model as a teacher, each of whose passes is charged."""
        model.requires_grad_(False)
        nn.Module.to(model, self.context.device)
        counts = count_dense(model)

        def charge(_: nn.Module, args: Any, inputs: dict[str, Tensor]) -> None:
            lengths = inputs["attention_mask"].sum(dim=1).cpu().numpy()
            self._charge("teacher", counts.forward_flops(lengths))

        model.register_forward_pre_hook(charge, with_kwargs=True)
        return model

    def _load(self, folder: Path, fresh_head: bool = False) -> PreTrainedModel:
        dropout = self.context.protocol.dropout
        return load_model(folder, self.task, dropout, fresh_head=fresh_head)

    def _reference(self, params: TrainParams | None) -> Reference:
        """The reference, charged to this cell."""
        found = self._obtain(params)
        if self.reference is None or self.reference.key != found.key:
            self.reference = found
            self._charge("reference", found.train_flops)
            if params is not None:  # it is what was asked to be trained
                self.steps += found.steps
        return found

    def _obtain(self, params: TrainParams | None) -> Reference:
        """The reference, charged to nobody."""
        context = self.context
        if params is None:
            params = resolve_params(registry.methods.get("dense"), {}, context.protocol)  # type: ignore[assignment]
        return obtain(
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
        "starts_from": _start(params, info),
        "teacher": params.get("teacher", info.teacher),
        "paper": info.paper,
        "paper_steps": info.paper_steps,
        "version": info.version,
    }


def _start(params: Mapping[str, Any], info: MethodInfo) -> str:
    """What a method starts from, where a parameter `init` or `start` may say otherwise."""
    if params.get("start") == "random":
        return "random"
    return str(params.get("init", info.starts_from))


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
    task, task_data, config = _load_task(context.encoder, context.tasks[cell.task])
    params = resolve_params(method, dict(variant.pins), context.protocol)
    target = Target(cell.axis, cell.ratio, SEQUENCE_LENGTH)  # type: ignore[arg-type]
    best = best_ratio(method.info.kind, config, target.axis, SEQUENCE_LENGTH)
    if best < cell.ratio:
        raise UnreachableError(
            f"{cell.method} reaches {best:.4g}× on {cell.axis} at most, not {cell.ratio:g}×", best
        )
    environment.seed_everything(cell.seed)
    name = f"{cell.method} {method.info.version}"
    run = CellRun(context, name, task, target, cell.seed, task_data, log, progress)
    model = method().compress(run, params)
    if not isinstance(model, PreTrainedModel):
        raise BenchError(f"{cell.method} returned a {type(model).__name__}, not a model")
    if run.flops and (made := task_data.facts.get("augmentation")):
        run.flops["augmentation"] = made["flops"]
    logits = predict(model, task_data.report, context.device)
    score, table = _score(task, task_data, logits)
    knowledge = _knowledge(model, run)
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
        knowledge=knowledge,
        data={**task_data.facts, "notes": list(score.notes)}
        | ({"general_text": run.text} if run.text else {}),
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


def _knowledge(model: PreTrainedModel, run: CellRun) -> dict[str, Any] | None:
    """What the record says of the knowledge that a delivered model keeps; charged to nobody."""
    context, probe = run.context, run.context.probe
    if probe is None or probe.obstacle:
        return None
    loss = masked_loss(model, probe, context.encoder, context.device)
    if loss is None:
        return None
    known = probe.folder / f"pretrained-{context.weights}.json"
    pretrained = _once(known, probe, run, run.pretrained)
    try:
        reference = run._obtain(None)
        known = reference.folder / f"knowledge-{probe.hash}.json"
        finetuned = _once(known, probe, run, lambda: run._load(reference.folder))
    except DivergedError as error:  # which is no fault of this cell
        run.log(f"the fine-tuned model's knowledge is not known: {error}")
        finetuned = None
    return {
        "text": probe.name,
        "hash": probe.hash,
        "rows": probe.rows,
        "masked": probe.masked,
        "loss": loss,
        "pretrained": pretrained,
        "finetuned": finetuned,
    }


def _once(
    known: Path, probe: Probe, run: CellRun, load: Callable[[], PreTrainedModel]
) -> float | None:
    """The loss of a model that many cells ask for, computed once and kept in a file."""
    context = run.context
    with Store(context.runs).lock(f"{known.parent.name}-{known.stem}"):
        done = read_json(known)
        if done is None:
            done = {"loss": masked_loss(load(), probe, context.encoder, context.device)}
            write_json(known, done)
    return done["loss"]  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=4)
def _load_task(encoder: Path, prepared: Prepared) -> tuple[Task, TaskData, PretrainedConfig]:
    """A task, its rows, and the uncompressed model's configuration for it."""
    task = registry.task(prepared.task)
    config = read_config(encoder)
    config.num_labels = task.num_labels
    return task, rows.load(prepared), config
