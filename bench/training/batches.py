"""Rows in batches: grouped by length, and padded to the longest of their batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.compression.callbacks import Batch
from bench.models.families import has_segments

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.data.encoded import Encoded


EVALUATION_BATCH = 64
MEGABATCH = 50
"""Batches among which rows are sorted by length: enough to save padding, few enough to mix."""


def batches(
    lengths: NDArray[np.int64], batch_size: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """One epoch of row numbers, grouped by length.

    Rows are shuffled, sorted by length within `MEGABATCH` batches, cut, and the batches shuffled.
    """
    order = generator.permutation(len(lengths))
    span = batch_size * MEGABATCH
    grouped = []
    for begin in range(0, len(order), span):
        rows = order[begin : begin + span]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        grouped += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [grouped[i] for i in generator.permutation(len(grouped))]


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps of one pass, the last batch perhaps smaller."""
    return math.ceil(rows / batch_size)


def collate(
    data: Encoded, rows: NDArray[np.int64], model: PreTrainedModel, device: torch.device
) -> Batch:
    """Pads the given rows to the longest of them."""
    lengths = data.lengths[rows]
    width = int(lengths.max())
    real = np.arange(width) < lengths[:, None]
    source = data.offsets[rows][:, None] + np.arange(width)
    source[~real] = 0
    padding = model.config.pad_token_id or 0
    inputs = {
        "input_ids": np.where(real, data.pieces[source], padding).astype(np.int64),
        "attention_mask": real.astype(np.int64),
    }
    if has_segments(model.config):
        inputs["token_type_ids"] = np.where(real, data.segments[source], 0).astype(np.int64)
    return Batch(
        inputs={name: torch.from_numpy(array).to(device) for name, array in inputs.items()},
        labels=torch.from_numpy(data.labels[rows]).to(device),
        rows=rows,
    )
