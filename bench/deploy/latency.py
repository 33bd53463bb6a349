"""Measured speed of a classifier, and of the dense model that it was made from, on every engine.

A gain over a slow dense engine is no gain: both models run on all engines, and the gain that is
told is that over the fastest of all for the dense one.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.deploy.engines import Answer, Engine, Load, Subject
from bench.deploy.export import inputs_of
from bench.errors import BenchError, first_line
from bench.files import scratch_folder
from bench.machine import describe
from bench.models.families import max_text_positions, prunable
from bench.models.heads import logits_of
from bench.results.record import DENSE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GIVEN = "given"
PAUSE_S = 0.005
"""Between two engines, for the threads of the one to fall asleep."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long is measured.

    Attributes:
        rounds: Rounds in which each model comes once on each engine.
        seconds: How long it is run in a round, after one call that does not count; at least once.
        budget: After so many seconds, over all loads, slow models get fewer rounds, but
            `LEAST_ROUNDS`.
    """

    rounds: int
    seconds: float
    budget: float = math.inf


THOROUGH = Pace(rounds=9, seconds=0.1, budget=120.0)

LEAST_ROUNDS = 3
"""Fewer calls have no quartiles."""


Progress = Callable[[str, str], None]
"""Told the load, and what is done with it."""


def say_nothing(load: str, step: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one model took on one engine.

    Attributes:
        model: `given`, or `dense` for the denominators.
        engine: Name of the engine.
        batch: Rows of a call.
        seq_len: Pieces of a row; there is no padding.
        median_ms: Median over all calls.
        quartiles_ms: First and third quartile.
        calls: How many were timed.
        gain: Fastest dense median of this batch and length ÷ this median.
        difference: Largest difference of a logit from that of plain torch in fp32; `None` where one
            is not finite.
        agrees: Whether that is within what the engine's arithmetic allows.
    """

    model: str
    engine: str
    batch: int
    seq_len: int
    median_ms: float
    quartiles_ms: tuple[float, float]
    calls: int
    gain: float
    difference: float | None
    agrees: bool


def refuse(engine: Engine, reason: str) -> None:
    """Ends a measurement because of an engine that cannot run a model."""
    raise BenchError(f"the engine {engine.name} cannot run this model: {reason}.")


def measure(
    given: PreTrainedModel,
    dense: PreTrainedModel | None,
    engines: Sequence[Engine],
    loads: Sequence[Load],
    progress: Progress = say_nothing,
    *,
    denominators: Sequence[Engine] | None = None,
    failed: Callable[[Engine, str], None] = refuse,
    pace: Pace | None = None,
) -> list[Timing]:
    """Runs both models on all engines, in rounds in which each comes once.

    Args:
        given: The classifier, in fp32 and eval mode.
        dense: What it was made from; without it, its own shapes without zeros.
        engines: What to run `given` on.
        loads: Rows, pieces and threads.
        progress: Told the load and what is done with it.
        denominators: What to run `dense` on; the same engines where it is not said.
        failed: Told of an engine that cannot run a model, and why; it is left out, then.
        pace: How long is measured; `THOROUGH` where nothing is said.

    Raises:
        BenchError: A model takes fewer pieces than a load has, no engine runs the dense one, or
            the temporary folder has no room for their graphs.
    """
    models = {GIVEN: given, DENSE: without_zeros(given) if dense is None else dense}
    for load in loads:
        longest = min(max_text_positions(model.config) for model in models.values())
        if load.pieces > longest:
            raise BenchError(f"--sequence-length {load.pieces}: the model takes {longest} at most.")
    wanted = {GIVEN: engines, DENSE: engines if denominators is None else denominators}
    threads, measured = torch.get_num_threads(), {}
    pace = pace or THOROUGH
    end = time.perf_counter() + pace.budget
    by_size = sorted(loads, key=lambda load: load.rows * load.pieces)
    with scratch_folder() as folder, torch.inference_mode():
        subjects = {name: _subject(folder / name, model) for name, model in models.items()}
        try:
            for number, load in enumerate(by_size):  # what the small ones leave, the large ones get
                torch.set_num_threads(load.threads)
                told = partial(
                    progress, f"{load.rows} × {load.pieces} pieces, {load.threads} threads"
                )
                share = (end - time.perf_counter()) / (len(loads) - number)
                measured[load] = _measure(subjects, wanted, load, failed, pace, share, told)
        finally:
            torch.set_num_threads(threads)
    return [timing for load in loads for timing in measured[load]]


def _subject(folder: Path, model: PreTrainedModel) -> Subject:
    folder.mkdir()
    return Subject(model, folder)


def _measure(
    subjects: dict[str, Subject],
    engines: dict[str, Sequence[Engine]],
    load: Load,
    failed: Callable[[Engine, str], None],
    pace: Pace,
    seconds: float,
    progress: Callable[[str], None],
) -> list[Timing]:
    """One load: checks the answers, then times them in interleaved rounds, while there is time."""
    end = time.perf_counter() + seconds
    runs: dict[tuple[str, str], _Run] = {}
    differences, agrees = {}, {}
    for name, subject in subjects.items():
        inputs = inputs_of(subject.model, load.rows, load.pieces)
        wanted = logits_of(subject.model(**inputs))
        largest = float(wanted.abs().max())
        for engine in engines[name]:
            key = (name, engine.name)
            progress(f"the {name} model on {engine.name}")
            try:
                run = _Run(engine.make(subject, load), inputs)
                differences[key] = float((run.answer(inputs) - wanted).abs().max())
            except Exception as error:  # of whatever the engine is made of
                failed(engine, first_line(error))
                continue
            runs[key], agrees[key] = run, differences[key] <= engine.allowance(largest)
    if not any(name == DENSE and agrees[name, engine] for name, engine in runs):
        raise BenchError("no engine runs the dense model with the right answers.")
    for number in range(pace.rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        progress(f"round {number + 1} of {pace.rounds}")
        for run in runs.values():
            run.time(pace.seconds)
    medians = {key: statistics.median(run.milliseconds) for key, run in runs.items()}
    best = min(median for key, median in medians.items() if key[0] == DENSE and agrees[key])
    return [
        Timing(
            model=key[0],
            engine=key[1],
            batch=load.rows,
            seq_len=load.pieces,
            median_ms=medians[key],
            quartiles_ms=run.quartiles(),
            calls=len(run.milliseconds),
            gain=best / medians[key],
            difference=differences[key] if math.isfinite(differences[key]) else None,
            agrees=agrees[key],
        )
        for key, run in runs.items()
    ]


class _Run:
    """One model on one engine, with the times of its calls."""

    def __init__(self, answer: Answer, inputs: dict[str, Tensor]) -> None:
        self.answer, self.inputs = answer, inputs
        self.milliseconds: list[float] = []

    def time(self, seconds: float) -> None:
        """Times calls for a while; the first, which finds its threads asleep, does not count.

        Nothing of a call that takes longer than that while is a matter of waking up.
        """
        time.sleep(PAUSE_S)
        if not self.milliseconds or self.milliseconds[-1] < 1000 * seconds:
            self.answer(self.inputs)
        end = time.perf_counter() + seconds
        while True:
            begin = time.perf_counter()
            self.answer(self.inputs)
            now = time.perf_counter()
            self.milliseconds.append(1000 * (now - begin))
            if now >= end:
                return

    def quartiles(self) -> tuple[float, float]:
        """First and third quartile, in ms."""
        first, _, third = statistics.quantiles(self.milliseconds, n=4)
        return first, third


def without_zeros(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same shapes whose six matrices a layer have no zeros."""
    dense = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for matrix in prunable(dense).values():
            drawn = 0.02 * torch.randn(matrix.weight.shape, generator=generator)
            matrix.weight.copy_(torch.where(matrix.weight == 0, drawn, matrix.weight))
    return dense


def machine(threads: int) -> dict[str, Any]:
    """What a timing depends on beside the engines."""
    found = describe("cpu")
    return {
        "processor": found["processor"],
        "vector_extensions": found["vector_extensions"],
        "cores": found["cores"],
        "threads": threads,
    }
