"""What the fitted head of the knowledge probe finds in encoders that were never fine-tuned.

    python benchmarks/refitted_head.py --model MODEL_DIR --probe-text FILE [--steps 100 200 400]

The pre-trained encoder, with single weights of its layers gone, and an untrained one of its shape.
Each loss is in nats a masked token; docs/knowledge.md has the table.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from bench.data.probe import prepare_probe
from bench.models.families import prunable
from bench.training import knowledge


def largest(share: float) -> Callable[[Tensor], Tensor]:
    """Keeps the largest weights of a matrix."""
    return lambda weights: (
        weights.abs() >= weights.abs().flatten().kthvalue(int((1 - share) * weights.numel())).values
    )


def pruned(model: PreTrainedModel, keeps: Callable[[Tensor], Tensor]) -> PreTrainedModel:
    """A copy without the weights that are not kept."""
    smaller = copy.deepcopy(model)
    for matrix in prunable(smaller).values():
        matrix.weight.data *= keeps(matrix.weight.data)
    return smaller


def main() -> None:
    """Prints a row a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--probe-text", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", default=[knowledge.STEPS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoder = arguments.model
    whole = AutoModel.from_pretrained(encoder, trust_remote_code=False)
    torch.manual_seed(0)
    models = {
        "pre-trained": whole,
        "4x, largest weights": pruned(whole, largest(1 / 4)),
        "20x, largest weights": pruned(whole, largest(1 / 20)),
        "20x, random weights": pruned(whole, lambda weights: torch.rand_like(weights) < 1 / 20),
        "untrained": AutoModel.from_config(whole.config, trust_remote_code=False),
    }
    with tempfile.TemporaryDirectory() as cache:
        probe = prepare_probe(arguments.probe_text, encoder=encoder, cache=Path(cache), length=128)
        if probe is None or probe.objection:
            raise SystemExit(probe.objection if probe else "no text")
        heads = ["model", "pre-trained head", *(f"{steps} steps" for steps in arguments.steps)]
        print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
        for name, model in models.items():
            found = []
            for knowledge.STEPS in arguments.steps:
                losses = knowledge.measure(model, probe, encoder, "cpu")
                assert losses is not None
                found.append(losses)
            figures = [found[0].plain or 0.0, *(losses.refitted for losses in found)]
            print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} |", flush=True)
        floors = []
        for knowledge.STEPS in arguments.steps:
            floors.append(f"{knowledge.floor(probe, encoder, 'cpu'):.3f}")
        print(f"| floor | {probe.frequencies:.3f} by counts | {' | '.join(floors)} |")


if __name__ == "__main__":
    main()
