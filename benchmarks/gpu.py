"""Rows a second on a GPU: one worker, several that share it, and transformers' `Trainer`.

    python benchmarks/gpu.py [--workers 1,4] [--shapes 6x384,bert-base] [--rounds 3]
    python benchmarks/gpu.py --device cpu --shapes tiny --rows 256 --full-rows 64

Encoders have random weights, and rows random pieces, of lengths as those of MRPC: 20 to 90. Each
round trains, one after the other, with one worker, with as many as `--workers` says, each with its
part of the GPU's memory, and with `Trainer` at its best: padding to the longest row of a batch,
rows grouped by length, the same precision and a fused AdamW. Batch 32, which is the protocol's.

Then rows of 128 pieces in batches of 256, and the loop's model FLOP/s beside the measured rate of
plain products in that precision. Workers are processes of their own, as in `bench run
--workers-per-gpu`; the time is that from when all are ready to when the last has ended.

Wanted: 1.3 times as fast as `Trainer`, and for BERT-base 40 % of the rate of plain products. On a
processor the figures mean nothing: that is to see that the script works.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training import as_rows, trainer
from transformers import BertConfig, BertForSequenceClassification

from bench import machine
from bench.compression.losses import task_loss
from bench.compression.params import TrainParams
from bench.data.encoded import Encoded
from bench.models.checkpoint import load_model
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.protocol import Precision, Protocol
from bench.training import loop

SHAPES = {"tiny": (2, 32, 2), "6x384": (6, 384, 12), "bert-base": (12, 768, 12)}
"""Layers, width and heads."""

PIECES, LABELS, RATE = 30_522, ("no", "yes"), 1e-4
SHORTEST, LONGEST, FULL, FULL_BATCH = 20, 90, 128, 256

PATIENCE_S = 3600.0
"""How long a worker is waited for, which may have died."""

WANTED_OVER_TRAINER, WANTED_SHARE = 1.3, 0.4


def encoder(shape: str, folder: Path) -> Path:
    """An encoder with random weights."""
    layers, width, heads = SHAPES[shape]
    config = BertConfig(
        vocab_size=PIECES,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
    )
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder / shape)
    return folder / shape


def rows_of(count: int, shortest: int, longest: int) -> Encoded:
    """Rows of random pieces and labels."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(shortest, longest + 1, count)
    pieces = rng.integers(1000, PIECES, int(lengths.sum())).astype(np.int32)
    return Encoded(
        ids=[str(row) for row in range(count)],
        pieces=pieces,
        segments=np.zeros(len(pieces), np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=rng.integers(0, len(LABELS), count),
    )


def wait_for(device: str) -> None:
    """Waits for what the GPU is at."""
    if device == "cuda":
        torch.cuda.synchronize()


def work(
    ready: Barrier,
    of: int,
    folder: Path,
    data: Encoded,
    device: str,
    precision: Precision,
    batch: int,
) -> None:
    """A worker: an epoch warms it up, and another is timed by who waits for it."""
    protocol = Protocol(epochs=1, trials=0, precision=precision, batch_size=batch)
    with machine.limited_threads(1):
        if device == "cuda":
            machine.bound_gpu_memory(of)
        for epoch in range(2):
            model = load_model(folder, LABELS, 0.1, fresh_head=True)
            if epoch:
                ready.wait(PATIENCE_S)
            loop.train(model, data, loss=task_loss, params=TrainParams(learning_rate=RATE),
                       protocol=protocol, device=device, seed=(0,))  # fmt: skip
            wait_for(device)
        ready.wait(PATIENCE_S)


def rate_of(workers: int, folder: Path, data: Encoded, device: str, *how: Any) -> float:
    """Rows a second of some workers together."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers + 1)
    args = (ready, workers, folder, data, device, *how)
    running = [context.Process(target=work, args=args) for _ in range(workers)]
    for process in running:
        process.start()
    ready.wait(PATIENCE_S)
    begin = time.perf_counter()
    ready.wait(PATIENCE_S)
    took = time.perf_counter() - begin
    for process in running:
        process.join()
    return workers * len(data) / took


def padded(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch, padded to its longest row."""
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {
        name: torch.tensor([row[name] + [0] * (longest - len(row[name])) for row in rows])
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    return {**batch, "labels": torch.tensor([row["label"] for row in rows])}


def rate_of_trainer(
    folder: Path, data: Encoded, device: str, precision: Precision, scratch: Path
) -> float:
    """Rows a second of transformers' `Trainer`; the first epoch warms up."""
    train = trainer(
        as_rows(data, None, 0),
        scratch,
        RATE,
        padded,
        train_sampling_strategy="group_by_length",
        bf16=precision == "bf16",
        optim="adamw_torch_fused",
        use_cpu=device == "cpu",
    )
    took = 0.0
    for _ in range(2):
        model = load_model(folder, LABELS, 0.1, fresh_head=True)
        begin = time.perf_counter()
        train(model, 0)
        wait_for(device)
        took = time.perf_counter() - begin
    return len(data) / took


def product_rate(device: str, precision: Precision) -> float:
    """Measured rate of plain products, in FLOP/s."""
    size, times = (8192, 20) if device == "cuda" else (1024, 5)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    left @ right
    wait_for(device)
    begin = time.perf_counter()
    for _ in range(times):
        left @ right
    wait_for(device)
    return float(times * 2 * size**3 / (time.perf_counter() - begin))


def measure(shape: str, given: argparse.Namespace, scratch: Path) -> None:
    """Prints the figures of an encoder."""
    device, folder = given.device, encoder(shape, scratch)
    precision = machine.resolve_precision("auto", device)
    data, full = rows_of(given.rows, SHORTEST, LONGEST), rows_of(given.full_rows, FULL, FULL)
    sizes = [int(size) for size in given.workers.split(",")]
    rates: dict[str, list[float]] = {}
    shares: list[float] = []
    counts = count_dense(load_model(folder, LABELS, 0.1, fresh_head=True))
    per_row = TRAINED_PASS * counts.forward_flops([FULL])
    for _ in range(given.rounds):
        for size in sizes:
            rate = rate_of(size, folder, data, device, precision, 32)
            rates.setdefault(f"{size} worker{'s' * (size > 1)}", []).append(rate)
        rate = rate_of_trainer(folder, data, device, precision, scratch / "trainer")
        rates.setdefault("Trainer, best", []).append(rate)
        products = product_rate(device, precision)
        rate = rate_of(1, folder, full, device, precision, FULL_BATCH)
        shares.append(rate * per_row / products)
    print(f"\n{shape}, {precision}, {len(data)} rows of {data.lengths.mean():.0f} pieces, batch 32")
    best = statistics.median(rates["Trainer, best"])
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"  {name:<14} {median:8.0f} rows a second, {median / best:.2f}× Trainer "
              f"(wanted: {WANTED_OVER_TRAINER}×)")  # fmt: skip
    print(f"  {FULL} pieces, batch {FULL_BATCH}: model FLOP/s {statistics.median(shares):.0%} "
          f"of plain products, {products / 1e12:.1f} TFLOP/s (wanted of BERT-base: "
          f"{WANTED_SHARE:.0%})", flush=True)  # fmt: skip


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Workers that share a GPU, against Trainer.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shapes", default="6x384,bert-base", help=", ".join(SHAPES))
    parser.add_argument("--workers", default="1,4")
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--full-rows", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    described = machine.describe(machine.resolve_device(given.device))
    print(f"{described['device']}, {described['processor']}, medians of {given.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        for shape in given.shapes.split(","):
            measure(shape, given, Path(folder))


if __name__ == "__main__":
    main()
