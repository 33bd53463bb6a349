"""A masked language model in two parts: what is hidden, what is answered, what is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from probes import save_encoder
from tiny_models import CONFIGS
from torch import nn
from transformers import AutoModelForMaskedLM

import bench
from bench.data.encoded import Encoded
from bench.models.masked_lm import head_flops
from bench.protocol import Protocol
from bench.training.batches import collate
from bench.training.loop import train
from bench.training.word_head import load_language_model

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = 5  # what `probes` puts before its words
WORDS = 45


def text(rows: int, longest: int = 30) -> Encoded:
    """Rows of random words of unequal length, between the first and the last special piece."""
    generator = np.random.default_rng(0)
    made = [
        np.concatenate([[2], generator.integers(SPECIAL, SPECIAL + WORDS, length), [3]])
        for length in generator.integers(1, longest, rows)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in made])])
    return Encoded.unlabelled(np.concatenate(made).astype(np.int32), offsets)


def no_text() -> Encoded:
    raise AssertionError("a head that is there needs no text")


def load(folder: Path, dropout: float = 0.0) -> bench.LanguageModel:
    return load_language_model(folder, no_text, dropout=dropout, device="cpu")[0]


def batch_of(data: Encoded, model: bench.LanguageModel) -> bench.Batch:
    return collate(data, np.arange(len(data)), model.encoder, torch.device("cpu"))


def test_pieces_are_hidden_as_in_berts_pretraining(tmp_path: Path) -> None:
    """Devlin et al.: 15 % are asked for; of them 80 % masked, 10 % exchanged, 10 % as they were."""
    model = load(save_encoder(tmp_path, "bert"))
    batch = batch_of(text(4000), model)
    before = batch.inputs["input_ids"].clone()
    question = model.ask(batch, torch.Generator().manual_seed(1))
    assert torch.equal(batch.inputs["input_ids"], before)  # what is asked changes no batch
    words, asked, shown = before >= SPECIAL, question.asked, question.inputs["input_ids"]
    assert not (asked & ~words).any()  # neither padding nor first and last pieces
    assert torch.equal(shown[~asked], before[~asked])
    assert torch.equal(question.pieces, before[asked])
    count = int(asked.sum())
    assert count / int(words.sum()) == pytest.approx(0.15, abs=0.005)
    masked, same = shown[asked] == 4, shown[asked] == question.pieces
    exchanged = shown[asked][~masked & ~same]
    assert masked.double().mean().item() == pytest.approx(0.8, abs=0.02)
    # Of the tenth that is exchanged, one in 45 is drawn to itself.
    assert len(exchanged) / count == pytest.approx(0.1 * 44 / 45, abs=0.015)
    assert len(exchanged.unique()) == WORDS
    assert int(exchanged.min()) == SPECIAL


def test_the_same_seed_asks_the_same_and_later_something_else(tmp_path: Path) -> None:
    model = load(save_encoder(tmp_path, "bert"))
    batch, draws = batch_of(text(20), model), [torch.Generator().manual_seed(3) for _ in range(2)]
    first, second = (model.ask(batch, draw) for draw in draws)
    assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
    assert torch.equal(first.asked, second.asked)
    assert not torch.equal(first.asked, model.ask(batch, draws[0]).asked)


@pytest.mark.parametrize("pieces", [[2, 7, 3], [2, 3], [2, 1, 3]])
def test_something_is_asked_of_every_batch(pieces: list[int], tmp_path: Path) -> None:
    """The mean of no losses would be none: of one word that word, of no word something."""
    model = load(save_encoder(tmp_path, "bert"))
    one = Encoded.unlabelled(np.array(pieces, np.int32), np.array([0, len(pieces)]))
    for seed in range(20):
        question = model.ask(batch_of(one, model), torch.Generator().manual_seed(seed))
        assert int(question.asked.sum()) == len(question.pieces) == 1
        assert 7 not in pieces or question.pieces.tolist() == [7]


@pytest.mark.parametrize("name", CONFIGS)
def test_it_answers_as_the_whole_model_does(name: str, tmp_path: Path) -> None:
    model, whole = (
        load(save_encoder(tmp_path, name)),
        AutoModelForMaskedLM.from_pretrained(tmp_path),
    )
    question = model.ask(batch_of(text(6), model), torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = whole.eval()(**question.inputs).logits[question.asked]
        torch.testing.assert_close(model.answer(question), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_head_is_trained_along_as_the_whole_model_would_be(name: str, tmp_path: Path) -> None:
    """Three steps against the library's model in a plain loop, the tied matrix among the rest."""
    model, whole = (
        load(save_encoder(tmp_path, name)),
        AutoModelForMaskedLM.from_pretrained(tmp_path),
    )
    whole.eval()
    data, seen = text(8), []
    protocol = Protocol(epochs=3, trials=0, precision="fp32", batch_size=8, clip_norm=1e9)
    params = bench.TrainParams(learning_rate=1e-2, warmup=0.0, weight_decay=0.1)
    draw = torch.Generator().manual_seed(0)

    def loss(encoder: Any, batch: bench.Batch) -> torch.Tensor:
        encoder.eval()
        seen.append(model.ask(batch, draw))
        return nn.functional.cross_entropy(model.answer(seen[-1]), seen[-1].pieces)

    train(model.encoder, data, loss=loss, params=params, protocol=protocol, device="cpu",
          seed=(0,), callbacks=[model])  # fmt: skip
    groups = [
        {"params": [p for p in whole.parameters() if (p.ndim > 1) == matrix], "weight_decay": decay}
        for matrix, decay in ((True, 0.1), (False, 0.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    for step, question in enumerate(seen):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (3 - step) / 3
        optimizer.zero_grad()
        logits = whole(**question.inputs).logits[question.asked]
        nn.functional.cross_entropy(logits, question.pieces).backward()
        optimizer.step()
    matrix = model.encoder.get_input_embeddings().weight
    assert model.head.get_output_embeddings().weight is matrix
    own, expected = model.head.state_dict(), whole.state_dict()
    own |= {f"{whole.base_model_prefix}.{k}": v for k, v in model.encoder.state_dict().items()}
    assert set(own) == set(expected)
    for key, value in expected.items():
        if key.endswith(("key.bias", "k_lin.bias")):
            continue  # it moves no softmax: its gradient is rounding, which Adam blows up
        torch.testing.assert_close(own[key], value, atol=1e-3, rtol=1e-3, msg=key)


def test_a_head_costs_its_two_products_at_the_share_that_is_asked_for(tmp_path: Path) -> None:
    model = load(save_encoder(tmp_path, "bert"))
    width, pieces = 24, 50
    assert head_flops(model.head, 7) == 2 * 7 * (width * width + width * pieces)
    assert model.forward_flops(np.array([40, 60])) == head_flops(model.head, 15)
