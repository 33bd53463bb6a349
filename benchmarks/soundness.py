"""Whether the harness's dense models are sound: against an ordinary fine-tuning by `Trainer`.

    python benchmarks/soundness.py --model MODEL_DIR --data-dir GLUE_DIR --tasks stsb,mrpc

Same encoder, rows, epochs, batch size and learning rate, several seeds each; `Trainer` has the
library's own model, attention and dropout, and pads each batch to its longest row. Printed: mean
and deviation of both, and the p of Welch's t-test. Wanted: ours no worse within noise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from scipy import stats
from training import as_rows, trainer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

from bench import registry
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.prepare import TaskData, load, prepare
from bench.data.task import Source, Task
from bench.machine import usable_cores
from bench.models.checkpoint import load_model
from bench.protocol import Protocol
from bench.runs.encoder import default_learning_rate
from bench.training import scoring
from bench.training.evaluate import predict
from bench.training.loop import train


def score(model: torch.nn.Module, task: Task, data: TaskData) -> float:
    """The task's main figure on the report split."""
    logits = predict(model, data.report, "cpu")
    predicted = logits[:, 0] if task.num_labels == 1 else logits.argmax(axis=1)
    return scoring.score(
        task.info.metric, predicted, data.report.labels, data.report.parts
    ).main  # fmt: skip


def compare(task: Task, data: TaskData, encoder: Path, epochs: int, seeds: int) -> None:
    """Fine-tunes in both ways with each seed, and prints what came of it."""
    rate = default_learning_rate(encoder)
    tokenizer = AutoTokenizer.from_pretrained(
        encoder, local_files_only=True, trust_remote_code=False
    )
    protocol = Protocol(epochs=epochs, trials=0, precision="fp32")
    found: dict[str, list[float]] = {"ours": [], "Trainer": []}
    with tempfile.TemporaryDirectory() as scratch:
        ordinary = trainer(
            as_rows(data.train, None, int(tokenizer.pad_token_id)),
            Path(scratch),
            rate,
            DataCollatorWithPadding(tokenizer),
            num_train_epochs=epochs,
        )
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = load_model(encoder, task.info.labels, protocol.dropout, fresh_head=True)
            train(model, data.train, loss=task_loss, params=TrainParams(learning_rate=rate),
                protocol=protocol, device="cpu", seed=(seed,))  # fmt: skip
            found["ours"].append(score(model, task, data))
            torch.manual_seed(seed)
            library = AutoModelForSequenceClassification.from_pretrained(
                encoder,
                num_labels=task.num_labels,
                local_files_only=True,
                trust_remote_code=False,
            )
            ordinary(library, seed)
            found["Trainer"].append(score(library, task, data))
    p = float(stats.ttest_ind(found["ours"], found["Trainer"], equal_var=False).pvalue)
    ours, theirs = (
        f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}"
        for values in found.values()
    )
    print(f"{task.name:<6} {len(data.train)} rows, {epochs} epochs, {seeds} seeds: ours {ours}, "
          f"Trainer {theirs}, p = {p:.2f}", flush=True)  # fmt: skip


def main() -> None:
    """Prints a line a task."""
    parser = argparse.ArgumentParser(description="Dense rows against transformers' Trainer.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", default="stsb,mrpc")
    parser.add_argument("--max-train-samples", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(usable_cores())
    print(f"{given.model.name}, fp32, batch 32")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.tasks.split(","):
            task, source = registry.task(name), Source(data_dir=given.data_dir)
            prepared = prepare(
                task, source, name=name, encoder=given.model, cap_at=given.max_train_samples,
                cache=Path(folder),
            )  # fmt: skip
            compare(task, load(prepared), given.model, given.epochs, given.seeds)


if __name__ == "__main__":
    main()
