"""Logits of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.errors import DivergedError
from bench.training.batches import EVALUATION_BATCH, collate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.data.encoded import Encoded


@torch.inference_mode()
def predict(
    model: PreTrainedModel,
    data: Encoded,
    device: str,
    answer: Callable[[dict[str, Tensor]], Tensor] | None = None,
) -> NDArray[np.float32]:
    """Logits of every row, in fp32, `[rows, labels]`.

    Args:
        model: The classifier.
        data: The rows.
        device: `cpu` or `cuda`.
        answer: What computes the logits in its place, from the same inputs.

    Raises:
        DivergedError: A logit is NaN or infinite.
    """
    model.eval().to(device)
    compute = answer or (lambda inputs: model(**inputs).logits)
    order = np.argsort(data.lengths, kind="stable")
    logits = np.empty((len(data), int(model.config.num_labels or 1)), dtype=np.float32)
    for begin in range(0, len(order), EVALUATION_BATCH):
        rows = order[begin : begin + EVALUATION_BATCH]
        batch = collate(data, rows, model, torch.device(device))
        logits[rows] = compute(batch.inputs).float().cpu().numpy()
    if not np.isfinite(logits).all():
        raise DivergedError("the trained model predicts NaN or infinite logits")
    return logits


@torch.inference_mode()
def pooled(model: PreTrainedModel, data: Encoded, device: str) -> NDArray[np.float32]:
    """The mean of the last hidden states of every row's own pieces, `[rows, width]`.

    As sentence encoders pool (Reimers and Gurevych, 2019): special pieces count, padding does not.
    """
    encoder = model.base_model.eval().to(device)
    order = np.argsort(data.lengths, kind="stable")
    means = np.empty((len(data), int(model.config.hidden_size)), dtype=np.float32)
    for begin in range(0, len(order), EVALUATION_BATCH):
        rows = order[begin : begin + EVALUATION_BATCH]
        inputs = collate(data, rows, model, torch.device(device)).inputs
        states = encoder(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1)
        means[rows] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).cpu().numpy()
    return means


def answers_of(logits: NDArray[np.float32], *, is_regression: bool) -> NDArray[Any]:
    """What a model answers: the number of the likeliest class, or the figure of a regression.

    Args:
        logits: `[rows, classes]`, or `[rows, 1]` for a regression.
        is_regression: Which of the two it is.
    """
    return logits[:, 0] if is_regression else np.asarray(logits.argmax(axis=1))
