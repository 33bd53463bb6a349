"""From how many optimizer steps on a method chooses better than chance (`MethodInfo.works_from`).

    OMP_NUM_THREADS=1 python benchmarks/works_from.py --model MODEL_DIR --data-dir GLUE_DIR \
        --runs DIR --methods movement,movement:first_phase=0.3 [--task stsb] [--ratio 20] \
        [--rate 3.7e-4] [--epochs 3,6,12] [--seeds 0,1]

Every method is trained on fit rows for each number of epochs, and scored on the tune rows, beside
the random mask; what is not pinned has its default. A method *works* at a number of steps where, in
every seed tried, the 95 % interval over rows of its lead on the random mask of the same seed and
steps lies above zero. Trainings that DIR has are not made again: stop as you like.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from bench import registry
from bench.compression.target import Target
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.leaderboard.ranking import RANDOM_MASK
from bench.machine import describe, resolve_precision
from bench.models.folder import weight_hash
from bench.protocol import Protocol
from bench.runs.cells.cell import Variant
from bench.runs.cells.cell_run import CellRun
from bench.runs.cells.context import Context
from bench.runs.cells.floor import tune_floor
from bench.runs.cells.parameters import resolve_params
from bench.runs.encoder import default_learning_rate
from bench.training.scoring import difference
from bench.training.seeds import seed_everything

CAP = 8000
"""Training rows of a task at most, as in the published suites."""


def train(context: Context, task: str, name: str, ratio: float, seed: int) -> dict[str, Any]:
    """What a variant answers to the tune rows after a training on fit rows."""
    variant, data = Variant.parse(name), load(context.tasks[task]).for_trials()
    method = registry.methods.get(variant.method)
    run = CellRun(
        context=context,
        method=f"{name} {method.info.version}",
        task=registry.task(task),
        target=Target("weights", ratio),
        seed=seed,
        data=data,
        reference_params=resolve_params(registry.methods.get("dense"), {}, context.protocol),
        log=lambda line: None,
        progress=lambda step, total: None,
        trial=True,
    )
    seed_everything(seed)
    method().compress(run, resolve_params(method, dict(variant.pins), context.protocol))
    curve = run.curve
    return {"steps": run.steps, "score": curve.score[-1], "answers": curve.answers[-1].tolist()}


def show(made: dict[tuple[str, int, int], dict[str, Any]], context: Context, task: str) -> None:
    """Prints every score, and from where on each method works."""
    rows, metric = load(context.tasks[task]).tune, registry.task(task).info.metric
    print(f"\ntext floor: {tune_floor(task, context):.1f}\n")
    print("| method | epochs | steps | tune score, by seed | lead on the random mask, by seed |\n|"
          + " --- |" * 5)  # fmt: skip
    for name, epochs in sorted({key[:2] for key in made}):
        found = {seed: one for (*key, seed), one in made.items() if key == [name, epochs]}
        leads = [
            difference(metric, one["answers"], other["answers"], rows.labels, rows.parts)
            for seed, one in sorted(found.items())
            if (other := made.get((RANDOM_MASK, epochs, seed))) and name != RANDOM_MASK
        ]
        scores = ", ".join(f"{one['score']:.1f}" for _, one in sorted(found.items()))
        lead = ", ".join(f"{one.value:+.1f} ± {one.half_width:.1f}" for one in leads)
        works = bool(leads) and min(one.value - one.half_width for one in leads) > 0
        steps = next(iter(found.values()))["steps"]
        print(f"| {name} | {epochs} | {steps} | {scores} | {lead}{' works' * works} |", flush=True)


def main() -> None:
    """Trains what is left to train and prints the table."""
    parser = argparse.ArgumentParser(description="From how many steps on a method works.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder of what was made")
    parser.add_argument("--methods", required=True)
    parser.add_argument("--task", default="stsb")
    parser.add_argument("--ratio", type=float, default=20)
    parser.add_argument("--epochs", default="3,6,12")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--rate", type=float, help="peak rate of all that pin none; by width")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.runs.mkdir(parents=True, exist_ok=True)
    prepared = prepare(registry.task(given.task), Source(data_dir=given.data_dir), name=given.task,
                       encoder=given.model, cap_at=CAP, cache=given.runs / "data")  # fmt: skip
    rate = given.rate or default_learning_rate(given.model)
    protocol = Protocol(epochs=1, trials=0, precision=resolve_precision("auto", "cpu"),
                        learning_rate=rate)  # fmt: skip
    context = Context(runs=given.runs, protocol=protocol, encoder=given.model,
                      weights=weight_hash(given.model), tasks={given.task: prepared},
                      device="cpu", threads=1, teacher_cache_gb=4.0)  # fmt: skip
    print(f"{given.model.name}, {given.task}, {given.ratio:g}x on weights, rate {rate:g}, "
          f"{protocol.precision}, {describe('cpu')['processor']}")  # fmt: skip
    kept = given.runs / f"{given.task}-{given.ratio:g}-{rate:g}.jsonl"
    made = {}
    for line in kept.read_text().splitlines() if kept.exists() else []:
        name, epochs, seed, one = json.loads(line)
        made[name, epochs, seed] = one
    for epochs in map(int, given.epochs.split(",")):
        lent = dataclasses.replace(context, protocol=dataclasses.replace(protocol, epochs=epochs))
        for seed in map(int, given.seeds.split(",")):
            for name in (RANDOM_MASK, *given.methods.split(",")):
                if (name, epochs, seed) not in made:
                    one = train(lent, given.task, name, given.ratio, seed)
                    made[name, epochs, seed] = one
                    with kept.open("a") as file:
                        file.write(json.dumps([name, epochs, seed, one]) + "\n")
    show(made, context, given.task)


if __name__ == "__main__":
    main()
