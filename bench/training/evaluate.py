"""Logits of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.errors import DivergedError
from bench.training.batches import EVALUATION_BATCH, collate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.data.encoded import Encoded


@torch.inference_mode()
def predict(model: PreTrainedModel, data: Encoded, device: str) -> NDArray[np.float32]:
    """Logits of every row, in fp32, `[rows, labels]`.

    Raises:
        DivergedError: A logit is NaN or infinite.
    """
    model.eval().to(device)
    order = np.argsort(data.lengths, kind="stable")
    logits = np.empty((len(data), int(model.config.num_labels or 1)), dtype=np.float32)
    for begin in range(0, len(order), EVALUATION_BATCH):
        rows = order[begin : begin + EVALUATION_BATCH]
        batch = collate(data, rows, model, torch.device(device))
        logits[rows] = model(**batch.inputs).logits.float().cpu().numpy()
    if not np.isfinite(logits).all():
        raise DivergedError("the trained model predicts NaN or infinite logits")
    return logits
