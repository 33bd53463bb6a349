"""What BERT-base at the largest effort costs on 1, 8 and 64 GPUs, from counted FLOPs.

    python benchmarks/paper_cost.py [--price PER_GPU_HOUR] [--reached 0.35]

All nine tasks of GLUE, with the number of training rows that GLUE gives, what a bare `bench run`
compares, and its three ratios. FLOPs are the counter's, at the mean number of tokens of a row; of
MNLI, QNLI and QQP that mean is assumed, of the others docs/cost.md measured it. A GPU's rate is
that of its data sheet for dense bf16, times the share that is assumed to be reached.

On n GPUs it takes a n-th of that, times 1.1, which is what `scale.py` is to stay below. It takes no
less than its longest chain of trainings, of which one waits for the other: both halves of the dense
model's trials, its final run, both halves of a method's trials, and that method's.
"""

from __future__ import annotations

import argparse

from cost import GPUS, PASSES, REACHED
from tabulate import tabulate
from transformers import BertConfig

from bench.models.footprint import count_dense
from bench.protocol import EFFORTS
from bench.results.record import DENSE
from bench.runs.defaults import DEFAULTS

TASKS = {
    "cola": (8_551, 12), "mrpc": (3_668, 55), "rte": (2_490, 69), "sst2": (67_349, 13),
    "stsb": (5_749, 29), "wnli": (635, 37), "mnli": (392_702, 39), "qnli": (104_743, 50),
    "qqp": (363_846, 30),
}  # fmt: skip
"""Training rows, and tokens of one on average."""

NUMBERS = (1, 8, 64)
OVER_IDEAL = 1.1
CHAIN = 3
"""Trainings of a model that wait for each other: two halves of its trials, and its final run."""


def epochs_of(task: str) -> float:
    """FLOPs of a training of the dense model's forward passes, one a row and epoch."""
    rows, tokens = TASKS[task]
    return float(rows * EPOCHS * BASE.forward_flops([tokens]))


EPOCHS = EFFORTS["paper"]["epochs"]
TRAININGS = EFFORTS["paper"]["trials"] + EFFORTS["paper"]["seeds"]
RATIOS = DEFAULTS[""].ratios
BASE = count_dense(BertConfig(num_labels=2))


def main() -> None:
    """Prints the tables of docs/scale.md."""
    parser = argparse.ArgumentParser(description="What the largest effort costs on BERT-base.")
    parser.add_argument("--price", type=float, help="of an hour of a GPU")
    parser.add_argument("--reached", type=float, default=REACHED)
    given = parser.parse_args()
    visits = PASSES[DENSE] + len(RATIOS) * sum(p for name, p in PASSES.items() if name != DENSE)
    trainings = TRAININGS * (1 + len(RATIOS) * (len(PASSES) - 1))
    flops = {task: TRAININGS * visits * epochs_of(task) for task in TASKS}
    whole = sum(flops.values())
    print(f"{len(PASSES)} methods, ratios {', '.join(f'{ratio:g}' for ratio in RATIOS)}, "
          f"{EFFORTS['paper']['trials']} trials and {EFFORTS['paper']['seeds']} seeds of {EPOCHS} "
          f"epochs: {len(TASKS) * trainings:,} trainings, {whole / 1e18:.1f} EFLOP.\n")  # fmt: skip
    print(tabulate([[task, f"{TASKS[task][0]:,}", TASKS[task][1], f"{work / 1e18:.2f}",
                     f"{work / whole:.0%}"] for task, work in flops.items()],
                   ["task", "training rows", "tokens a row", "EFLOP", "of all"],
                   tablefmt="github", disable_numparse=True) + "\n")  # fmt: skip
    longest = (
        max(epochs_of(task) for task in TASKS) * CHAIN * (PASSES[DENSE] + max(PASSES.values()))
    )
    rows = []
    for name, peak in GPUS.items():
        rate = peak * given.reached * 3600
        hours = [max(OVER_IDEAL * whole / rate / n if n > 1 else whole / rate, longest / rate)
                 for n in NUMBERS]  # fmt: skip
        row = [
            name,
            f"{whole / rate:,.0f}",
            *(f"{h / 24:,.1f}" for h in hours),
            f"{longest / rate:.1f}",
        ]
        rows.append(row + ([f"{given.price * whole / rate:,.0f}"] if given.price else []))
    heads = ["GPU", "GPU hours", *(f"days on {n}" for n in NUMBERS), "longest chain, hours"]
    print(tabulate(rows, heads + (["price"] if given.price else []), tablefmt="github",
                   disable_numparse=True))  # fmt: skip


if __name__ == "__main__":
    main()
