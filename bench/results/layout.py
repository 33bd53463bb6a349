"""What the files of results have to say, as types: a record, a study, a suite.

They name what a page reads, and of what type; a file may say more, which stays as it is.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from bench.results.claims import Claim
from bench.schema import Count, Id, Name, Positive

AXES = ("weights", "params", "flops")
"""What every footprint says a ratio of."""

ANSWERS = "answers"
"""What the method of a cell delivers that made no model, as its `delivers` says; such a cell has
neither a footprint nor a speed."""

Status = Literal["ok", "missed", "unreachable", "failed", "external"]
SCORED = ("ok", "missed", "external")
"""Statuses of a cell that came to a model."""

Plain: TypeAlias = str | int | float | bool | None
"""A value of a parameter."""


class Cell(Struct, kw_only=True):
    """Which cell it is."""

    method: str
    task: Name
    axis: Literal["weights", "flops", "bytes"]
    ratio: Positive
    seed: Count


class Method(Struct, kw_only=True):
    """What the method was when the cell ran."""

    kind: str
    control: bool
    starts_from: str
    teacher: str
    delivers: str | UnsetType = UNSET
    paper: str | UnsetType = UNSET
    paper_steps: Count | UnsetType = UNSET
    works_from: Count | UnsetType = UNSET
    version: int | UnsetType = UNSET


class Size(Struct, kw_only=True):
    """One figure of a footprint, of the dense model and of this one."""

    ratio: Positive
    dense: float | UnsetType = UNSET
    actual: float | UnsetType = UNSET


class Cost(Struct, kw_only=True):
    """What the cell has cost."""

    train_flops: float | UnsetType = UNSET
    parts: dict[str, float] | UnsetType = UNSET
    wall_s: float | UnsetType = UNSET
    steps: Count | UnsetType = UNSET
    peak_memory_mb: float | UnsetType | None = UNSET


class Data(Struct, kw_only=True):
    """Where the rows came from, and how many were used."""

    train: Count
    train_available: Count
    report: Count
    skipped_rows: Count
    cut_to_fit: dict[str, Any]
    fingerprint: str | UnsetType = UNSET
    median_length: Count | UnsetType = UNSET


class Environment(Struct, kw_only=True):
    """What it ran on."""

    python: str
    packages: dict[str, str | None]
    processor: str
    vector_extensions: list[str]
    device: str
    threads: Count
    precision: str


class Knowledge(Struct, kw_only=True):
    """The masked-language-model losses."""

    text: str
    hash: str
    rows: Count
    masked: Count
    loss: float | None
    pretrained: float | None
    finetuned: float | None
    floor: float | UnsetType = UNSET
    refitted: float | UnsetType = UNSET
    pretrained_refitted: float | UnsetType | None = UNSET
    finetuned_refitted: float | UnsetType | None = UNSET


class Timing(Struct, kw_only=True):
    """One measurement of speed."""

    model: str
    engine: str
    batch: Count
    seq_len: Count
    gain: float
    median_ms: float
    agrees: bool


class Latency(Struct, kw_only=True):
    """The speed of the cell's model, and the machine."""

    rows: list[Timing]
    engines: dict[str, Any]
    threads: Count
    processor: str
    vector_extensions: list[str]


class Curve(Struct, kw_only=True):
    """A training's loss, and in a trial its score, at some points."""

    steps: list[Count]
    loss: list[float]
    score: list[float] | UnsetType | None = UNSET
    gain: Gain | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """Every point has all of its figures."""
        scored = self.score if isinstance(self.score, list) else self.steps
        if not len(self.steps) == len(self.loss) == len(scored):
            raise ValueError("steps, loss and score are not of one length")


class Gain(Struct, kw_only=True):
    """What the last fifth of a trial gained."""

    points: float
    half_width: float


class Error(Struct, kw_only=True):
    """Why a cell failed."""

    type: str
    message: str
    log: str


class RecordFile(Struct, kw_only=True):
    """A record; a field that holds nothing is as if it were not there."""

    id: Id
    status: Status
    cell: Cell
    schema: Literal[1, 2]
    method: Method | UnsetType = UNSET
    params: dict[str, Plain] | UnsetType = UNSET
    tuning: dict[str, Any] | UnsetType = UNSET
    score: float | UnsetType | None = UNSET
    scores: dict[str, float | None] | UnsetType = UNSET
    reference: dict[str, Any] | UnsetType | None = UNSET
    footprint: dict[str, Size] | UnsetType = UNSET
    cost: Cost | UnsetType = UNSET
    knowledge: Knowledge | UnsetType | None = UNSET
    latency: Latency | UnsetType | None = UNSET
    curve: Curve | UnsetType | None = UNSET
    data: Data | UnsetType = UNSET
    environment: Environment | UnsetType = UNSET
    created: str | UnsetType = UNSET
    error: Error | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """What came to a model has a score, a size and a cost."""
        if self.status not in SCORED:
            return
        if not isinstance(self.score, float):
            raise ValueError(f"'{self.status}' without a score")
        delivers = UNSET if self.method is UNSET else self.method.delivers
        counted = {} if self.footprint is UNSET else self.footprint
        if (counted or delivers != ANSWERS) and not counted.keys() >= set(AXES):
            raise ValueError(f"'{self.status}' without a footprint of {', '.join(AXES)}")
        if self.status != "external" and (self.cost is UNSET or self.cost.train_flops is UNSET):
            raise ValueError(f"'{self.status}' without cost.train_flops")


class Trial(Struct, kw_only=True):
    """A trial: what it took, and either its score and ratio, or why it has none."""

    params: dict[str, Plain]
    score: float | UnsetType | None = UNSET
    ratio: float | UnsetType | None = UNSET
    error: str | UnsetType = UNSET
    curve: Curve | UnsetType | None = UNSET
    index: Count | UnsetType = UNSET
    steps: Count | UnsetType = UNSET
    wall_s: float | UnsetType = UNSET
    flops: dict[str, float] | UnsetType = UNSET
    kept: dict[str, tuple[str, float]] | UnsetType = UNSET
    reference: str | UnsetType | None = UNSET
    against_majority: dict[str, float] | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """A trial came to something, or says what became of it."""
        whole = isinstance(self.score, float) and isinstance(self.ratio, float)
        if not whole and self.error is UNSET:
            raise ValueError("a trial without score and ratio, and without an error")


class StudyFile(Struct, kw_only=True):
    """What is known of a study."""

    cell: Cell
    complete: bool
    sampler: str
    trials: list[Trial]
    best: Count | None
    rates: list[tuple[Positive, Positive]] | None = None
    edge: str | None = None
    floor: float | None = None
    not_tuned: bool | None = None

    def __post_init__(self) -> None:
        """The best trial is one of them, and has a score."""
        if self.best is None:
            return
        if self.best >= len(self.trials) or self.trials[self.best].score is UNSET:
            raise ValueError("best is no trial that has a score")


class SuiteSettings(Struct, kw_only=True):
    """What a suite's page says of its effort."""

    trials: Count
    epochs: Count
    batch_size: Count
    dropout: float
    precision: str
    max_train_samples: Count | None


class SuiteFile(Struct, kw_only=True):
    """What a suite was asked for."""

    name: Name
    model: str
    weights: str
    axis: Literal["weights", "flops", "bytes"]
    protocol: str
    settings: SuiteSettings
    data: dict[Name, str]
    commands: list[str]
    workers: Count
    cells: dict[Id, tuple[str, Name, Positive, Count]]
    claims: list[Claim] | UnsetType = UNSET
    versions: dict[str, int] | UnsetType = UNSET
    studies: dict[Id, str] | UnsetType = UNSET
