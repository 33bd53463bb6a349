"""The encoder that a cell begins with: the run's own, or that after what it has learnt first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.data.endings import CausalWriter, MaskedWriter, prepare_endings
from bench.data.passages import Passages
from bench.data.prepare import load
from bench.errors import BenchError
from bench.protocol import SYNTHETIC
from bench.training.batches import steps_per_epoch
from bench.training.intermediate import (
    lesson_of_endings,
    lesson_of_task,
    obtain_start,
    prompts_held_out,
)
from bench.training.pretraining import continued

if TYPE_CHECKING:
    from bench.data.endings import Writer
    from bench.data.prepare import Prepared
    from bench.protocol import Protocol
    from bench.runs.cells.context import Context
    from bench.training.intermediate import Lesson, Start


@dataclass(frozen=True)
class Begun:
    """The encoder that everything of a cell begins with.

    Attributes:
        folder: Its Hugging Face folder.
        made_once: Part and FLOPs of what was made of it for several cells, by its key.
        seconds: What that took.
        text: The unlabelled text that it has gone on learning from, if any.
        facts: What a record says of an intermediate task, if there was one.
    """

    folder: Path
    made_once: dict[str, tuple[str, int]] = field(default_factory=dict)
    seconds: float = 0.0
    text: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def begin(context: Context, progress: Callable[[int, int], None]) -> Begun:
    """The run's encoder, after it has gone on learning and learnt an intermediate task, if asked.

    Each of the two is made where the run folder does not have it.

    Args:
        context: The cell's.
        progress: Called with steps made and steps in all.

    Raises:
        DivergedError: A training met a NaN or an infinite value.
    """
    begun = Begun(context.encoder)
    if context.protocol.pretrain_steps:
        if context.corpus is None:  # a run has checked it
            raise BenchError("continued pre-training reads unlabelled text, and there is none")
        found = continued(
            context.runs,
            context.corpus,
            encoder=context.encoder,
            weights=context.weights,
            protocol=context.protocol,
            device=context.device,
            progress=progress,
        )
        cost = {found.key: ("continued pre-training", found.train_flops)}
        begun = Begun(found.folder, cost, found.wall_s, context.corpus.name)
    if context.protocol.intermediate:
        start = _after_intermediate(begun, context, progress)
        begun = dataclasses.replace(
            begun,
            folder=start.folder,
            made_once={**begun.made_once, start.key: ("intermediate task", start.train_flops)},
            seconds=begun.seconds + start.wall_s,
            facts={"intermediate": start.facts},
        )
    return begun


def _after_intermediate(
    begun: Begun, context: Context, progress: Callable[[int, int], None]
) -> Start:
    """The encoder after an intermediate task."""
    before = context.intermediates[context.protocol.intermediate]
    identity = {
        "encoder": next(iter(begun.made_once), context.weights),
        **intermediate_identity(context),
    }

    def lesson() -> Lesson:
        if isinstance(before, Passages):
            return _lesson_of_passages(before, context, progress)
        return _lesson_of_rows(before)

    return obtain_start(
        context.runs,
        lesson,
        encoder=begun.folder,
        identity=identity,
        protocol=context.protocol,
        device=context.device,
        progress=progress,
    )


def intermediate_identity(context: Context) -> dict[str, str]:
    """What names the rows of the intermediate task of a protocol that has one."""
    name, own = context.protocol.intermediate, context.generator
    before = context.intermediates[name]
    if isinstance(before, Passages):
        writer = own.hash if own else context.weights
        return {"name": name, "rows": before.folder.name, "writer": writer}
    return {"name": name, "rows": before.folder.name}


def intermediate_steps(context: Context) -> int:
    """Optimizer steps of the intermediate task of a protocol that has one."""
    before, protocol = context.intermediates[context.protocol.intermediate], context.protocol
    if isinstance(before, Passages):
        rows = before.count - prompts_held_out(before.count)
        if _is_binary(protocol):
            rows *= 2  # the real ending and a fake
    else:  # of windows, as many are fit as of questions
        rows = round(before.train_rows * before.facts["fit"] / before.facts["train"])
    return protocol.epochs * steps_per_epoch(rows, protocol.batch_size)


def _lesson_of_rows(prepared: Prepared) -> Lesson:
    data = load(prepared)
    return lesson_of_task(registry.task(prepared.task), data.fit, data.tune)


def _lesson_of_passages(
    passages: Passages, context: Context, progress: Callable[[int, int], None]
) -> Lesson:
    own = context.generator

    def writer() -> Writer:
        if own is not None:
            return CausalWriter(own.folder, context.device)
        return MaskedWriter(context.encoder, context.device)

    written = prepare_endings(
        passages,
        writer,
        identity=intermediate_identity(context)["writer"],
        encoder=context.encoder,
        cache=context.runs / "data",
        length=context.protocol.sequence_length,
        progress=progress,
    )
    by = own.name if own else "the encoder's own masked language model"
    made = f"{passages.text}, fakes by {by}"
    binary = _is_binary(context.protocol)
    return lesson_of_endings(written.rows, written.flops, made, binary=binary)


def _is_binary(protocol: Protocol) -> bool:
    """Whether a synthetic task judges one ending at a time, not a choice among all."""
    return protocol.intermediate != SYNTHETIC[0]
