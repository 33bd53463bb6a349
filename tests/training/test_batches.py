"""Batches: rows of like length, padded."""

from __future__ import annotations

import numpy as np
import torch

from bench.toys import toy_rows
from bench.training.batches import batches, collate


def test_every_row_comes_once_an_epoch_among_rows_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 100, 1000)
    epoch = batches(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(epoch)) == list(range(1000))
    assert sorted(map(len, epoch)) == [8] + [32] * 31
    spread = np.mean([np.ptp(lengths[rows]) for rows in epoch])
    assert spread < 10 < np.ptp(lengths)
    widths = [int(lengths[rows].max()) for rows in epoch]
    assert widths != sorted(widths)


def test_the_order_depends_on_the_seed_alone() -> None:
    lengths = np.full(200, 7)
    first, again, other = (
        np.concatenate(batches(lengths, 32, np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_batch_is_padded_to_its_own_longest_row(model) -> None:
    data = toy_rows(0)
    rows = np.array([5, 0, 17])
    batch = collate(data, rows, model, torch.device("cpu"))
    assert batch.inputs["input_ids"].shape == (3, data.lengths[rows].max())
    for i, row in enumerate(rows):
        own = data.pieces[data.offsets[row] : data.offsets[row + 1]]
        assert batch.inputs["input_ids"][i, : len(own)].tolist() == own.tolist()
        assert batch.inputs["attention_mask"][i].sum() == len(own)
        assert (batch.inputs["input_ids"][i, len(own) :] == model.config.pad_token_id).all()
    assert batch.labels.tolist() == data.labels[rows].tolist()
