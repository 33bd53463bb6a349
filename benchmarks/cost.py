"""What the published suites cost, by method, and what the largest effort would on BERT-base.

    python benchmarks/cost.py --data-dir GLUE_DIR --model MODEL_DIR > docs/cost.md

The first part adds up the records under `leaderboards/`, each piece of work once: a reference, a
study's trials and a general distillation are charged to every row that needs them, but are done
once. The second counts FLOPs the same way on the rows of `--data-dir`, tokenised as `--model` does.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate
from transformers import BertConfig

from bench import registry
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.errors import BenchError
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.protocol import EFFORTS
from bench.results.record import DENSE
from bench.results.suites import read_records

if TYPE_CHECKING:
    from bench.results.record import Record

LEADERBOARDS = Path("leaderboards")
TRIALS = ("tuning", "convergence")
SHARED = ("reference", *TRIALS, *(f"reference's {part}" for part in TRIALS),
          "general distillation")  # fmt: skip
"""Parts that are charged to several cells, but are done once."""

RATIO = 20
PASSES = {
    "dense": TRAINED_PASS,
    "magnitude": TRAINED_PASS,
    "random-mask": TRAINED_PASS,
    "gmp": TRAINED_PASS + 1,
    "platon": TRAINED_PASS,
    "movement": TRAINED_PASS + 1,
    "knowledge-aware": TRAINED_PASS + 1,
    "tinybert": TRAINED_PASS / RATIO + 1,
    "small-dense": TRAINED_PASS / RATIO,
}
"""What a bare `bench run` compares, and how many forward passes of the dense model one visit
of a row costs; a teacher adds one."""

GPUS = {"A100": 312e12, "H100": 989e12}
"""FLOP/s in dense bf16, by their data sheets."""

REACHED = 0.35
"""The share of them that is assumed to be reached."""


@dataclass
class Spent:
    """What the cells of a method took."""

    trainings: int = 0
    steps: int = 0
    hours: float = 0.0
    flops: float = 0.0


def spent(records: Iterable[Record]) -> dict[str, Spent]:
    """Adds up the records of a suite by method."""
    total: dict[str, Spent] = {}
    seen: set[tuple[str, ...]] = set()
    for record in records:
        parts, steps = record.cost.get("parts", {}), record.cost.get("steps", 0)
        if not steps:
            continue
        method, task, ratio = (str(record.cell[key]) for key in ("method", "task", "ratio"))
        row = total.setdefault(method, Spent())
        own = {part: flops for part, flops in parts.items() if part not in SHARED}
        if method == DENSE:
            own["reference"] = parts["reference"]
        row.trainings += 1
        row.steps += steps
        row.hours += record.cost["wall_s"] / 3600
        row.flops += sum(own.values())
        trials = [made for made in record.tuning.get("steps", []) if made]
        if (method, task, ratio) not in seen:
            row.trainings += len(trials)
            row.steps += sum(trials)
            row.hours += sum(trials) / steps * record.cost["wall_s"] / 3600
            row.flops += sum(parts.get(part, 0) for part in TRIALS)
        text = str(record.data.get("general_text", task))
        if "general distillation" in parts and (method, ratio, text) not in seen:
            row.trainings += 1
            row.flops += parts["general distillation"]
        seen |= {(method, task, ratio), (method, ratio, text)}
    return total


def table(total: dict[str, Spent]) -> str:
    """Markdown, the dearest first."""
    rows = [
        [method, row.trainings, f"{row.steps:,}", f"{row.hours:.1f}", f"{row.flops / 1e12:,.1f}"]
        for method, row in sorted(total.items(), key=lambda item: -item[1].flops)
    ]
    whole = list(total.values())
    rows.append(["**all**", sum(r.trainings for r in whole), f"{sum(r.steps for r in whole):,}",
                 f"{sum(r.hours for r in whole):.1f}",
                 f"{sum(r.flops for r in whole) / 1e12:,.1f}"])  # fmt: skip
    heads = ["method", "trainings", "optimizer steps", "hours of a worker", "TFLOP"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def projection(data_dir: Path, encoder: Path) -> tuple[str, list[str]]:
    """BERT-base at the largest effort, by task, and the tasks that the folder lacks."""
    effort = EFFORTS["paper"]
    of_a_method = effort["trials"] + effort["seeds"]
    trainings = of_a_method * len(PASSES)
    rows, lacking, whole = [], [], 0.0
    with tempfile.TemporaryDirectory() as cache:
        for name in registry.tasks.names():
            task = registry.task(name)
            if task.info.group != "glue":
                continue
            try:
                prepared = prepare(
                    task, Source(data_dir=data_dir), name=name, encoder=encoder, cap_at=None,
                    cache=Path(cache),
                )  # fmt: skip
            except BenchError:
                lacking.append(name)
                continue
            train = load(prepared).train
            base = count_dense(BertConfig(num_labels=task.num_labels))
            epoch = sum(PASSES.values()) * base.forward_flops(train.lengths)
            flops = epoch * effort["epochs"] * of_a_method
            whole += flops
            rows.append([name, f"{len(train):,}", f"{train.lengths.mean():.0f}", trainings,
                         f"{flops / 1e18:.2f}", *hours(flops)])  # fmt: skip
    rows.append(["**all**", "", "", f"{trainings * len(rows):,}", f"{whole / 1e18:.2f}",
                 *hours(whole)])  # fmt: skip
    heads = ["task", "training rows", "tokens a row", "trainings", "EFLOP",
             *(f"hours on one {gpu}" for gpu in GPUS)]  # fmt: skip
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True), lacking


def hours(flops: float) -> list[str]:
    """Hours on one of each GPU."""
    return [f"{flops / (peak * REACHED) / 3600:.1f}" for peak in GPUS.values()]


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description="Costs of the suites, and of the largest effort.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    given = parser.parse_args()
    print("# What the suites cost\n\n```\n" + __doc__.split("\n\n")[1].strip() + "\n```\n")
    print(
        "Training FLOPs, optimizer steps and hours of each suite, by method. The costliest method "
        "comes first.\n\n"
        "A **suite** is what one `bench run` command asks for (one encoder, one set of tasks, "
        "methods and\nratios), with one page. The **ratio** is dense size / compressed size.\n\n"
        "- FLOPs are counted at the real number of tokens. A trained pass counts as three forward "
        "passes.\n"
        "- Each piece of work counts once.\n"
        "- Hours are those of one worker with one thread. Other workers ran beside it.\n"
        "- Trials count at the pace of their final runs.\n"
        "- General distillation (training on unlabelled text) is in the FLOPs. It is not in steps "
        "and hours.\n"
        "- General distillation counts as one training for each method, ratio and text. Trials of "
        "other depths\n  made their own.\n\n"
        "## What the published suites took\n"
    )
    for path in sorted((LEADERBOARDS / "records").glob("*.jsonl")):
        total = spent(read_records(LEADERBOARDS, path.stem))
        if any(row.flops for row in total.values()):
            print(f"### {path.stem}\n\n{table(total)}\n")
    effort = EFFORTS["paper"]
    text, lacking = projection(given.data_dir, given.model)
    print(f"## What `--effort paper` would take on BERT-base\n\n{text}\n")
    print(
        f"- Counted: {effort['trials']} trials and {effort['seeds']} seeds of {effort['epochs']} "
        f"epochs each, at one ratio, {RATIO}×.\n"
        f"- {len(PASSES)} methods: {', '.join(PASSES)}.\n"
        f"- Not counted: general distillation, and {', '.join(lacking)}, whose rows were not at "
        "hand.\n"
        f"- Assumed: {REACHED:.0%} of what the data sheet gives for dense bf16, which is "
        + ", ".join(f"{peak / 1e12:.0f} TFLOP/s on an {gpu}" for gpu, peak in GPUS.items())
        + ".\n  Batches of such short rows may not reach this. Nothing was measured on one."
    )


if __name__ == "__main__":
    main()
