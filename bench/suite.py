"""What a run was asked for, with every default resolved; a suite is one model, axis and protocol.

A run folder holds `settings.json` (precision and threads, the same for all its cells on whatever
machine), `suites/<name>.json` (what each suite was asked for) and the cells' own folders.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import hub, registry
from bench.errors import BenchError, unknown_name
from bench.families import read_config
from bench.method import NAME
from bench.plan import ALWAYS, Cell, Selection, Variant, plan
from bench.protocol import EFFORTS, Protocol
from bench.records import read_json, write_json
from bench.task import Source

if TYPE_CHECKING:
    from bench.budget import Axis
    from bench.execution import Context
    from bench.task import Task

DEFAULT_MODEL = "google-bert/bert-base-uncased"
DEMO = "demo"
"""The suite of built-in tasks, and what `--model` calls their encoder."""


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a suite runs with where the command line is silent."""

    ratios: tuple[float, ...] = (4.0, 10.0, 20.0)
    effort: str = "standard"
    trials: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    workers: int = 1
    learning_rate: float | None = None
    precision: str = "auto"


DEFAULTS = {
    "": Defaults(),
    DEMO: Defaults(
        ratios=(4.0, 20.0),
        trials=0,
        seeds=1,
        epochs=4,
        workers=2,
        learning_rate=4e-3,  # the built-in encoder is a tenth as wide as BERT, and trains briefly
        precision="fp32",
    ),
}
"""By the suite that all tasks of a run belong to; the empty name for any other run."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for; `None` where it is silent."""

    methods: Sequence[str] = ("all",)
    tasks: Sequence[str] = (DEMO,)
    model: str | None = None
    data_dir: Path | None = None
    ratios: Sequence[float] | None = None
    axis: Axis = "weights"
    effort: str | None = None
    seeds: int | None = None
    trials: int | None = None
    epochs: int | None = None
    max_train_samples: int | None = None
    revision: str | None = None
    runs: Path = Path("runs")
    name: str | None = None
    workers: int | None = None
    device: str = "auto"
    precision: str = "auto"
    keep_models: str = "first"
    offline: bool = False
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A resolved request.

    Attributes:
        name: Name of the suite and its page.
        variants: The methods; true for a reference.
        tasks: Names of registered tasks, or files that declare one.
        encoder: Folder of the encoder.
        model: Its name.
        axis: What ratios are counted on.
        ratios: Wanted compressions.
        seeds: Number of report seeds.
        protocol: What is held equal.
        runs: The run folder.
        source: Where data may come from.
        workers: Worker processes; 1 means this process.
        threads: Threads of a cell.
        device: `cpu` or `cuda`.
        keep_models: Which compressed models stay on disk.
        notices: What the user should know before the run begins.
    """

    name: str
    variants: dict[Variant, bool]
    tasks: tuple[str, ...]
    encoder: Path
    model: str
    axis: Axis
    ratios: tuple[float, ...]
    seeds: int
    protocol: Protocol
    runs: Path
    source: Source
    workers: int
    threads: int
    device: str
    keep_models: str
    notices: list[str] = field(default_factory=list)

    def cells(self) -> list[Cell]:
        """The plan."""
        selection = Selection(
            variants=self.variants,
            tasks=[registry.task(name).name for name in self.tasks],
            ratios=self.ratios,
            seeds=range(self.seeds),
            axis=self.axis,
            model=self.model,
        )
        return plan(selection, self.protocol.hash)

    def prepare(self, cache: Path) -> Context:
        """Reads and tokenises all tasks, as far as the cache does not have them yet.

        Args:
            cache: Folder for tokenised rows.

        Raises:
            BenchError: Data is missing or unreadable; before anything has run.
        """
        from bench.data import prepare
        from bench.execution import Context

        tasks = {}
        for name in self.tasks:
            task = registry.task(name)
            tasks[task.name] = prepare(
                task,
                self.source,
                name=name,
                encoder=self.encoder,
                cap_at=self.protocol.max_train_samples,
                cache=cache,
            )
        return Context(
            runs=self.runs,
            protocol=self.protocol,
            encoder=self.encoder,
            weights=weight_hash(self.encoder),
            tasks=tasks,
            device=self.device,
            threads=self.threads,
            keep_models=self.keep_models,
        )

    def describe(self, command: str, cell_ids: dict[str, Cell]) -> dict[str, Any]:
        """What `suites/<name>.json` holds."""
        return {
            "name": self.name,
            "model": self.model,
            "axis": self.axis,
            "protocol": self.protocol.hash,
            "settings": dataclasses.asdict(self.protocol),
            "command": command,
            "workers": self.workers,
            "cells": {
                cell_id: [cell.method, cell.task, cell.ratio, cell.seed]
                for cell_id, cell in cell_ids.items()
            },
        }


def resolve(request: Request) -> Suite:
    """Fills in every default and checks every name.

    Raises:
        BenchError: A name is unknown, a value is not valid, or the run folder's settings differ.
    """
    from bench.environment import multiplies_in_bf16

    tasks = select_tasks(request.tasks)
    defaults = DEFAULTS[_common_suite(tasks)]
    encoder, model = _encoder(request, tasks)
    device, folder = _folder_settings(request, defaults)
    effort = EFFORTS[request.effort or defaults.effort]

    def setting(name: str) -> int:
        asked = getattr(request, name)
        if asked is None and request.effort is None:
            asked = getattr(defaults, name)  # an effort that was asked for beats the suite's own
        return effort[name] if asked is None else int(asked)

    protocol = Protocol(
        epochs=setting("epochs"),
        trials=setting("trials"),
        precision=folder["precision"],
        max_train_samples=request.max_train_samples,
        learning_rate=defaults.learning_rate or default_learning_rate(encoder),
    )
    variants, notices = select_methods(request.methods, protocol)
    if protocol.precision == "bf16" and not multiplies_in_bf16(device):
        notices.append("this run folder is in bf16, which this processor only emulates: slow.")
    return Suite(
        name=_suite_name(request, tasks, model),
        variants=variants,
        tasks=tuple(tasks),
        encoder=encoder,
        model=model,
        axis=request.axis,
        ratios=tuple(dict.fromkeys(request.ratios or defaults.ratios)),
        seeds=setting("seeds"),
        protocol=protocol,
        runs=request.runs,
        source=Source(
            data_dir=request.data_dir, revision=request.revision, offline=request.offline
        ),
        workers=request.workers or defaults.workers,
        threads=folder["threads"],
        device=device,
        keep_models=request.keep_models,
        notices=notices,
    )


def select_tasks(wanted: Sequence[str]) -> dict[str, Task]:
    """The tasks that names, groups (`glue`, `demo`) and TOML files stand for, by how to find them.

    Raises:
        BenchError: A name is unknown, or two tasks have the same name.
    """
    groups: dict[str, list[str]] = {}
    if not all(name in registry.tasks.names() or name.endswith(".toml") for name in wanted):
        for name, cls in registry.tasks.usable().items():
            groups.setdefault(cls.info.suite, []).append(name)
        groups.pop("", None)
    found: dict[str, Task] = {}
    for name in wanted:
        if name not in registry.tasks.names() and name not in groups and not name.endswith(".toml"):
            known = [*registry.tasks.names(), *groups]
            raise unknown_name("task", name, known, "A file FILE.toml declares one of your own.")
        for member in groups.get(name, [name]):
            key = str(Path(member).resolve()) if member.endswith(".toml") else member
            found[key] = registry.task(member)
    names = [task.name for task in found.values()]
    for key, task in found.items():
        taken = key.endswith(".toml") and task.name in registry.tasks.names()
        if taken or names.count(task.name) > 1:
            raise BenchError(f"two tasks are called '{task.name}': rename the one in {key}.")
    return found


def select_methods(
    wanted: Sequence[str], protocol: Protocol
) -> tuple[dict[Variant, bool], list[str]]:
    """The variants that names and `all` stand for, with `dense` in any case, and notices.

    Raises:
        BenchError: A name or a pinned parameter is unknown, or a method is not installed.
    """
    from bench.execution import resolve as resolve_params

    variants: dict[Variant, bool] = {}
    notices = []
    for text in [ALWAYS, *wanted]:
        if text == "all":
            notices += [f"method {broken}" for broken in registry.methods.broken()]
        for name in registry.methods.usable() if text == "all" else [text]:
            variant = Variant.parse(name)
            method = registry.methods.get(variant.method)
            lacking = registry.missing_requirements(method.info)
            if lacking:
                missing = f"{variant.method} needs {', '.join(lacking)}: "
                line = missing + "; ".join(lacking.values())
                if text != "all":
                    raise BenchError(line)
                notices.append(f"left out: {line}")
                continue
            resolve_params(method, dict(variant.pins), protocol)
            variants[variant] = method.info.kind == "reference"
    return variants, notices


def default_learning_rate(encoder: Path) -> float:
    """AdamW's peak rate where no suite says otherwise: 5e-5 from BERT-base's width on, else 2e-4.

    Devlin et al. (2018) fine-tune BERT-base at 2e-5 to 5e-5, Turc et al. (2019) their miniatures at
    up to 3e-4.
    """
    config = read_config(encoder)
    return 5e-5 if config.hidden_size >= 768 else 2e-4


def weight_hash(encoder: Path) -> str:
    """Identity of an encoder: a hash over weights, configuration and tokenizer."""
    state = hashlib.sha256()
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    for volatile in ("transformers_version", "_name_or_path"):
        config.pop(volatile, None)
    state.update(json.dumps(config, sort_keys=True).encode())
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt")
    for path in sorted([*encoder.glob("*.safetensors"), *(encoder / name for name in names)]):
        if path.is_file():
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    state.update(block)
    return state.hexdigest()[:16]


def _common_suite(tasks: dict[str, Task]) -> str:
    """The suite whose defaults hold, if all tasks belong to one that has its own."""
    suites = {task.info.suite for task in tasks.values()}
    suite = suites.pop() if len(suites) == 1 else ""
    return suite if suite in DEFAULTS else ""


def _encoder(request: Request, tasks: dict[str, Task]) -> tuple[Path, str]:
    """Folder and name of the encoder."""
    from bench.tasks.demo import demo_encoder_path

    model = request.model
    if model is None:
        demo = [task.info.suite == DEMO for task in tasks.values()]
        if any(demo) and not all(demo):
            raise BenchError(
                "the demo's tasks have an encoder of their own: run them apart, or name one for "
                f"all tasks with --model (a folder, a hub name, or '{DEMO}')."
            )
        model = DEMO if all(demo) else DEFAULT_MODEL
    if model == DEMO:
        return demo_encoder_path(), "demo-encoder"
    folder = hub.model_folder(model, offline=request.offline)
    local = Path(model).expanduser().exists()
    return folder, folder.resolve().name if local else model.rpartition("/")[2]


def _suite_name(request: Request, tasks: dict[str, Task], model: str) -> str:
    name = request.name
    if name is None:
        name = DEMO if _common_suite(tasks) == DEMO else re.sub(r"[^a-z0-9_-]+", "-", model.lower())
        name = name.strip("-_") or "suite"
        if request.axis == "flops":
            name += "-flops"
    if not NAME.fullmatch(name):
        raise BenchError(f"--name '{name}': lower case letters, digits, '-' and '_' only.")
    return name


def _folder_settings(request: Request, defaults: Defaults) -> tuple[str, dict[str, Any]]:
    """Device, and what the run folder holds for all of its cells; written where it is new."""
    from bench.environment import resolve_device, resolve_precision, threads_of_a_cell

    device = resolve_device(request.device)
    wanted = request.precision if request.precision != "auto" else defaults.precision
    path = request.runs / "settings.json"
    settings = read_json(path)
    if settings is None:
        settings = {
            "precision": resolve_precision(wanted, device),
            "threads": threads_of_a_cell(request.workers or defaults.workers),
        }
        try:
            if not request.dry_run:
                write_json(path, settings)
        except OSError as error:
            reason = error.strerror or str(error)
            raise BenchError(
                f"the run folder {request.runs} cannot be written: {reason}."
            ) from None
    if request.precision not in ("auto", settings["precision"]):
        raise BenchError(
            f"the cells of {request.runs} are in {settings['precision']}: "
            f"run in {request.precision} in another folder (--runs)."
        )
    return device, settings
