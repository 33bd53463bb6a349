"""What a run consists of, and what its folder says of it; a suite is one model, axis and protocol.

A run folder holds `settings.json` (`bench.results.settings`), `suites/<name>.json` (what each suite
was asked for) and the cells' own folders.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from bench import registry
from bench.errors import BenchError
from bench.models.folder import weight_hash
from bench.protocol import SYNTHETIC
from bench.results.record import dense_of
from bench.results.seeds import TRIAL_SEED
from bench.results.settings import FolderSettings, write_settings
from bench.results.suites import keep_suite
from bench.runs.limits import CellLimits
from bench.runs.plan import Selection, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.compression.units import Axis
    from bench.data.corpus import Text
    from bench.data.passages import Passages
    from bench.data.prepare import Prepared
    from bench.data.task import Challenge, ChallengeSet, Source, Task
    from bench.models.causal_lm import Generator
    from bench.protocol import Protocol
    from bench.results.budgets import Budget
    from bench.results.claims import Claim
    from bench.runs.cells.cell import Cell, Variant
    from bench.runs.cells.context import Context


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
        seeds: Report seeds, in ascending order.
        protocol: What is held equal.
        claims: What it is run for.
        adapt_from: How to find the task that rows of another domain come from, if they do.
        rounds: The closed rounds of an arena that each of `tasks` learns from, if it does.
        budget: What it is to buy, if it is asked for that: then its cells are what that takes.
        runs: The run folder.
        source: Where data may come from.
        workers: Worker processes.
        folder: What the run folder holds for all of its cells.
        device: `cpu` or `cuda`.
        keep_models: Which compressed models stay on disk.
        limits: What a cell may take.
        on: Where its cells run, if not in worker processes of this machine; see `bench run --on`.
        asked_workers: Worker processes that were asked for, if any number was.
        workers_per_gpu: Worker processes that share a GPU.
        latency: What rows are timed on once all cells are done: `all` engines, plain `torch`
            alone, or nothing.
        auto_precision: Whether hardware or run folder decided on the precision, and no word did.
        carry_from: Suites, tasks and ratios whose parameters are taken over, if any.
        published: Folder of pages, where that suite is looked for, too.
        storage: Optuna's storage, or `None` for a journal a study in the run folder.
        corpus: Where unlabelled text comes from, or `None` for a task's own.
        intermediates: What an encoder is trained on before, by name, and how to find each.
        generator: What writes fake endings, where the encoder does not.
        probe_text: Held-out text to measure what is left of pre-training on, if any.
        challenges: The challenge sets of each of `tasks` that has any.
        challenge_dir: Folder of challenge sets, or `None` for the hub.
        notices: What the user should know before the run begins.
    """

    name: str
    variants: dict[Variant, bool]
    tasks: tuple[str, ...]
    encoder: Path
    model: str
    axis: Axis
    ratios: tuple[float, ...]
    seeds: tuple[int, ...]
    protocol: Protocol
    runs: Path
    source: Source
    workers: int
    folder: FolderSettings
    device: str
    keep_models: str
    limits: CellLimits = field(default_factory=CellLimits)
    on: str | None = None
    asked_workers: int | None = None
    workers_per_gpu: int = 1
    latency: str | None = None
    auto_precision: bool = False
    carry_from: str | None = None
    published: Path | None = None
    storage: str | None = None
    corpus: Text | None = None
    intermediates: dict[str, str] = field(default_factory=dict)
    generator: Generator | None = None
    probe_text: Path | None = None
    challenges: Mapping[str, Sequence[ChallengeSet]] = field(default_factory=dict)
    challenge_dir: Path | None = None
    claims: tuple[Claim, ...] = ()
    adapt_from: str | None = None
    rounds: Mapping[str, Sequence[ChallengeSet]] = field(default_factory=dict)
    budget: Budget | None = None
    notices: list[str] = field(default_factory=list)

    def cells(self) -> list[Cell]:
        """The plan."""
        selection = Selection(
            variants=self.variants,
            tasks=[registry.task(name).name for name in self.tasks],
            ratios=self.ratios,
            seeds=self.seeds,
            axis=self.axis,
            model=self.model,
        )
        cells = plan(selection, self.protocol.hash)
        if self.budget is None:
            return cells
        bought = self.budget.cells
        dense = {dense_of(row) for row, _ in bought}
        return [c for c in cells if (c.method, c.ratio) in bought or c.method in dense]

    def prepare(self, cache: Path, augment: bool = True) -> Context:
        """Reads, augments and tokenises tasks and texts, as far as the cache does not have them.

        Args:
            cache: Folder for tokenised rows.
            augment: Whether to augment where the protocol says so, which takes its time; a plan
                is made without.

        Raises:
            BenchError: Data is missing or unreadable, or the encoder proposes no words; before
                anything has run.
        """
        from bench.data.challenge import prepare_challenge
        from bench.data.corpus import prepare_corpus
        from bench.data.prepare import prepare
        from bench.data.probe import prepare_probe
        from bench.runs.cells.context import Context

        length = self.protocol.sequence_length
        read = self._read(self.challenges, cache)
        rounds = {
            task.name: {one.name: rows for one, rows in found}
            for task, found in self._read(self.rounds, cache)
        }
        probe = prepare_probe(
            self.probe_text,
            encoder=self.encoder,
            cache=cache,
            length=length,
            limits=self.source.limits,
        )
        weights, augmenter = weight_hash(self.encoder), None
        if self.protocol.augment:
            from bench.data.augmentation import Augmenter

            augmenter = Augmenter(
                self.encoder, self.protocol.augment, weights=weights, device=self.device
            )
        corpus = prepare_corpus(self.corpus, self.encoder, cache, length) if self.corpus else None
        capped: dict[int | None, dict[str, Prepared]] = {}
        for cap in self._caps():
            tasks = capped.setdefault(cap, {})
            for name in self.tasks:
                task = registry.task(name)
                tasks[task.name] = prepare(
                    task,
                    self.source,
                    name=name,
                    encoder=self.encoder,
                    cap_at=cap,
                    length=length,
                    overlap=self.protocol.overlap,
                    cache=cache,
                    augmenter=augmenter if augment else None,
                    other=None if self.adapt_from is None else registry.task(self.adapt_from),
                    rounds=rounds.get(task.name, {}),
                )
                if self.protocol.trials and not tasks[task.name].facts["tune"]:
                    raise BenchError(
                        f"{task.name} has too few different training rows to be tuned on: "
                        "run it with --trials 0."
                    )
        own = capped[self.protocol.max_train_samples]
        challenges = {
            task.name: tuple(
                prepare_challenge(*one, task, own[task.name], encoder=self.encoder, cache=cache)
                for one in found
            )
            for task, found in read
        }
        return Context(
            runs=self.runs,
            protocol=self.protocol,
            encoder=self.encoder,
            weights=weights,
            tasks=own,
            capped=capped,
            device=self.device,
            threads=self.folder.threads,
            workers_per_gpu=self.workers_per_gpu,
            teacher_cache_gb=self.folder.teacher_cache_gb,
            keep_models=self.keep_models,
            first_seed=self.seeds[0],
            hardest=max(self.ratios),
            corpus=corpus,
            intermediates=self._intermediates(cache),
            generator=self.generator,
            probe=probe,
            challenges=challenges,
            storage=self.storage,
        )

    def _caps(self) -> dict[int | None, None]:
        """How many training rows a task has at most: the suite's own number and those of pins."""
        protocols = [self.protocol, *(self.protocol.under(v.options) for v in self.variants)]
        return dict.fromkeys(protocol.max_train_samples for protocol in protocols)

    def _read(
        self, wanted: Mapping[str, Sequence[ChallengeSet]], cache: Path
    ) -> list[tuple[Task, list[tuple[ChallengeSet, Challenge]]]]:
        """The rows of challenge sets by task: first of all, since a bad file ends the run."""
        from bench.data.challenge import read_challenge

        source = dataclasses.replace(self.source, data_dir=self.challenge_dir, revision=None)
        named = [(registry.task(name), sets) for name, sets in wanted.items()]
        return [
            (task, [(one, read_challenge(one, task, source, cache)) for one in sets])
            for task, sets in named
        ]

    def _intermediates(self, cache: Path) -> dict[str, Prepared | Passages]:
        """The rows or passages of every intermediate task, of which none is augmented."""
        from bench.data.passages import prepare_passages
        from bench.data.prepare import prepare

        found: dict[str, Prepared | Passages] = {}
        most = self.protocol.max_train_samples
        for name, key in self.intermediates.items():
            if name in SYNTHETIC:
                assert self.corpus is not None  # noqa: S101 - a request without is refused
                writer = self.generator.folder if self.generator else self.encoder
                found[name] = prepare_passages(self.corpus, cache, most, writer)
                continue
            found[name] = prepare(
                registry.task(key),
                self.source,
                name=key,
                encoder=self.encoder,
                cap_at=most,
                length=self.protocol.sequence_length,
                overlap=self.protocol.overlap,
                cache=cache,
            )
        return found

    def write(self, command: str, context: Context) -> str:
        """Writes the folder's settings and what this suite was asked for.

        A suite of the same name, model, axis and protocol that the folder has already is extended:
        its page shows the cells of all commands. Any other is replaced; its records stay.

        Returns:
            What the user should know of it, or nothing.

        Raises:
            BenchError: Another run has given the folder other settings meanwhile.
            OSError: The folder cannot be written.
        """
        write_settings(self.runs, self.folder)
        if keep_suite(self.runs, self._description(command, context)):
            return ""
        return (
            f"the page of '{self.name}' showed another model, axis or protocol until now; those "
            "records stay in the folder, and another --name keeps both pages."
        )

    def _description(self, command: str, context: Context) -> dict[str, Any]:
        """What `suites/<name>.json` says of this run."""
        from bench.runs.cells.study import Study

        cells = self.cells()
        kinds = dict.fromkeys(dataclasses.replace(cell, seed=TRIAL_SEED) for cell in cells)
        studies = [Study(context.bind(cell)) for cell in kinds]
        return {
            "name": self.name,
            "model": self.model,
            "weights": context.weights,
            "axis": self.axis,
            "protocol": self.protocol.hash,
            "settings": dataclasses.asdict(self.protocol),
            "data": {name: prepared.fingerprint for name, prepared in context.tasks.items()},
            **self._learnt(context),
            "commands": [command],
            "workers": self.workers,
            "versions": {
                str(v): registry.methods.get(v.method).info.version for v in self.variants
            },
            **self._claims(),
            **self._challenges(context),
            **({} if self.budget is None else {"budget": to_builtins(self.budget)}),
            "studies": {s.id: s.bound.cell.method for s in studies if s.trials},
            "cells": {
                context.bind(cell).id: [cell.method, cell.task, cell.ratio, cell.seed]
                for cell in cells
            },
        }

    def _challenges(self, context: Context) -> dict[str, Any]:
        """Its challenge sets, with a fingerprint of their rows, by task."""
        found = {
            task: {one.name: one.fingerprint for one in sets}
            for task, sets in context.challenges.items()
        }
        return {"challenges": found} if found else {}

    def _learnt(self, context: Context) -> dict[str, Any]:
        """Which rows the intermediate tasks have, their cap included, if there are any."""
        known = {name: rows.folder.name for name, rows in context.intermediates.items()}
        return {"intermediates": known} if known else {}

    def _claims(self) -> dict[str, Any]:
        """Its claims, each with the date of today unless it was made before."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        dated = [dataclasses.replace(claim, written=claim.written or now) for claim in self.claims]
        return {"claims": [claim.to_json() for claim in dated]} if dated else {}
