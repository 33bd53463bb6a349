"""How fast BERT-base with zeros runs on every engine, beside the dense model on every engine.

    python benchmarks/sparse_speed.py [--sparsity 0.95,0.9] [--batch 1] [--sequence-length 128]

Random weights of BERT-base's shape with random zeros in the six matrices of each layer (speed does
not depend on their values), two threads, interleaved rounds. Needs `prunebench[engines]`.
"""

from __future__ import annotations

import os

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # before torch: two engines' threads share cores

import argparse

import torch
from transformers import BertConfig, BertForSequenceClassification

from bench.deploy.engines import Load, find_engines
from bench.deploy.latency import DENSE, GIVEN, machine, measure
from bench.models.families import prunable

WANTED = {
    0.95: (
        ("torch-csr", "torch", 1.6),
        ("sparse", "torch", 4.0),
        ("sparse", "onnxruntime", 2.5),
        ("sparse", "torch-bf16", 1.0),
    ),
    0.9: tuple(
        ("sparse", dense, 1.0)
        for dense in ("torch", "torch-bf16", "onnxruntime", "openvino", "openvino-bf16")
    ),
}
"""By sparsity: engine of the sparse model, engine of the dense one, how many times as fast."""


def bert_base(sparsity: float) -> BertForSequenceClassification:
    """A classifier of BERT-base's shape; of each matrix this share is zero."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig()).eval()
    with torch.no_grad():
        for matrix in prunable(model).values():
            matrix.weight.mul_(torch.rand_like(matrix.weight) >= sparsity)
    return model


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="BERT-base with zeros on every engine.")
    parser.add_argument("--sparsity", default="0.95,0.9")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    engines, notes = find_engines()
    load = Load(given.batch, given.sequence_length, given.threads)
    about = machine(given.threads)
    print(f"BERT-base, batch {load.rows}, S = {load.pieces}, {load.threads} threads; "
          f"{about['processor']} ({', '.join(about['vector_extensions'])})")  # fmt: skip
    print(", ".join(f"{engine.name}: {engine.version}" for engine in engines), *notes, sep="\n")
    for sparsity in map(float, given.sparsity.split(",")):
        timings = measure(bert_base(sparsity), None, engines, [load])
        times = {(t.model, t.engine): t.median_ms for t in timings}
        print(f"\n{sparsity:.0%} zeros {'sparse, ms':>20} {'dense, ms':>12}   largest difference")
        for timing in (t for t in timings if t.model == GIVEN):
            print(f"{timing.engine:<16} {timing.median_ms:14.1f} "
                  f"{times[DENSE, timing.engine]:12.1f}   {timing.difference:.1e}")  # fmt: skip
        for engine, dense, wanted in WANTED.get(sparsity, ()):
            if (DENSE, dense) in times:
                ratio = times[DENSE, dense] / times[GIVEN, engine]
                print(f"{engine} over dense {dense}: {ratio:.2f}× (wanted: {wanted}×)")


if __name__ == "__main__":
    main()
