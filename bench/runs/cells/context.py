"""What all cells of a run share: plain data, so that worker processes can be sent it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import registry
from bench.compression.floor import Floor
from bench.compression.params import TrainParams
from bench.compression.target import Target, best_ratio
from bench.models.checkpoint import read_config
from bench.models.heads import describe_head
from bench.results.layout import SCORED
from bench.results.record import dense_of, start_hash, without_option
from bench.results.seeds import TRIAL_SEED
from bench.runs.cells.cell import Cell, Variant, reference_cell
from bench.runs.cells.parameters import resolve_params, search_space

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from bench.compression.method import Method
    from bench.compression.params import Knob, Params
    from bench.compression.target import Kind
    from bench.data.challenge import PreparedChallenge
    from bench.data.corpus import Corpus
    from bench.data.passages import Passages
    from bench.data.prepare import Prepared
    from bench.data.probe import Probe
    from bench.data.task import Task
    from bench.models.causal_lm import Generator
    from bench.protocol import Protocol
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell


@dataclass(frozen=True)
class Carried:
    """What a cell takes over.

    Attributes:
        params: Values of the knobs that were tuned.
        source: Suite, task and ratio that they come from.
        trials: How many trials they were found in.
    """

    params: dict[str, Any]
    source: str
    trials: int


@dataclass(frozen=True, kw_only=True)
class Context:
    """What all cells of a run share; plain data, so that worker processes can be sent it.

    Attributes:
        runs: The run folder.
        protocol: What is held equal.
        encoder: Folder of the pre-trained encoder.
        weights: Hash of the encoder.
        tasks: The prepared tasks, by name.
        capped: The same with as many training rows as a row is pinned to, by that number; `None`
            stands for all.
        device: `cpu` or `cuda`.
        threads: Threads of a cell on the processor.
        workers_per_gpu: Cells that share a GPU, and its memory.
        teacher_cache_gb: Disk for what references answer to the training rows, in GB.
        keep_models: Whose models stay on disk: `first` (the first seed's), `all`, `none`.
        first_seed: The first of the run's seeds.
        hardest: The largest of the run's ratios, which pages show the convergence of.
        corpus: Unlabelled text for general distillation; without it a task's own text serves.
        probe: Masked text that every delivered model is asked for, if any.
        challenges: The challenge sets of tasks that have any.
        storage: Optuna's storage of studies; without it a journal each in the run folder.
        carried: Parameters found elsewhere, by method, task and ratio, if they are to be taken.
        intermediates: What an encoder may be trained on before, by name: a task's rows, or passages
            that endings are to be told of.
        generator: The model that writes fake endings; without it the encoder does.
    """

    runs: Path
    protocol: Protocol
    encoder: Path
    weights: str
    tasks: dict[str, Prepared]
    device: str
    threads: int
    workers_per_gpu: int = 1
    teacher_cache_gb: float = 0.0
    keep_models: str = "first"
    first_seed: int = 0
    hardest: float = 1.0
    capped: Mapping[int | None, dict[str, Prepared]] = field(default_factory=dict)
    corpus: Corpus | None = None
    probe: Probe | None = None
    challenges: dict[str, tuple[PreparedChallenge, ...]] = field(default_factory=dict)
    storage: str | None = None
    carried: dict[tuple[str, str, float], Carried] = field(default_factory=dict)
    intermediates: dict[str, Prepared | Passages] = field(default_factory=dict)
    generator: Generator | None = None

    @property
    def start_hash(self) -> str:
        """Identity of the encoder that cells start from, an intermediate task's rows included."""
        before = self.intermediates.get(self.protocol.intermediate)
        return start_hash(self.weights, before.folder.name if before else "")

    def keeps_model(self, cell: Cell) -> bool:
        """Whether a cell's compressed model stays on disk."""
        first = self.keep_models == "first" and cell.seed == self.first_seed
        return first or self.keep_models == "all"

    def is_plugin(self, cell: Cell) -> bool:
        """Whether a cell's method came with another package than this one; imports nothing."""
        return not registry.methods.is_own(Variant.parse(cell.method).method)

    def reference_identity(self, task: str, *, trial: bool) -> dict[str, Any]:
        """What names a reference beside its training: its kind, its rows and its encoder."""
        return {
            "kind": "tuning" if trial else "final",
            "data": self.tasks[task].fingerprint,
            "weights": self.start_hash,
        }

    def text_identity(self, method: str, task: str, *, trial: bool) -> dict[str, str]:
        """What names things that are made of unlabelled text, beside what is made.

        To text of the run's own it makes no difference how many labelled rows there are.

        Args:
            method: The cell's method and its version.
            task: The task's name, whose own rows serve where there is no other text.
            trial: Whether those are fit rows.
        """
        protocol, text, rows = (
            self.protocol,
            self.tasks[task].fingerprint,
            "fit" if trial else "all",
        )
        if self.corpus is not None:
            name, _, version = method.rpartition(" ")
            method = f"{without_option(name, 'max_train_samples')[0]} {version}".strip()
            protocol = dataclasses.replace(protocol, max_train_samples=None)
            text, rows = self.corpus.hash, "all"
        return {
            "method": method,
            "text": text,
            "weights": self.start_hash,
            "protocol": protocol.hash,
            "rows": rows,
        }

    def bind(self, cell: Cell) -> BoundCell:
        """A cell with all that its names stand for."""
        variant = Variant.parse(cell.method)
        method = registry.methods.get(variant.method)
        dense = (dense_of(cell.method), cell.task, 1.0)
        keys = dict.fromkeys([(cell.method, cell.task, cell.ratio), dense])
        context = self.under(variant.options)
        cell_id = cell.id(
            version=method.info.version,
            data=self.tasks[cell.task].fingerprint,
            weights=context.start_hash,
            carried=[self.carried[key].params for key in keys if key in self.carried],
        )
        return BoundCell(cell, context, cell_id, method, variant.params)

    def under(self, options: Mapping[str, str]) -> Context:
        """The same for cells that are pinned to some of the protocol's `OPTIONS`."""
        if not options:
            return self
        protocol = self.protocol.under(options)
        tasks = self.capped.get(protocol.max_train_samples, self.tasks)
        return dataclasses.replace(self, protocol=protocol, tasks=tasks)


@dataclass(frozen=True)
class BoundCell:
    """A cell with all that its names stand for.

    Attributes:
        cell: The cell.
        context: What it shares with the others, under the options that it is pinned to.
        id: The id that its record is stored under.
        method: Its method.
        pins: The pinned parameters of the method itself, as texts.
    """

    cell: Cell
    context: Context
    id: str
    method: type[Method]
    pins: dict[str, str]

    @property
    def is_plugin(self) -> bool:
        """Whether its method came with another package than this one."""
        return self.context.is_plugin(self.cell)

    @property
    def prepared(self) -> Prepared:
        """The rows of its task, on disk."""
        return self.context.tasks[self.cell.task]

    @property
    def challenges(self) -> tuple[PreparedChallenge, ...]:
        """The challenge sets of its task."""
        return self.context.challenges.get(self.cell.task, ())

    @functools.cached_property
    def task(self) -> Task:
        """Its task."""
        return registry.task(self.prepared.task)

    @property
    def target(self) -> Target:
        """What it is to be compressed to."""
        return Target(self.cell.axis, self.cell.ratio, self.context.protocol.sequence_length)

    @functools.cached_property
    def limit(self) -> float:
        """The largest ratio that its method can reach on its axis."""
        info, head = self.method.info, _Head.of(self.task)
        special = {"cuts_width": info.cuts_width, "mask_attention": info.mask_attention}
        return _limit(info.kind, self.context.encoder, head, self.target, **special)

    @functools.cached_property
    def space(self) -> dict[str, Knob]:
        """What tuning may move: nothing pinned, nothing where the ratio is out of reach."""
        if self.limit < self.cell.ratio:
            return {}
        encoder, head = self.context.encoder, _Head.of(self.task)
        space = _search_space(self.method, encoder, head, self.target)
        return {name: knob for name, knob in space.items() if name not in self.pins}

    @property
    def searched(self) -> bool:
        """Whether trials look for its parameters."""
        return bool(self.context.protocol.trials and self.space)

    @property
    def trials(self) -> int:
        """How many trainings on fit rows come before it: the trials of its study.

        Where nothing is searched, there is one with the cell's own parameters, which shows whether
        it has converged: of references, and at the hardest ratio. There is none where nothing is
        trained, or no tune rows are there to score it on. Where questions may have no answer, every
        cell that delivers a model has one: it finds the threshold.
        """
        if self.searched:
            return self.context.protocol.trials
        is_shown = self.cell.ratio in (1.0, self.context.hardest)
        is_trained = issubclass(self.method.Params, TrainParams)
        is_needed = (is_shown and is_trained) or self.needs_threshold
        reaches = self.limit >= self.cell.ratio
        return int(is_needed and reaches and bool(self.prepared.facts.get("tune")))

    @property
    def needs_threshold(self) -> bool:
        """Whether it has to say of some questions that they have no answer, and by a model."""
        return bool(self.prepared.facts.get("no_answer")) and not issubclass(self.method, Floor)

    def lacking(self, record: Record) -> list[PreparedChallenge]:
        """The challenge sets that its model was not scored on; none where there is no model."""
        if record.status not in SCORED:
            return []
        known = {name: found["fingerprint"] for name, found in (record.challenges or {}).items()}
        return [one for one in self.challenges if known.get(one.name) != one.fingerprint]

    def params(self, found: Mapping[str, Any] = MappingProxyType({})) -> Params:
        """The method's parameters: its defaults, the protocol's rate, what was found, the pins."""
        return resolve_params(self.method, self.pins, self.context.protocol, found)

    def reference(self) -> BoundCell:
        """The cell of the dense model that it starts or learns from, or is read against."""
        return self.context.bind(reference_cell(self.cell))

    def trial(self) -> BoundCell:
        """The cell with the trials' seed, which is the same for the cells of every seed."""
        return self.context.bind(dataclasses.replace(self.cell, seed=TRIAL_SEED))


class _Head(NamedTuple):
    """What a task puts on the encoder."""

    labels: tuple[str, ...] | None
    spans: bool

    @classmethod
    def of(cls, task: Task) -> _Head:
        return cls(task.info.labels, task.finds_spans)


@functools.cache
def _config(encoder: Path, head: _Head) -> PretrainedConfig:
    config = read_config(encoder)
    describe_head(config, head.labels, spans=head.spans)
    return config


@functools.cache  # a plan has thousands of cells, and two or three kinds of methods
def _limit(kind: Kind, encoder: Path, head: _Head, target: Target, **special: bool) -> float:
    config = _config(encoder, head)
    return best_ratio(kind, config, target.axis, target.sequence_length, **special)


@functools.cache  # shapes of every depth are counted for it: a second for a large encoder
def _search_space(
    method: type[Method], encoder: Path, head: _Head, target: Target
) -> dict[str, Knob]:
    return search_space(method, _config(encoder, head), target)
