"""The one training loop.

A method brings its loss and its callbacks; everything else (optimizer, schedule of the rate,
batches, order, precision, clipping) is the same for all.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bench.compression.callbacks import Training
from bench.errors import DivergedError
from bench.models.attention import fast_dropout
from bench.training.batches import batches, collate, steps_per_epoch
from bench.training.easy_adapt import adapted

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Callback, Loss
    from bench.compression.params import TrainParams
    from bench.data.encoded import Encoded
    from bench.protocol import Precision, Protocol
    from bench.training.perturber import Perturber


def rate_at(step: int, total_steps: int, params: TrainParams) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then linear or no decay."""
    warmup = round(params.warmup * total_steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if params.decay == "constant":
        return 1.0
    return (total_steps - step) / max(1, total_steps - warmup)


def optimizer_for(model: nn.Module, params: TrainParams) -> torch.optim.AdamW:
    """AdamW, with weight decay on matrices only (not on biases and normalisations)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context that a loss is computed in: bf16 products, or plain fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def train(
    model: PreTrainedModel,
    data: Encoded,
    *,
    loss: Loss,
    params: TrainParams,
    protocol: Protocol,
    device: str,
    seed: Sequence[int],
    callbacks: Sequence[Callback] = (),
    progress: Callable[[int, int], None] = lambda step, total: None,
    steps: int | None = None,
    rows: NDArray[np.int64] | None = None,
    perturber: Perturber | None = None,
) -> Training:
    """Trains a model in place for the protocol's epochs.

    Args:
        model: The model; left in eval mode on `device`.
        data: Rows to train on.
        loss: From model and batch to a scalar.
        params: Learning rate, its schedule, and weight decay.
        protocol: Epochs, batch size, clipping, precision.
        device: `cpu` or `cuda`.
        seed: Seeds the order of the rows and dropout.
        callbacks: Called in the given order around each step.
        progress: Called with steps made and steps in all.
        steps: Optimizer steps to make, perhaps less or more than the protocol's epochs.
        rows: Numbers of the rows to train on; all of them where it is not given.
        perturber: Perturbs the model's input, if anything does.

    Returns:
        The training that has ended: its steps, and how often each row came.

    Raises:
        DivergedError: The loss or the gradient became NaN or infinite.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    number, generator = _seeded(seed)
    torch.manual_seed(number)
    model.to(accelerator.device)
    with adapted(model, data) as seen:
        optimizer = optimizer_for(model, params)
        own_groups = len(optimizer.param_groups)
        total = steps or protocol.epochs * steps_per_epoch(len(data), protocol.batch_size)
        training = Training(model, optimizer, total, visits=np.zeros(len(data), dtype=np.int64))
        for callback in callbacks:
            callback.start(training)
        peaks = [group["lr"] for group in optimizer.param_groups]
        learnt = [p for group in optimizer.param_groups[own_groups:] for p in group["params"]]
        clipped = [*model.parameters(), *learnt]
        chosen = np.arange(len(data)) if rows is None else rows

        def run_pass(batch: Batch) -> Tensor:
            with autocast(accelerator.device, protocol.precision), seen(batch.rows):
                value = loss(model, batch)
            accelerator.backward(value)
            return value

        model.train()
        with fast_dropout(model):
            for drawn in islice(_all_batches(data.lengths, chosen, protocol, generator), total):
                training.visits[drawn] += 1
                share = rate_at(training.step, total, params)
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * share
                batch = collate(data, drawn, model, accelerator.device)
                one_pass = functools.partial(run_pass, batch)
                value = perturber.step(training, one_pass) if perturber else one_pass()
                for callback in callbacks:
                    callback.before_step(training)
                norm = accelerator.clip_grad_norm_(clipped, protocol.clip_norm)
                _check_finite(value, norm, training.step)
                optimizer.step()
                training.step += 1
                training.loss = float(value.detach())
                for callback in callbacks:
                    callback.after_step(training)
                optimizer.zero_grad(set_to_none=True)
                progress(training.step, total)
        model.eval()
    return training


def foretold_visits(
    lengths: NDArray[np.int64], protocol: Protocol, seed: Sequence[int], steps: int
) -> NDArray[np.int64]:
    """How often a training of so many steps will visit each row, `[rows]`."""
    visits = np.zeros(len(lengths), dtype=np.int64)
    _, generator = _seeded(seed)
    for rows in islice(_all_batches(lengths, np.arange(len(lengths)), protocol, generator), steps):
        visits[rows] += 1
    return visits


def _seeded(seed: Sequence[int]) -> tuple[int, np.random.Generator]:
    """The seed of torch's generator, and the generator of the order of the rows."""
    generator = np.random.default_rng(list(seed))
    return int(generator.integers(2**63)), generator


def _all_batches(
    lengths: NDArray[np.int64],
    rows: NDArray[np.int64],
    protocol: Protocol,
    generator: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    while True:
        for batch in batches(lengths[rows], protocol.batch_size, generator):
            yield rows[batch]


def _check_finite(loss: Tensor, norm: Any, step: int) -> None:
    if not torch.isfinite(loss):
        raise DivergedError(f"the loss is {loss.item()} at step {step + 1}")
    if not math.isfinite(float(norm)):
        raise DivergedError(f"the gradient's norm is {float(norm)} at step {step + 1}")
