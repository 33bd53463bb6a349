"""What a model says of every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.errors import DivergedError
from bench.metrics import METRICS
from bench.training.batches import EVALUATION_BATCH, collate
from bench.training.spans import choose_threshold, mark

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


@dataclass(frozen=True)
class Response:
    """What a model answers.

    Attributes:
        answers: Class numbers, figures or texts, `[rows]`, or `[examples]` of windows.
        logits: What classes and figures were taken from, `[rows, labels]`; `None` for texts.
        threshold: Of no answer, where spans were looked for.
    """

    answers: NDArray[Any]
    logits: NDArray[np.float32] | None = None
    threshold: float | None = None


def respond(
    model: PreTrainedModel,
    metric: str,
    data: Encoded,
    device: str,
    *,
    threshold: float | None = None,
    answer: Callable[[dict[str, Tensor]], Tensor] | None = None,
    order: NDArray[Any] | None = None,
) -> Response:
    """What a model answers to a task's rows.

    Args:
        model: The model, with the task's head.
        metric: The task's, a key of `METRICS`.
        data: The rows, or windows of them.
        device: `cpu` or `cuda`.
        threshold: Of no answer; chosen on these very rows where none is given
            (`bench.training.spans`).
        answer: What computes the logits in the model's place, from the same inputs.
        order: Which of the model's outputs is each class of the task, where they are in another.

    Raises:
        DivergedError: A logit is NaN or infinite.
    """
    if data.spans is None:
        logits = predict(model, data, device, answer)
        if order is not None:
            logits = logits[:, order]
        return Response(answers_of(logits, is_regression=METRICS[metric].regression), logits)
    marked = mark(model, data, device, answer)
    if threshold is None:
        threshold = choose_threshold(marked, metric, data.references)
    return Response(marked.answers(threshold), threshold=threshold)


def answers_of(logits: NDArray[np.float32], *, is_regression: bool) -> NDArray[Any]:
    """What a model answers: the number of the likeliest class, or the figure of a regression.

    Args:
        logits: `[rows, classes]`, or `[rows, 1]` for a regression.
        is_regression: Which of the two it is.
    """
    return logits[:, 0] if is_regression else np.asarray(logits.argmax(axis=1))
