"""What an optimizer step of each method costs beside a step of dense fine-tuning.

    python benchmarks/step_cost.py --model MODEL_DIR --data-dir GLUE_DIR [--task mrpc]
    python benchmarks/step_cost.py --model MODEL_DIR --data-dir GLUE_DIR --perturbations
    python benchmarks/step_cost.py --model BERT_BASE --data-dir GLUE_DIR --rounds 1

The second command times dense fine-tuning under each perturbation instead of the methods, the third
a large encoder in a few steps. Each round trains every row, and the dense model, on the same
batches of a real task for a few steps, one after the other; the table has the medians over the
rounds and the most memory that the process held, with the machine's measured rate of fp32 matrix
products beside them.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from training import product_rate

import bench
from bench import registry
from bench.compression.callbacks import Callback, Training
from bench.compression.target import Target
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.machine import peak_memory_mb, reset_peak_memory
from bench.models.folder import weight_hash
from bench.protocol import Protocol
from bench.runs.cells.cell import Variant
from bench.runs.cells.cell_run import CellRun
from bench.runs.cells.context import Context
from bench.runs.cells.parameters import resolve_params
from bench.runs.encoder import default_learning_rate

LIMITS = {"magnitude": 1.15, "platon": 1.25, "gmp": 1.5,
          "movement": 1.5, "soft-movement": 1.5, "cap": 1.7, "prune-ofa": 1.5,
          "knowledge-aware": 1.6, "knowledge-aware, answers kept": 1.3,
          "tinybert": 2.2, "minilm": 1.0,
          "block-movement": 1.6, "cofi": 2.0}  # fmt: skip
"""What a step may cost at most, in steps of dense fine-tuning; for small dense models in their last
phase. The teacher runs along but where its answers are kept (`--teacher-cache-gb`)."""

PERTURBATIONS = {
    "dense:perturb=word-dropout=0.1": 1.05,
    "dense:perturb=replace-uniform=0.1": 1.05,
    "dense:perturb=replace-similar=0.1": 1.15,
    "dense:perturb=adversarial=1": 2.1,
}
"""The same for dense fine-tuning under perturbations; the last makes each pass twice."""

WHOLE = ("block-movement", "cofi")
"""Those that are timed in their first phase: what they train in the last one is a smaller model."""


class Stopwatch(Callback):
    """Times the steps of a training, the first ones left out."""

    def __init__(self) -> None:
        self.phases: list[list[float]] = []

    def start(self, training: Training) -> None:
        """Begins a phase."""
        self.phases.append([])
        self._last = time.perf_counter()

    def after_step(self, training: Training) -> None:
        """Notes how long the step took."""
        now = time.perf_counter()
        self.phases[-1].append(now - self._last)
        self._last = now

    def seconds(self, phase: int) -> float:
        """Mean time of a step of a phase, without its first two."""
        return statistics.fmean(self.phases[phase][2:])


class TimedRun(CellRun):
    """A run whose trainings are timed; general distillation is left out."""

    def train(self, model: Any, *, callbacks: Sequence[Callback] = (), **options: Any) -> None:
        """Trains with a stopwatch behind the method's own callbacks."""
        super().train(model, callbacks=[*callbacks, self.watch], **options)

    watch: Stopwatch


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Cost of a step of each method.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--task", default="mrpc")
    parser.add_argument("--rows", type=int, default=384, help="training rows of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--perturbations", action="store_true", help="time these, not methods")
    given = parser.parse_args()
    limits = PERTURBATIONS if given.perturbations else LIMITS
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        task = registry.task(given.task)
        prepared = prepare(task, Source(data_dir=given.data_dir), name=given.task,
                           encoder=given.model, cap_at=given.rows, cache=Path(folder))  # fmt: skip
        protocol = Protocol(epochs=1, trials=0, precision="fp32",
                            learning_rate=default_learning_rate(given.model))  # fmt: skip
        context = Context(runs=Path(folder), protocol=protocol, encoder=given.model,
                          weights=weight_hash(given.model), tasks={task.name: prepared},
                          device="cpu", threads=1)  # fmt: skip
        data, quiet = load(prepared), lambda *_: None
        dense_params = resolve_params(registry.methods.get("dense"), {}, protocol)
        times: dict[str, list[float]] = {}
        memory: dict[str, float] = {}
        for _ in range(given.rounds):
            for row in ("dense", *limits):
                said, _, kept = row.partition(",")
                name, options = (variant := Variant.parse(said)).method, variant.options
                lent = dataclasses.replace(context, teacher_cache_gb=4.0 if kept else 0.0)
                lent = lent.under(options)
                run = TimedRun(
                    lent, name, task, Target("weights", 20), 0, data, dense_params, quiet, quiet
                )
                run.watch = Stopwatch()
                method = registry.methods.get(name)
                params = resolve_params(method, {}, protocol)
                reset_peak_memory("cpu")
                if name == "dense":
                    run.train(run.pretrained(), loss=bench.task_loss, params=params)
                else:
                    if general := method.Params.knobs().get("general_epochs"):
                        params = dataclasses.replace(params, general_epochs=general.low)
                    method().compress(run, params)
                times.setdefault(row, []).append(run.watch.seconds(0 if name in WHOLE else -1))
                memory[row] = max(memory.get(row, 0.0), peak_memory_mb("cpu"))
        dense = statistics.median(times["dense"])
        rate = product_rate(384, "fp32")
        print(f"{given.model.name}, {given.task}, batch 32, fp32, one thread; "
              f"products of width 384: {rate:.0f} GFLOP/s")  # fmt: skip
        print(f"{'dense':<34} {1000 * dense:7.1f} ms a step, {memory['dense']:6.0f} MB")
        for row, limit in limits.items():
            median = statistics.median(times[row])
            ratio = statistics.median(
                a / b for a, b in zip(times[row], times["dense"], strict=True)
            )
            print(f"{row:<34} {1000 * median:7.1f} ms a step, {memory[row]:6.0f} MB, "
                  f"{ratio:5.2f}× dense (wanted: at most {limit}×)")  # fmt: skip


if __name__ == "__main__":
    main()
