"""What a run lends to a method in one cell, and the account that it keeps of it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from bench.compression.distillation import remember
from bench.compression.params import TrainParams
from bench.data.corpus import load_corpus
from bench.errors import BenchError, DivergedError
from bench.files import json_hash
from bench.models.checkpoint import load_model
from bench.models.footprint import count_dense
from bench.runs.cells.shared import SharedCost, SharedRun, obtain_shared
from bench.runs.cells.start import begin
from bench.runs.cells.teachers import TeacherMeter, frozen, frozen_head
from bench.training import seeds
from bench.training.batches import collate, steps_per_epoch
from bench.training.curve import Curve, KeepsTraining
from bench.training.loop import train
from bench.training.perturber import perturber_of
from bench.training.reference import Reference, dense_cost, obtain
from bench.training.teacher_cache import KeptAnswers
from bench.training.word_head import load_language_model

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Callback, Loss
    from bench.compression.language_model import LanguageModel
    from bench.compression.method import Run
    from bench.compression.target import Target
    from bench.data.encoded import Encoded
    from bench.data.prepare import TaskData
    from bench.data.task import Task
    from bench.runs.cells.context import Context
    from bench.runs.cells.start import Begun
    from bench.training.perturber import Perturber


Progress = Callable[[int, int], None]
"""Told of steps made and steps in all."""


@dataclass
class CellRun:
    """The `bench.Run` of one cell: lends the method what it needs and keeps account of it.

    Attributes:
        reference_params: How the task's reference is trained.
        flops: Training FLOPs by part.
        steps: Optimizer steps of the method's own trainings.
        seconds: What these took, and what made once for several cells took, a reference included.
        curve: What those on the task's rows look like.
        made_once: Part and FLOPs of what was made once for several cells, by its key.
        reference: The reference that was asked for, if any.
        text: The unlabelled text that was read, if any.
        trial: Whether this is a trial, whose `data` has fit rows to train on and tune rows to be
            scored on, and which may start or learn from the tuning reference alone.
        is_plugin: Whether the method came with another package: what its process computes, no
            other method's cell reads.
    """

    context: Context
    method: str
    task: Task
    target: Target
    seed: int
    data: TaskData
    reference_params: TrainParams
    log: Callable[[str], None]
    progress: Progress
    trial: bool = False
    is_plugin: bool = False
    flops: dict[str, int] = field(default_factory=dict)
    made_once: dict[str, tuple[str, int]] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    reference: Reference | None = None
    text: str | None = None
    curve: Curve = field(init=False)
    _trainings: int = 0
    _share: float = 0.0
    _asked: dict[str, Any] | None = None
    _begun: Begun | None = None

    def __post_init__(self) -> None:
        self.curve = self._new_curve()

    def labels(self) -> NDArray[Any]:
        """Labels of the task's own training rows, `[rows]`."""
        return self.data.own.labels

    @property
    def encoder(self) -> Path:
        """Folder of the encoder that everything begins with.

        Where it learns something else first, that is made once a run folder, and charged to this
        cell.
        """
        if self._begun is None:
            self._begun = begun = begin(self.context, self.progress)
            self.made_once |= begun.made_once
            self.seconds += begun.seconds
            self.text = begun.text or self.text
        return self._begun.folder

    @property
    def learnt(self) -> dict[str, Any]:
        """What a record says of what the encoder learnt first, and of unlabelled text."""
        facts = {} if self._begun is None else self._begun.facts
        return facts | ({"general_text": self.text} if self.text else {})

    def pretrained(self) -> PreTrainedModel:
        """A fresh copy of the encoder; every method of a seed gets the same new head."""
        encoder = self.encoder
        with seeds.isolated_rng(self.seed):
            return self.load(encoder, fresh_head=True)

    def finetuned(self, params: TrainParams | None = None) -> PreTrainedModel:
        """A fresh copy of the reference, or of one trained with other parameters."""
        with seeds.isolated_rng(self.seed):
            return self.load(self._reference(params).folder)

    def teacher(self) -> PreTrainedModel:
        """The reference, frozen, in eval mode, each of its answers charged to this cell.

        What it answers to the training rows is read from the disk where the run folder keeps it.
        """
        model = self.finetuned()
        meter = self._frozen(model)
        if self.context.teacher_cache_gb:
            folder = self.obtain_reference(None).folder
            known = KeptAnswers(
                model,
                self.data.train,
                reference=folder,
                runs=self.context.runs,
                limit=1e9 * self.context.teacher_cache_gb,
                meter=meter,
                precision=self.context.protocol.precision,
                log=self.log,
                owner=json_hash(self.method)[:16] if self.is_plugin else "",
            )
            remember(model, known)
        return model

    def pretrained_teacher(self) -> PreTrainedModel:
        """The pre-trained encoder, frozen, in eval mode, each of its passes charged."""
        self._frozen(model := self.pretrained())
        return model

    def language_model(self) -> LanguageModel:
        """A fresh copy of the encoder with its language-model head; see `bench.Run`."""
        return copy.deepcopy(self._language_model)

    def language_teacher(self) -> LanguageModel:
        """The same, frozen, in eval mode, each of its passes charged."""
        model = self.language_model()
        self._frozen(model.encoder)
        frozen_head(model.head, self.context.device, functools.partial(self._charge, "teacher"))
        return model

    @functools.cached_property
    def _language_model(self) -> LanguageModel:
        encoder = self.encoder
        with seeds.isolated_rng(self.seed):
            model, flops = load_language_model(
                encoder,
                self.corpus,
                dropout=self.context.protocol.dropout,
                device=self.context.device,
            )
        if flops:
            self.log("the encoder has no masked-language-model head: one is fitted on the text")
            self._charge("masked-language-model head", flops)
        return model

    def sample(
        self,
        model: PreTrainedModel,
        rows: int | None = None,
        *,
        passes: int,
        batch_size: int | None = None,
    ) -> list[Batch]:
        """Training rows drawn from the seed; see `bench.Run.sample`."""
        data = self.data.train
        if rows is None:
            drawn = np.argsort(data.lengths, kind="stable")
        else:
            drawn = np.random.default_rng((self.seed, 1, rows)).permutation(len(data))[:rows]
        size = batch_size or self.context.protocol.batch_size
        device = torch.device(self.context.device)
        nn.Module.to(model, device)
        self._charge("importance", passes * count_dense(model).forward_flops(data.lengths[drawn]))
        return [
            collate(data, drawn[begin : begin + size], model, device)
            for begin in range(0, len(drawn), size)
        ]

    def train(
        self,
        model: PreTrainedModel,
        *,
        loss: Loss,
        params: TrainParams,
        callbacks: Sequence[Callback] = (),
        share: float = 1.0,
        augmented: bool = True,
    ) -> None:
        """Trains a model in place on the task's rows; see `bench.Run.train`."""
        data, protocol, total = self.data.train, self.context.protocol, self.curve.total
        # The phases' ends are rounded, not their lengths, so that all together make every step.
        begin, self._share = round(self._share * total), self._share + share
        if share <= 0 or self._share > 1 + 1e-9:
            raise BenchError(
                f"the phases of a method share the protocol's {protocol.epochs} epochs: "
                f"{self._share:g} of them is not possible."
            )
        if steps := round(self._share * total) - begin:
            rows = None if augmented else self.data.own_rows
            watched = [*callbacks, self.curve]
            perturber = perturber_of(protocol, self.context.encoder)
            self._train("training", model, data, steps, loss, params, watched, rows, perturber)

    def train_general(
        self,
        model: PreTrainedModel,
        *,
        loss: Loss,
        callbacks: Sequence[Callback] = (),
        epochs: int = 1,
    ) -> None:
        """Trains a model in place on unlabelled text; see `bench.Run.train_general`."""
        data = self.corpus()
        params = TrainParams(learning_rate=self.context.protocol.learning_rate)
        steps = epochs * steps_per_epoch(len(data), self.context.protocol.batch_size)
        self._train("general distillation", model, data, steps, loss, params, callbacks)

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
        context = self.context
        self.text = context.corpus.name if context.corpus else f"{self.task.name}'s own"
        named = context.text_identity(self.method, self.task.name, trial=self.trial)
        _ = self.encoder  # charged to this cell, not once more to what it shares

        def made() -> tuple[dict[str, Tensor], SharedCost]:
            run = dataclasses.replace(
                self, seed=0, flops={}, made_once={}, steps=0, seconds=0.0, _trainings=0
            )
            with seeds.isolated_rng(0):
                tensors = make(cast("Run", SharedRun(run)))
            cost = SharedCost(train_flops=sum(run.flops.values()), train_s=run.seconds)
            return tensors, cost

        found, cost, tensors = obtain_shared(context.runs, {"key": dict(key), **named}, made)
        self.seconds += cost.train_s
        self.made_once[found] = ("general distillation", cost.train_flops)
        return tensors

    def _train(
        self,
        part: str,
        model: PreTrainedModel,
        data: Encoded,
        steps: int,
        loss: Loss,
        params: TrainParams,
        callbacks: Sequence[Callback],
        rows: NDArray[np.int64] | None = None,
        perturber: Perturber | None = None,
    ) -> None:
        """Makes so many optimizer steps on some rows, and charges them."""
        self._trainings += 1
        begun, begin = KeepsTraining(), time.perf_counter()
        try:
            train(
                model,
                data,
                loss=loss,
                params=params,
                protocol=self.context.protocol,
                device=self.context.device,
                seed=(self.seed, self._trainings),
                callbacks=[*callbacks, begun],
                progress=self.progress,
                steps=steps,
                rows=rows,
                perturber=perturber,
            )
        finally:
            if begun.training is not None:
                self.seconds += time.perf_counter() - begin
                self.steps += begun.training.step
                visited = np.repeat(data.lengths, begun.training.visits)
                forward = count_dense(model).forward_flops(visited)
                forward += sum(callback.forward_flops(visited) for callback in callbacks)
                self._charge(part, begun.training.cost(forward))

    def _new_curve(self) -> Curve:
        """What records a training on the task's rows; only trials have rows to be scored on it."""
        data, protocol = self.data.train, self.context.protocol
        total = protocol.epochs * steps_per_epoch(len(data), protocol.batch_size)
        return Curve(total, self.task, self.data.report if self.trial else None)

    def described_curve(self) -> dict[str, Any] | None:
        """What the method's training looks like: its own, or else the reference's it asked for."""
        return self.curve.described() or self._asked

    def _frozen(self, model: PreTrainedModel) -> TeacherMeter:
        """Makes a teacher of a model, and gives what charges each of its passes."""
        return frozen(model, self.context.device, functools.partial(self._charge, "teacher"))

    def load(self, folder: Path, fresh_head: bool = False) -> PreTrainedModel:
        """A saved model as a classifier for the task, with the protocol's dropout."""
        dropout = self.context.protocol.dropout
        return load_model(
            folder,
            self.task.info.labels,
            dropout,
            spans=self.task.finds_spans,
            fresh_head=fresh_head,
        )

    def _reference(self, params: TrainParams | None) -> Reference:
        """The reference, charged to this cell."""
        begun = KeepsTraining()
        try:
            found = self.obtain_reference(params, begun)
        except DivergedError:
            if begun.training is not None:
                self._charge("reference", dense_cost(begun.training, self.data.train.lengths))
            raise
        if self.reference is None or self.reference.key != found.key:
            self.reference = found
            self.made_once[found.key] = ("reference", found.train_flops)
            self.seconds += found.wall_s
            if params is not None:  # it is what was asked to be trained
                self.steps += found.steps
                self._asked = found.curve
        return found

    def obtain_reference(self, params: TrainParams | None, *callbacks: Callback) -> Reference:
        """The reference, charged to nobody."""
        context = self.context
        return obtain(
            context.runs,
            self.task,
            self.data.train,
            encoder=self.encoder,
            identity=context.reference_identity(self.task.name, trial=self.trial),
            params=params or self.reference_params,
            protocol=context.protocol,
            device=context.device,
            seed=self.seed,
            progress=self.progress,
            curve=self._new_curve(),
            callbacks=callbacks,
        )

    def _charge(self, part: str, flops: int) -> None:
        self.flops[part] = self.flops.get(part, 0) + flops
