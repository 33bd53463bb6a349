"""What a run was asked for, and the suite it becomes: all defaults filled in, all names checked."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.compression.target import Target, check_ratio
from bench.data.task import Source
from bench.errors import BenchError, unknown_name
from bench.inputs import USUAL, Limits
from bench.models.configuration import LEAST_LENGTH
from bench.protocol import EFFORTS, Protocol
from bench.results.seeds import seeds_of
from bench.results.settings import FolderSettings, agree_on_settings
from bench.results.suites import check_suite_name
from bench.runs.claims import read_claims, settled
from bench.runs.defaults import DEFAULTS, Defaults, common_group
from bench.runs.encoder import (
    DEMO,
    check_learning,
    default_learning_rate,
    find_encoder,
    find_writer,
    sequence_length,
    with_missing_data,
)
from bench.runs.limits import CellLimits
from bench.runs.names import (
    READ_OPTION,
    check_pins,
    leave_out_unable,
    other_domain,
    select_challenges,
    select_intermediates,
    select_methods,
    select_rounds,
    select_tasks,
)
from bench.runs.suite import Suite
from bench.runs.trackers import check_trackers
from bench.schema import Name, is_of

if TYPE_CHECKING:
    from bench.compression.units import Axis
    from bench.data.corpus import Text
    from bench.data.task import Task
    from bench.models.causal_lm import Generator
    from bench.protocol import Overlap
    from bench.results.budgets import Budget
    from bench.runs.cells.cell import Variant

TEACHER_CACHE_GB = 4.0
"""Disk for teachers' answers where the command line is silent."""
THREADS = 1
"""Threads of a cell: the same whatever the number of workers, so that the same digits come out."""

MOST = {"trials": 10_000, "epochs": 10_000, "augment": 1_000, "workers": 1_024,
        "workers_per_gpu": 64, "threads": 1_024}  # fmt: skip
"""The most that a whole number may be: beyond, no plan ends."""

LEAST = dict.fromkeys(("epochs", "max_train_samples", "workers", "workers_per_gpu", "threads"), 1)
LEAST |= {"trials": 0, "augment": 0, "pretrain_steps": 0, "sequence_length": LEAST_LENGTH}
"""Options that are whole numbers, and the least that each may be."""

CHOICES = {
    "axis": ("weights", "flops", "bytes"),
    "effort": tuple(EFFORTS),
    "overlap": ("removed", "kept"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "fp32", "bf16"),
    "keep_models": ("first", "all", "none"),
}
"""Options that are one of a few words."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run is asked for; `None` where nothing is said.

    Raises:
        BenchError: A value is not valid.
    """

    methods: Sequence[str] | None = None
    tasks: Sequence[str] = (DEMO,)
    model: str | None = None
    data_dir: Path | None = None
    ratios: Sequence[float] | None = None
    axis: Axis = "weights"
    effort: str | None = None
    seeds: int | str | Sequence[int] | None = None
    trials: int | None = None
    carry_from: str | None = None
    published: Path | None = None
    epochs: int | None = None
    max_train_samples: int | None = None
    augment: int | None = None
    sequence_length: int | None = None
    overlap: Overlap = "removed"
    perturb: str | None = None
    pretrain_steps: int | None = None
    adapt_from: str | None = None
    intermediate: str | None = None
    generator: str | None = None
    train_with: Sequence[str] = ()
    corpus: str | None = None
    revision: str | None = None
    runs: Path = Path("runs")
    storage: str | None = None
    name: str | None = None
    workers: int | None = None
    workers_per_gpu: int | None = None
    threads: int | None = None
    on: str | None = None
    cell_hours: float | None = None
    cell_memory_gb: float | None = None
    device: str = "auto"
    precision: str = "auto"
    teacher_cache_gb: float | None = None
    keep_models: str = "first"
    probe_text: Path | None = None
    challenge: Sequence[str] = ()
    challenge_dir: Path | None = None
    max_data_gb: float = USUAL.gigabytes
    claims: Sequence[Mapping[str, Any]] = ()
    budget: Budget | None = None
    latency: bool | None = None
    track: Sequence[str] = ()
    offline: bool = False

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                said = f"a whole number of at least {least}, not {value!r}"
                raise BenchError(f"{name.replace('_', '-')} is {said}.")
            if value is not None and value > MOST.get(name, value):
                raise BenchError(f"{value} {name}: {MOST[name]} at most.")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices and (value is not None or name != "effort"):
                what = "match" if name == "axis" else name.replace("_", "-")
                raise unknown_name(f"value of {what}", str(value), choices)
        if self.seeds is not None:
            object.__setattr__(self, "seeds", seeds_of(self.seeds))
        if self.ratios is not None:  # 4 and 4.0 are one ratio, and so one cell
            object.__setattr__(self, "ratios", tuple(map(check_ratio, self.ratios)))
        if self.latency and self.keep_models == "none":
            raise BenchError("--latency times models, and --keep-models none keeps none.")
        if self.on is not None:
            from bench.runs.cluster.connection import check_place

            check_place(self.on)
        if (cache := self.teacher_cache_gb) is not None and not 0 <= cache < math.inf:
            raise BenchError(f"teacher-cache-gb is a number of at least 0, not {cache}.")
        CellLimits(self.cell_hours, self.cell_memory_gb)
        check_trackers(self.track, installed=False)


@dataclass(frozen=True)
class Compared:
    """What is compared: checked names, and the encoder on disk."""

    tasks: dict[str, Task]
    variants: dict[Variant, bool]
    ratios: tuple[float, ...]
    source: Source
    encoder: Path
    model: str
    length: int
    defaults: Defaults
    options: dict[str, str]


@dataclass(frozen=True)
class _Place:
    """Where it runs, and what its folder holds for all cells."""

    device: str
    workers: int
    folder: FolderSettings


def resolve(request: Request) -> Suite:
    """Fills in every default and checks every name.

    Raises:
        BenchError: A name is unknown, a value is not valid, the run folder's settings differ, or a
            claim comes after its outcome.
    """
    if request.carry_from is not None and request.trials:
        raise BenchError("--carry-from takes parameters from elsewhere: leave it, or --trials.")
    compared, notices = compare(request)
    name = _suite_name(request, compared.tasks, compared.model)
    if request.carry_from is not None:
        from bench.runs.cells.carried import check_source

        check_source(request.carry_from, request.runs, request.published, name)
    place, ruled = _place(request, compared.defaults)
    text = None
    if request.corpus is not None:
        from bench.data.corpus import find_text

        text = find_text(request.corpus, request.offline, compared.source.limits)
    check_learning(compared.options, compared.variants, compared.encoder, text)
    before = select_intermediates(request.methods or (), request.intermediate or "")
    generator = find_writer(before, compared.encoder, request.generator, text, request.offline)
    effort = _effort(request, compared.defaults)
    protocol = _held_equal(request, compared, effort, place.folder, text, generator)
    adapt_from, other = other_domain(request.adapt_from, compared.tasks)
    rounds, learnt = select_rounds(
        request.train_with, compared.tasks, request.challenge_dir, request.challenge
    )
    protocol = dataclasses.replace(protocol, adapt_from=other, train_with=learnt)
    seeds = seeds_of(effort["seeds"])
    claims = read_claims(
        request.claims,
        variants=[*compared.variants],
        tasks=compared.tasks,
        ratios=compared.ratios,
        seeds=seeds,
    )
    suite = Suite(
        name=name,
        variants=compared.variants,
        tasks=tuple(compared.tasks),
        encoder=compared.encoder,
        model=compared.model,
        axis=request.axis,
        ratios=compared.ratios,
        seeds=seeds,
        claims=claims,
        budget=request.budget,
        adapt_from=adapt_from,
        rounds=rounds,
        protocol=protocol,
        runs=request.runs,
        source=compared.source,
        workers=place.workers,
        on=request.on,
        asked_workers=request.workers,
        workers_per_gpu=request.workers_per_gpu or 1,
        folder=place.folder,
        device=place.device,
        keep_models=request.keep_models,
        limits=CellLimits(request.cell_hours, request.cell_memory_gb),
        latency=_latency(request, compared.defaults),
        auto_precision=request.precision == "auto"
        and place.folder.precision != compared.defaults.precision,
        carry_from=request.carry_from,
        published=request.published,
        storage=request.storage,
        corpus=text,
        intermediates=before,
        generator=generator,
        probe_text=request.probe_text,
        challenges=select_challenges(request.challenge, compared.tasks, request.challenge_dir),
        challenge_dir=request.challenge_dir,
        notices=[*notices, *ruled, *_warnings(request, protocol, place.device)],
    )
    return settled(suite)


def compare(request: Request) -> tuple[Compared, list[str]]:
    """What is compared, and notices of what was left out."""
    tasks = select_tasks(request.tasks)
    defaults = DEFAULTS[common_group(tasks)]
    methods = request.methods or defaults.methods
    options = {name: read(str(getattr(request, name) or "")) for name, read in READ_OPTION.items()}
    variants, notices = select_methods(methods, options)
    if request.data_dir is not None and not request.data_dir.is_dir():
        raise BenchError(
            f"--data-dir {request.data_dir} is no folder. Either name one in the original GLUE "
            "layout with --data-dir DIR, or run without it after fetching the tasks once with a "
            f"network: bench fetch --tasks {','.join(request.tasks)}."
        )
    if request.data_dir is not None and request.revision is not None:
        raise BenchError("--revision is one of the hub's data: leave it, or leave --data-dir.")
    source = Source(
        data_dir=request.data_dir,
        revision=request.revision,
        offline=request.offline,
        limits=Limits(request.max_data_gb),
    )
    try:
        encoder, model = find_encoder(request.model, tasks, offline=request.offline)
    except BenchError as error:
        raise with_missing_data(error, tasks, source) from None
    length = sequence_length(request.sequence_length, encoder, model)
    ratios = tuple(dict.fromkeys(request.ratios or defaults.ratios))
    targets = [Target(request.axis, ratio, length) for ratio in ratios]
    notices += leave_out_unable(variants, encoder, methods, targets)
    check_pins(variants, encoder)
    found = Compared(tasks, variants, ratios, source, encoder, model, length, defaults, options)
    return found, notices


def _place(request: Request, defaults: Defaults) -> tuple[_Place, list[str]]:
    """Where it runs, and a notice where the run folder rules otherwise than the run would."""
    from bench.machine import default_workers, resolve_device, resolve_precision

    device = resolve_device(request.device)
    usual = default_workers(device, request.workers_per_gpu)
    workers = request.workers or (not request.workers_per_gpu and defaults.workers) or usual
    wanted = request.precision if request.precision != "auto" else defaults.precision
    cache = request.teacher_cache_gb
    if cache is None:  # a GPU computes answers faster than a disk reads them
        cache = 0.0 if device == "cuda" else TEACHER_CACHE_GB
    own = FolderSettings(
        precision=resolve_precision(wanted, device),
        threads=request.threads or THREADS,
        teacher_cache_gb=float(cache),
    )
    asked = None if request.precision == "auto" else request.precision
    folder, ruled = agree_on_settings(
        request.runs,
        own,
        precision=asked,
        threads=request.threads,
        teacher_cache_gb=request.teacher_cache_gb,
    )
    return _Place(device, workers, folder), ruled


def _latency(request: Request, defaults: Defaults) -> str | None:
    """What rows are timed on: all engines, plain torch alone, or nothing."""
    if request.latency is None:
        return defaults.latency if request.keep_models != "none" else None
    return "all" if request.latency else None


def _effort(request: Request, defaults: Defaults) -> dict[str, Any]:
    """Trials, report seeds and epochs."""
    effort = EFFORTS[request.effort or defaults.effort]
    found: dict[str, Any] = {}
    for name, usual in effort.items():
        asked = getattr(request, name)
        if asked is None and request.effort is None:
            asked = getattr(defaults, name)  # an effort that was asked for beats the group's own
        found[name] = usual if asked is None else asked
    return found


def _held_equal(
    request: Request,
    compared: Compared,
    effort: Mapping[str, Any],
    folder: FolderSettings,
    text: Text | None,
    generator: Generator | None,
) -> Protocol:
    """What is held equal among all methods."""
    return Protocol(
        corpus=text.hash if text else "",
        generator=generator.hash if generator else "",
        epochs=effort["epochs"],
        trials=0 if request.carry_from else effort["trials"],
        precision=folder.precision,
        learning_rate=default_learning_rate(compared.encoder),
        augment=request.augment or 0,
        carried=request.carry_from or "",
        sequence_length=compared.length,
        overlap=request.overlap,
    ).under(compared.options)


def _warnings(request: Request, protocol: Protocol, device: str) -> Iterator[str]:
    """What the user may not have meant."""
    from bench.machine import multiplies_in_bf16

    if protocol.augment:
        yield (
            "the training rows are augmented before anything else, once a run folder; then "
            f"a training sees up to {protocol.augment + 1} times as many."
        )
    if request.storage is not None and not protocol.trials:
        yield "nothing is tuned, so --storage is not used."
    if protocol.precision == "bf16" and not multiplies_in_bf16(device):
        yield "this run folder is in bf16, which this processor only emulates: slow."


def _suite_name(request: Request, tasks: dict[str, Task], model: str) -> str:
    name = request.name
    if name is None:
        own = request.model in (None, DEMO) and common_group(tasks) == DEMO
        name = DEMO if own else re.sub(r"[^a-z0-9_-]+", "-", model.lower())
        name = name.strip("-_") or "suite"
        if request.axis != "weights":
            name += f"-{request.axis}"
    if not is_of(name, Name):
        raise BenchError(f"--name '{name}': lower case letters, digits, '-' and '_' only.")
    check_suite_name(name)
    return name
