"""What all cells of a run share: plain data, so that worker processes can be sent it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.compression.target import Target, best_ratio
from bench.models.checkpoint import read_config
from bench.runs.cells.cell import ALWAYS, Cell, Variant
from bench.runs.cells.parameters import search_space

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from bench.compression.method import Method
    from bench.compression.params import Knob
    from bench.compression.target import Axis, Kind
    from bench.data.corpus import Corpus
    from bench.data.prepare import Prepared
    from bench.protocol import Protocol
    from bench.runs.cells.cell import Cell
    from bench.training.knowledge import Probe


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
        device: `cpu` or `cuda`.
        threads: Threads of a cell on the processor.
        teacher_cache_gb: Disk for what references answer to the training rows, in GB.
        keep_models: Which compressed models stay on disk: `first` (those of seed 0), `all`, `none`.
        corpus: Unlabelled text for general distillation; without it a task's own text serves.
        probe: Masked text that every delivered model is asked for, if any.
        storage: Optuna's storage of studies; without it a journal each in the run folder.
        carried: Parameters found elsewhere, by method, task and ratio, if they are to be taken.
    """

    runs: Path
    protocol: Protocol
    encoder: Path
    weights: str
    tasks: dict[str, Prepared]
    device: str
    threads: int
    teacher_cache_gb: float = 0.0
    keep_models: str = "first"
    corpus: Corpus | None = None
    probe: Probe | None = None
    storage: str | None = None
    carried: dict[tuple[str, str, float], Carried] = field(default_factory=dict)

    def cell_id(self, cell: Cell) -> str:
        """The id that a cell's record is stored under."""
        method = registry.methods.get(Variant.parse(cell.method).method)
        prepared = self.tasks[cell.task]
        keys = dict.fromkeys([(cell.method, cell.task, cell.ratio), (ALWAYS, cell.task, 1.0)])
        return cell.id(
            version=method.info.version,
            data=prepared.fingerprint,
            weights=self.weights,
            carried=[self.carried[key].params for key in keys if key in self.carried],
        )

    def limit(self, cell: Cell) -> float:
        """The largest ratio that a cell's method can reach on the cell's axis."""
        kind = registry.methods.get(Variant.parse(cell.method).method).info.kind
        labels = registry.task(self.tasks[cell.task].task).num_labels
        return _limit(kind, self.encoder, labels, cell.axis)

    def search_space(self, cell: Cell) -> dict[str, Knob]:
        """What tuning may move for a cell: nothing pinned, nothing where no ratio is met."""
        variant = Variant.parse(cell.method)
        if self.limit(cell) < cell.ratio:
            return {}
        method, pinned = registry.methods.get(variant.method), dict(variant.pins)
        labels = registry.task(self.tasks[cell.task].task).num_labels
        space = _search_space(method, self.encoder, labels, Target(cell.axis, cell.ratio))  # type: ignore[arg-type]
        return {name: knob for name, knob in space.items() if name not in pinned}


@functools.cache
def _classifier_config(encoder: Path, labels: int) -> PretrainedConfig:
    config = read_config(encoder)
    config.num_labels = labels
    return config


@functools.cache  # a plan has thousands of cells, and two or three kinds of methods
def _limit(kind: Kind, encoder: Path, labels: int, axis: Axis) -> float:
    return best_ratio(kind, _classifier_config(encoder, labels), axis)


@functools.cache  # shapes of every depth are counted for it: a second for a large encoder
def _search_space(
    method: type[Method], encoder: Path, labels: int, target: Target
) -> dict[str, Knob]:
    return search_space(method, _classifier_config(encoder, labels), target)
