"""A head that is fitted on an encoder which has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from probes import save_encoder
from tiny_models import CONFIGS
from torch import nn
from transformers import BertModel, BertTokenizer

from bench.data.encoded import Encoded
from bench.data.tasks.demo import demo_encoder_path, passages
from bench.errors import BenchError
from bench.models.checkpoint import load_tokenizer
from bench.models.footprint import count_dense
from bench.models.masked_lm import head_flops
from bench.training.batches import collate
from bench.training.word_head import FRESH_STEPS, PLACES, load_language_model


def demo_text(rows: int, seed: int) -> Encoded:
    lines = [text for text, _ in zip(passages(seed), range(rows), strict=False)]
    found = load_tokenizer(demo_encoder_path())(lines)["input_ids"]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in found])])
    return Encoded.unlabelled(np.concatenate(found).astype(np.int32), offsets)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's encoder without its head."""
    folder = tmp_path_factory.mktemp("bare")
    BertModel.from_pretrained(demo_encoder_path()).save_pretrained(folder)
    load_tokenizer(demo_encoder_path()).save_pretrained(folder)
    return folder


def test_a_fitted_head_names_what_the_frozen_encoder_knows(bare: Path) -> None:
    before = BertModel.from_pretrained(bare).state_dict()
    known, held = demo_text(5000, seed=1), demo_text(300, seed=2)
    torch.manual_seed(0)
    model, flops = load_language_model(bare, lambda: known, dropout=0.1, device="cpu")
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not model.encoder.training
    assert all(p.requires_grad for part in (model.encoder, model.head) for p in part.parameters())
    assert model.head.get_output_embeddings().weight is model.encoder.get_input_embeddings().weight

    batch = collate(held, np.arange(len(held)), model.encoder, torch.device("cpu"))
    question = model.ask(batch, torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model.answer(question), question.pieces).item()
    shares = np.bincount(known.pieces, minlength=model.encoder.config.vocab_size) + 1.0
    frequencies = -np.log(shares / shares.sum())[question.pieces.numpy()].mean()
    assert loss < frequencies - 1  # nats; the pre-trained head has some three below

    # Each step sees so many places; what names them has been read once, a piece in seven asked for.
    counts = count_dense(model.encoder)
    head = 3 * head_flops(model.head, FRESH_STEPS * PLACES)
    rows = FRESH_STEPS * PLACES / (0.15 * (known.lengths.mean() - 2))
    read = counts.forward_flops(known.lengths) * rows / len(known)
    assert flops - head == pytest.approx(read, rel=0.05)


def test_the_same_head_is_fitted_twice(bare: Path) -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        text = demo_text(50, seed=1)
        model, _ = load_language_model(bare, lambda text=text: text, dropout=0.0, device="cpu")
        found.append(model.head.state_dict())
    assert all(torch.equal(found[0][name], value) for name, value in found[1].items())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_family_gets_a_head_tied_to_its_embeddings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.word_head.FRESH_STEPS", 2)
    folder = save_encoder(tmp_path, name, head=False)
    pieces = np.arange(5, 45, dtype=np.int32)
    text = Encoded.unlabelled(pieces, np.array([0, 20, 40]))
    model, flops = load_language_model(folder, lambda: text, dropout=0.0, device="cpu")
    assert flops > 0
    assert model.head.get_output_embeddings().weight is model.encoder.get_input_embeddings().weight


def test_a_tokenizer_without_a_mask_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path, "bert")
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(BenchError, match="the encoder's tokenizer has no mask to hide pieces"):
        load_language_model(folder, lambda: None, dropout=0.0, device="cpu")  # type: ignore[arg-type, return-value]
