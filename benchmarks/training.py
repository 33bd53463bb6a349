"""Dense fine-tuning by the harness's loop against transformers' `Trainer`.

    python benchmarks/training.py --model MODEL_DIR --data-dir GLUE_DIR [--threads N] [--tasks mrpc]

Three trainings of the same model on the same rows, batch 32, one after the other in every round:
ours; `Trainer` as its text-classification example sets it up (every row padded to 128 pieces,
fp32); and `Trainer` at its best (padding to the longest row of a batch, rows grouped by length, and
our precision). Printed: rows a second, ratios of medians over the rounds, the score of each on the
report split, and the loop's model FLOP/s beside the rate of plain products of that width. Precision
is bf16 where the hardware multiplies in it, and fp32 is measured anyway.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from bench import registry
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.prepare import TaskData, load, prepare
from bench.data.task import Source, Task
from bench.machine import describe, multiplies_in_bf16, usable_cores
from bench.models.checkpoint import load_model
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.protocol import Precision, Protocol
from bench.runs.encoder import default_learning_rate
from bench.training import loop, scoring
from bench.training.evaluate import predict

if TYPE_CHECKING:
    from bench.data.encoded import Encoded

ROUNDS = 5
PADDED_TO = 128
ROWS = {"mrpc": 512, "sst2": 1024}
"""Training rows by task: some tens of seconds a round."""

WANTED = {
    ("sst2", "fp32"): (4.0, 1.0, None),
    ("mrpc", "fp32"): (2.0, 1.0, 0.75),
    ("sst2", "bf16"): (4.0, 1.3, None),
    ("mrpc", "bf16"): (4.0, 1.3, 0.45),
}
"""Wanted: times as fast as the example, and as the best; share of the rate of plain products."""

Training = Callable[[PreTrainedModel, int], None]


def trainer(
    rows: list[dict[str, Any]], folder: Path, rate: float, collator: Any, **options: Any
) -> Training:
    """A training by transformers' `Trainer`, one epoch over rows unless the options say more."""

    def train(model: PreTrainedModel, seed: int) -> None:
        arguments = TrainingArguments(
            output_dir=str(folder),
            learning_rate=rate,
            warmup_steps=0.1,
            weight_decay=0.01,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **{
                "num_train_epochs": 1,
                "per_device_train_batch_size": 32,
                "use_cpu": True,
                **options,
            },
        )
        running = Trainer(model, arguments, data_collator=collator, train_dataset=rows)
        running.remove_callback(PrinterCallback)
        running.train()

    return train


def ours(data: Encoded, rate: float, precision: Precision) -> Training:
    """A training by the harness's loop, one epoch over rows."""
    protocol = Protocol(epochs=1, trials=0, precision=precision)

    def train(model: PreTrainedModel, seed: int) -> None:
        loop.train(model, data, loss=task_loss, params=TrainParams(learning_rate=rate),
            protocol=protocol, device="cpu", seed=(seed,))  # fmt: skip

    return train


def as_rows(data: Encoded, pad_to: int | None, padding: int) -> list[dict[str, Any]]:
    """Tokenised rows as `Trainer` takes them, perhaps padded."""
    rows = []
    for row, label in enumerate(data.labels.tolist()):
        begin, end = data.offsets[row : row + 2]
        more = max(0, (pad_to or 0) - int(end - begin))
        rows.append(
            {
                "input_ids": data.pieces[begin:end].tolist() + [padding] * more,
                "token_type_ids": data.segments[begin:end].tolist() + [0] * more,
                "attention_mask": [1] * int(end - begin) + [0] * more,
                "label": label,
            }
        )
    return rows


def product_rate(width: int, precision: Precision) -> float:
    """Measured rate of products of activations and weights of this width, in GFLOP/s."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    activations, weights = torch.randn(2048, width).to(kind), torch.randn(width, width).to(kind)
    activations @ weights
    begin = time.perf_counter()
    for _ in range(50):
        activations @ weights
    return 50 * 2 * 2048 * width**2 / (time.perf_counter() - begin) / 1e9


def compare(task: Task, data: TaskData, model: Path, precision: Precision, scratch: Path) -> None:
    """Trains in all three ways, round by round, and prints what came of it."""
    name, train = task.name, data.train
    rate = default_learning_rate(model)
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    padding = int(tokenizer.pad_token_id)
    ways: dict[str, Training] = {
        "ours": ours(train, rate, precision),
        "Trainer, example": trainer(
            as_rows(train, PADDED_TO, padding), scratch, rate, default_data_collator
        ),
        "Trainer, best": trainer(
            as_rows(train, None, padding),
            scratch,
            rate,
            DataCollatorWithPadding(tokenizer),
            train_sampling_strategy="group_by_length",
            bf16=precision == "bf16",
        ),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    scores: dict[str, list[float]] = {way: [] for way in ways}
    shares: list[float] = []
    counts = count_dense(load_model(model, task.info.labels, 0.1, fresh_head=True))
    work = TRAINED_PASS * counts.forward_flops(train.lengths)
    for number in range(ROUNDS + 1):  # the first round warms up
        for way, training in ways.items():
            torch.manual_seed(number)
            student = load_model(model, task.info.labels, 0.1, fresh_head=True)
            products = product_rate(student.config.hidden_size, precision)
            begin = time.perf_counter()
            training(student, number)
            took = time.perf_counter() - begin
            if not number:
                continue
            seconds[way].append(took)
            predicted = predict(student, data.report, "cpu").argmax(axis=1)
            report = data.report
            scores[way].append(
                scoring.score(task.info.metric, predicted, report.labels, report.parts).main
            )
            if way == "ours":
                shares.append(work / took / 1e9 / products)
    print(f"\n{name}, {len(train)} rows of {train.lengths.mean():.0f} pieces, {precision}")
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    for way, median in medians.items():
        mean, deviation = statistics.fmean(scores[way]), statistics.stdev(scores[way])
        print(f"  {way:<17} {len(train) / median:7.0f} rows a second, "
              f"score {mean:.1f} ± {deviation:.1f}")  # fmt: skip
    example, best, share = WANTED[name, precision]
    print(f"  over the example {medians['Trainer, example'] / medians['ours']:.2f}× "
          f"(wanted: {example}×), over the best {medians['Trainer, best'] / medians['ours']:.2f}× "
          f"(wanted: {best}×)")  # fmt: skip
    wanted = f" (wanted: {share:.0%})" if share else ""
    print(f"  the loop's model FLOP/s: {statistics.median(shares):.0%} of plain products{wanted}")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="The training loop against transformers' Trainer.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--tasks", default=",".join(ROWS))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    real = multiplies_in_bf16("cpu")
    machine = describe("cpu")
    extensions = ", ".join(machine["vector_extensions"])
    rates = {kind: product_rate(384, kind) for kind in ("fp32", "bf16")}
    print(f"{given.model.name}, batch 32, {given.threads} threads, medians of {ROUNDS} rounds")
    print(f"{machine['processor']} ({extensions}), bf16 {'real' if real else 'emulated'}")
    print(f"2048 × 384 × 384: fp32 {rates['fp32']:.0f}, bf16 {rates['bf16']:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.tasks.split(","):
            task = registry.task(name)
            source, cache = Source(data_dir=given.data_dir), Path(folder)
            prepared = prepare(
                task, source, name=name, encoder=given.model, cap_at=ROWS[name], cache=cache
            )
            for precision in ("fp32", "bf16") if real else ("fp32",):
                compare(task, load(prepared), given.model, precision, Path(folder) / "trainer")


if __name__ == "__main__":
    main()
