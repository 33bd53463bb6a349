"""What the files of results have to say, as types: a record, a study, a suite.

They name what a page reads, and of what type; a file may say more, which stays as it is.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from bench.results.budgets import Budget
from bench.results.claims import Claim
from bench.schema import Count, Figure, Id, Name, Positive

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
    revised_after: list[str] | UnsetType | None = UNSET
    paper_steps: Count | UnsetType = UNSET
    works_from: Count | UnsetType = UNSET
    version: int | UnsetType = UNSET


class Size(Struct, kw_only=True):
    """One figure of a footprint, of the dense model and of this one."""

    ratio: Positive
    dense: Figure | UnsetType = UNSET
    actual: Figure | UnsetType = UNSET


class Cost(Struct, kw_only=True):
    """What the cell has cost."""

    train_flops: Figure | UnsetType = UNSET
    parts: dict[str, Figure] | UnsetType = UNSET
    wall_s: Figure | UnsetType = UNSET
    train_s: Figure | UnsetType = UNSET
    steps: Count | UnsetType = UNSET
    peak_memory_mb: Figure | UnsetType | None = UNSET


class Tuning(Struct, kw_only=True):
    """How the parameters were found."""

    carried_from: str | UnsetType = field(default=UNSET, name="from")
    parameters: str | UnsetType = UNSET
    sampler: str | UnsetType = UNSET
    trials: Count | UnsetType = UNSET
    not_tuned: bool | UnsetType | None = UNSET
    edge: str | UnsetType | None = UNSET
    found: dict[str, Plain] | UnsetType = UNSET
    against_majority: AgainstMajority | UnsetType | None = UNSET


class AgainstMajority(Struct, kw_only=True):
    """The dense model's test against the majority class, on the tune rows."""

    dense: Figure
    score: Figure
    p: Figure


class Cut(Struct, kw_only=True):
    """Rows that were cut to so many tokens."""

    train: Count
    report: Count
    pieces: Count


class Overlap(Struct, kw_only=True):
    """Training rows that are report rows, and what became of them."""

    rows: Count
    exact: Count
    are: str


class Augmentation(Struct, kw_only=True):
    """Rows that were made."""

    rows: Count


class Windows(Struct, kw_only=True):
    """Windows that questions and their contexts were cut into."""

    train: Count
    report: Count
    overlap: Count


class Intermediate(Struct, kw_only=True):
    """The task that the encoder was fine-tuned on before anything else, and how well it did."""

    name: str
    rows: Count
    metric: str
    score: Figure | None
    held_out: Count
    endings: str | UnsetType = UNSET


class Learnt(Struct, kw_only=True):
    """What became of a closed round's examples."""

    rows: Count
    near: Count
    stem: Count


class Data(Struct, kw_only=True):
    """Where the rows came from, and how many were used."""

    train: Count
    train_available: Count
    report: Count
    skipped_rows: Count
    cut_to_fit: Cut
    source: str | UnsetType = UNSET
    revision: str | UnsetType | None = UNSET
    notes: list[str] | UnsetType = UNSET
    tune: Count | UnsetType = UNSET
    tune_shared: Count | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    augmentation: Augmentation | UnsetType | None = UNSET
    train_with: dict[Name, Learnt] | UnsetType = UNSET
    licence: str | UnsetType = UNSET
    general_text: str | UnsetType | None = UNSET
    intermediate: Intermediate | UnsetType = UNSET
    fingerprint: str | UnsetType = UNSET
    median_length: Count | UnsetType = UNSET
    windows: Windows | UnsetType = UNSET
    no_answer: Count | UnsetType = UNSET
    no_answer_threshold: Figure | UnsetType = UNSET


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
    loss: Figure | None
    pretrained: Figure | None
    finetuned: Figure | None
    floor: Figure | UnsetType = UNSET
    refitted: Figure | UnsetType = UNSET
    pretrained_refitted: Figure | UnsetType | None = UNSET
    finetuned_refitted: Figure | UnsetType | None = UNSET


class Timing(Struct, kw_only=True):
    """One measurement of speed."""

    model: str
    engine: str
    batch: Count
    seq_len: Count
    gain: Figure
    median_ms: Figure
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
    loss: list[Figure]
    score: list[Figure] | UnsetType | None = UNSET
    gain: Gain | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """Every point has all of its figures."""
        scored = self.score if isinstance(self.score, list) else self.steps
        if not len(self.steps) == len(self.loss) == len(scored):
            raise ValueError("steps, loss and score are not of one length")


class Challenged(Struct, kw_only=True):
    """What a model scored on a challenge set."""

    score: Figure
    scores: dict[str, Figure]
    fingerprint: str
    rows: Count
    seen: Count
    groups: dict[str, Figure] | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET
    cut: Count | UnsetType = UNSET
    source: str | UnsetType = UNSET
    revision: str | UnsetType | None = UNSET
    skipped_rows: Count | UnsetType = UNSET
    target: bool | UnsetType = UNSET


class Gain(Struct, kw_only=True):
    """What the last fifth of a trial gained."""

    points: Figure
    half_width: Figure


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
    tuning: Tuning | UnsetType = UNSET
    score: Figure | UnsetType | None = UNSET
    scores: dict[str, Figure | None] | UnsetType = UNSET
    reference: dict[str, Any] | UnsetType | None = UNSET
    footprint: dict[str, Size] | UnsetType = UNSET
    cost: Cost | UnsetType = UNSET
    knowledge: Knowledge | UnsetType | None = UNSET
    latency: Latency | UnsetType | None = UNSET
    curve: Curve | UnsetType | None = UNSET
    challenges: dict[Name, Challenged] | UnsetType | None = UNSET
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
    score: Figure | UnsetType | None = UNSET
    ratio: Figure | UnsetType | None = UNSET
    error: str | UnsetType = UNSET
    curve: Curve | UnsetType | None = UNSET
    index: Count | UnsetType = UNSET
    steps: Count | UnsetType = UNSET
    wall_s: Figure | UnsetType = UNSET
    flops: dict[str, Figure] | UnsetType = UNSET
    kept: dict[str, tuple[str, Figure]] | UnsetType = UNSET
    reference: str | UnsetType | None = UNSET
    against_majority: dict[str, Figure] | UnsetType | None = UNSET

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
    floor: Figure | None = None
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
    dropout: Figure
    precision: str
    max_train_samples: Count | None
    augment: Count | UnsetType = UNSET
    sequence_length: Count | UnsetType = UNSET
    perturb: str | UnsetType = UNSET
    pretrain_steps: Count | UnsetType = UNSET
    adapt_from: str | UnsetType = UNSET
    intermediate: str | UnsetType = UNSET
    train_with: str | UnsetType = UNSET
    version: int | UnsetType = UNSET


class SuiteFile(Struct, kw_only=True):
    """What a suite was asked for."""

    name: Name
    model: str
    weights: str
    axis: Literal["weights", "flops", "bytes"]
    protocol: str
    settings: SuiteSettings
    data: dict[Name, str]
    challenges: dict[Name, dict[Name, str]] | UnsetType = UNSET
    commands: list[str]
    workers: Count
    cells: dict[Id, tuple[str, Name, Positive, Count]]
    intermediates: dict[str, str] | UnsetType = UNSET
    claims: list[Claim] | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    versions: dict[str, int] | UnsetType = UNSET
    studies: dict[Id, str] | UnsetType = UNSET


class PageFile(Struct, kw_only=True):
    """What a page's JSON says of what lies behind it; older ones have a hash of all predictions."""

    records: dict[Id, str]
    predictions: dict[Id, str] | str | UnsetType = UNSET
    challenged: dict[Id, str] | UnsetType = UNSET
