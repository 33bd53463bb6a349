"""How many epochs dense fine-tuning takes until more of them gain nothing.

    OMP_NUM_THREADS=1 python benchmarks/convergence.py --model MODEL_DIR --data-dir GLUE_DIR \
        --kept FILE [--tasks stsb,mrpc,cola] [--epochs 3,6,9,12] [--seeds 3]

The rate decays with the length of a training, so every number of epochs is a training of its own.
Each trains the dense model on fit rows at the encoder's default rate; the tune rows score it at ten
points. Trainings that FILE has are not made again: stop as you like. Printed at the start and after
every seed: the tune score by epochs, what longer trainings gain (paired by seed, with a 95 %
interval by Student's t), and the smallest number of epochs at which dense is flat.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from bench import registry
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.prepare import TaskData, load, prepare
from bench.data.task import Source, Task
from bench.machine import describe, multiplies_in_bf16
from bench.models.checkpoint import load_model
from bench.protocol import Protocol
from bench.runs.encoder import default_learning_rate
from bench.training import loop
from bench.training.batches import steps_per_epoch
from bench.training.curve import Curve
from bench.training.seeds import isolated_rng

CAP = 8000
"""Training rows of a task at most, as in the published suites."""

FLAT = 1.0
"""Points that a longer training may gain, in the mean over seeds, where dense counts as flat."""

Trained = dict[tuple[str, int], dict[int, dict[str, Any]]]
"""Curves by task and epochs, then by seed."""


def train(task: Task, data: TaskData, model: Path, protocol: Protocol, seed: int) -> dict[str, Any]:
    """Fine-tunes the dense model on fit rows; returns its curve on tune rows."""
    total = protocol.epochs * steps_per_epoch(len(data.fit), protocol.batch_size)
    curve = Curve(total, task, data.tune)
    with isolated_rng(seed):
        student = load_model(model, task.info.labels, protocol.dropout, fresh_head=True)
        params = TrainParams(learning_rate=default_learning_rate(model))
        loop.train(student, data.fit, loss=task_loss, params=params, protocol=protocol,
                   device="cpu", seed=(seed, 0), callbacks=[curve])  # fmt: skip
    return curve.described()


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval over seeds."""
    if len(values) < 2:
        return values[0], float("nan")
    error = statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values), float(stats.t.ppf(0.975, len(values) - 1)) * error


def shown(mean: float, half: float, sign: str = "") -> str:
    """A figure and its interval, which one seed has not."""
    return f"{mean:{sign}.1f}{'' if math.isnan(half) else f' ± {half:.1f}'}"


def gains(trained: Trained, task: str, epochs: int) -> Iterator[tuple[int, float, float]]:
    """What each longer training gains over one of so many epochs: epochs, mean, half width."""
    short = trained[task, epochs]
    for name, longer in trained:
        if name == task and longer > epochs:
            seeds = sorted(short.keys() & trained[task, longer].keys())
            if seeds:
                yield (
                    longer,
                    *interval(
                        [
                            trained[task, longer][s]["score"][-1] - short[s]["score"][-1]
                            for s in seeds
                        ]
                    ),
                )


def show(trained: Trained) -> None:
    """Prints what is there of every task."""
    flat: dict[str, int | None] = {}
    print("\n| task | epochs | seeds | tune score | last fifth gains | training loss | "
          "longest gain of a longer training |\n|" + " --- |" * 7)  # fmt: skip
    for task, epochs in sorted(trained):
        curves = trained[task, epochs].values()
        mean, half = interval([curve["score"][-1] for curve in curves])
        late, late_half = interval([curve["score"][-1] - curve["score"][-3] for curve in curves])
        loss = statistics.fmean(curve["loss"][-1] for curve in curves)
        best = max(gains(trained, task, epochs), key=lambda gain: gain[1], default=None)
        longest = "–" if best is None else f"{shown(*best[1:], '+')} at {best[0]} epochs"
        print(f"| {task} | {epochs} | {len(curves)} | {shown(mean, half)} | "
              f"{shown(late, late_half, '+')} | {loss:.3f} | {longest} |")  # fmt: skip
        if flat.get(task) is None:
            flat[task] = epochs if best is None or best[1] <= FLAT else None
    for task, epochs in flat.items():
        longest_tried = max(length for name, length in trained if name == task)
        if epochs == longest_tried:
            print(f"\n{task}: not flat before {epochs} epochs, the most that were tried.")
        else:
            print(f"\n{task}: flat from {epochs} epochs on.")


def main() -> None:
    """Trains what is left to train and prints the tables."""
    parser = argparse.ArgumentParser(description="Dense fine-tuning by number of epochs.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--tasks", default="stsb,mrpc,cola")
    parser.add_argument("--epochs", default="3,6,9,12")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lengths = [int(text) for text in given.epochs.split(",")]
    precision = "bf16" if multiplies_in_bf16("cpu") else "fp32"
    rate = default_learning_rate(given.model)
    print(f"{given.model.name}, rate {rate:g}, {precision}, {describe('cpu')['processor']}")
    lines = given.kept.read_text().splitlines() if given.kept.exists() else []
    trained: Trained = {}
    for one in map(json.loads, lines):
        if one["model"] == given.model.name:
            trained.setdefault((one["task"], one["epochs"]), {})[one["seed"]] = one["curve"]
    if trained:
        show(trained)
    with tempfile.TemporaryDirectory() as folder:
        rows = {}
        for name in given.tasks.split(","):
            task, source = registry.task(name), Source(data_dir=given.data_dir)
            rows[name] = load(
                prepare(
                    task, source, name=name, encoder=given.model, cap_at=CAP, cache=Path(folder)
                )
            )
            print(f"{name}: {len(rows[name].fit)} fit rows, {len(rows[name].tune)} tune rows")
        for seed in range(given.seeds):
            for epochs, name in itertools.product(lengths, rows):
                known = trained.setdefault((name, epochs), {})
                if seed in known:
                    continue
                protocol = Protocol(epochs=epochs, trials=0, precision=precision)
                task = registry.task(name)
                known[seed] = train(task, rows[name], given.model, protocol, seed)
                made = {"model": given.model.name, "task": name, "epochs": epochs, "seed": seed}
                with given.kept.open("a") as file:
                    file.write(json.dumps({**made, "curve": known[seed]}) + "\n")
            show(trained)


if __name__ == "__main__":
    main()
