"""Continued pre-training: its loss, what is saved, what it costs, and that it is made once."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_once import check_made_once
from probes import save_encoder
from safetensors.torch import load_file, save_file
from tiny_models import CONFIGS, tiny_classifier
from transformers import AutoModelForMaskedLM

from bench.data.corpus import Corpus
from bench.data.encoded import Encoded
from bench.errors import BenchError
from bench.models.checkpoint import load_model
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.models.masked_lm import SHARE
from bench.protocol import Protocol
from bench.toys import toy_rows
from bench.training import pretraining
from bench.training.batches import collate
from bench.training.loop import foretold_visits
from bench.training.word_head import load_language_model

PROTOCOL = Protocol(
    epochs=1, trials=0, precision="fp32", batch_size=8, learning_rate=1e-2, pretrain_steps=7
)


@pytest.fixture
def text(tmp_path: Path) -> Corpus:
    """Thirty rows of words that the tiny encoders know."""
    rows = toy_rows(2).select(list(range(30)))
    folder = tmp_path / "text"
    folder.mkdir()
    Encoded.unlabelled(rows.pieces % 45 + 5, rows.offsets).save(folder / "rows.parquet")
    return Corpus(name="some.txt", hash="some", path=folder / "rows.parquet", rows=30)


def go_on(
    runs: Path, text: Corpus, encoder: Path, protocol: Protocol = PROTOCOL
) -> pretraining.Continued:
    return pretraining.continued(
        runs, text, encoder=encoder, weights="w", protocol=protocol, device="cpu",
        progress=lambda step, total: None,
    )  # fmt: skip


def test_the_loss_is_the_mean_over_hidden_pieces_of_a_whole_model(
    tmp_path: Path, text: Corpus
) -> None:
    folder = save_encoder(tmp_path / "bert", "bert")
    model, _ = load_language_model(folder, lambda: text, dropout=0.0, device="cpu")  # type: ignore[arg-type, return-value]
    batch = collate(Encoded.load(text.path), np.arange(12), model.encoder, torch.device("cpu"))
    found = pretraining.naming_loss(model)(model.encoder, batch).item()
    question = model.ask(batch, torch.Generator().manual_seed(pretraining.SEED))
    whole = AutoModelForMaskedLM.from_pretrained(folder).eval()
    losses = []
    for row in range(12):
        one = {name: values[row : row + 1] for name, values in question.inputs.items()}
        with torch.no_grad():
            logits = whole(**one).logits[0].double().numpy()
        for place in np.flatnonzero(question.asked[row].numpy()):
            right = int(batch.inputs["input_ids"][row, place])
            losses.append(math.log(np.exp(logits[place]).sum()) - logits[place, right])
    assert found == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_saved_is_a_language_model_and_an_encoder(
    name: str, tmp_path: Path, text: Corpus
) -> None:
    encoder = save_encoder(tmp_path / name, name)
    found = go_on(tmp_path / "runs", text, encoder)
    before, after = (AutoModelForMaskedLM.from_pretrained(f) for f in (encoder, found.folder))
    moved = dict(after.named_parameters())
    for key, parameter in before.named_parameters():
        if "position" not in key and "token_type" not in key:  # some of whose rows no text needs
            assert not torch.equal(parameter, moved[key])
    classifier = load_model(found.folder, ["a", "b"], 0.0, fresh_head=True)
    own = classifier.base_model.state_dict()
    for key, tensor in after.base_model.state_dict().items():
        assert torch.equal(tensor, own[key])


def test_the_pooler_stays_as_it_was(tmp_path: Path, text: Corpus) -> None:
    encoder = save_encoder(tmp_path / "bert", "bert")
    head = load_file(encoder / "model.safetensors")
    pooler = tiny_classifier("bert").bert.pooler.state_dict()
    whole = head | {f"bert.pooler.{name}": tensor for name, tensor in pooler.items()}
    save_file(whole, encoder / "model.safetensors", metadata={"format": "pt"})
    found = go_on(tmp_path / "runs", text, encoder)
    kept = load_model(found.folder, ["a", "b"], 0.0, fresh_head=True).bert.pooler.state_dict()
    assert all(torch.equal(pooler[name], kept[name]) for name in pooler)


def test_it_is_charged_what_was_foretold(tmp_path: Path, text: Corpus) -> None:
    """Three passes of the encoder, and of the head over the share of the pieces that is asked."""
    encoder = save_encoder(tmp_path / "bert", "bert")
    found = go_on(tmp_path / "runs", text, encoder)
    lengths = Encoded.load(text.path).lengths
    visited = np.repeat(lengths, foretold_visits(lengths, PROTOCOL, pretraining.ORDER, 7))
    whole = AutoModelForMaskedLM.from_pretrained(encoder)
    vocabulary, width = whole.get_output_embeddings().weight.shape
    head = 2 * round(SHARE * visited.sum()) * (width * width + vocabulary * width)
    forward = count_dense(whole.base_model).forward_flops(visited)
    assert found.train_flops == TRAINED_PASS * (forward + head)
    assert found.train_flops == pretraining.pretraining_flops(text, encoder, PROTOCOL)


def test_it_learns_to_name_pieces(tmp_path: Path) -> None:
    """Of a text in which every piece is told by its neighbour."""
    encoder = save_encoder(tmp_path / "bert", "bert")
    begins = np.arange(60) % 20 + 5
    pieces = np.stack([np.full(60, 1), *(begins + 20 * (place % 2) for place in range(8)),
                       np.full(60, 2)], axis=1)  # fmt: skip
    rows = Encoded.unlabelled(pieces.ravel().astype(np.int32), 10 * np.arange(61))
    (tmp_path / "text").mkdir()
    rows.save(tmp_path / "text" / "rows.parquet")
    text = Corpus(name="t", hash="pairs", path=tmp_path / "text" / "rows.parquet", rows=60)
    protocol = dataclasses.replace(PROTOCOL, pretrain_steps=400, dropout=0.0)
    after = go_on(tmp_path / "runs", text, encoder, protocol).folder
    losses = []
    for folder in (encoder, after):
        model, _ = load_language_model(folder, lambda: rows, dropout=0.0, device="cpu")
        batch = collate(rows, np.arange(60), model.encoder, torch.device("cpu"))
        with torch.no_grad():
            losses.append(pretraining.naming_loss(model)(model.encoder, batch).item())
    assert losses[1] < 0.8 * math.log(40) < losses[0]


def test_it_is_made_once_by_two_at_the_same_time_and_again_where_it_is_damaged(
    tmp_path: Path, text: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, runs = save_encoder(tmp_path / "bert", "bert"), tmp_path / "runs"
    made: list[int] = []
    own = pretraining._train

    def counted(*args: Any) -> int:
        made.append(1)
        return own(*args)

    monkeypatch.setattr(pretraining, "_train", counted)
    check_made_once(lambda: go_on(runs, text, encoder), made)


@pytest.mark.parametrize("step", [1, 4])
def test_a_kill_half_way_leaves_nothing_that_is_taken_for_whole(
    step: int, tmp_path: Path, text: Corpus
) -> None:
    encoder = save_encoder(tmp_path / "bert", "bert")
    whole = go_on(tmp_path / "whole", text, encoder)

    def killed(at: int, _: int) -> None:
        if at == step:
            raise KeyboardInterrupt

    how: dict[str, Any] = {
        "encoder": encoder,
        "weights": "w",
        "protocol": PROTOCOL,
        "device": "cpu",
    }
    with pytest.raises(KeyboardInterrupt):
        pretraining.continued(tmp_path / "runs", text, progress=killed, **how)
    again = go_on(tmp_path / "runs", text, encoder)
    names = ["model.safetensors", "config.json"]
    assert all((whole.folder / n).read_bytes() == (again.folder / n).read_bytes() for n in names)


def test_another_text_rate_or_number_of_steps_is_another_encoder(
    tmp_path: Path, text: Corpus
) -> None:
    encoder = save_encoder(tmp_path / "bert", "bert")
    others = [
        (text, PROTOCOL),
        (dataclasses.replace(text, hash="other"), PROTOCOL),
        (text, dataclasses.replace(PROTOCOL, pretrain_steps=1)),
        (text, dataclasses.replace(PROTOCOL, learning_rate=1e-3)),
    ]
    keys = {go_on(tmp_path / "runs", t, encoder, p).key for t, p in others}
    assert len(keys) == len(others)
    capped = dataclasses.replace(PROTOCOL, max_train_samples=5, epochs=9)
    assert go_on(tmp_path / "runs", text, encoder, capped).key in keys
    said = json.loads((next((tmp_path / "runs" / "encoders").iterdir()) / "pretraining.json")
                      .read_text())  # fmt: skip
    assert said["corpus"] in ("some", "other")


def test_what_it_lacks_is_one_line(tmp_path: Path, text: Corpus) -> None:
    with pytest.raises(BenchError, match="name one with --corpus"):
        pretraining.check_pretraining(save_encoder(tmp_path / "bert", "bert"), None)
    bare = save_encoder(tmp_path / "bare", "bert", head=False)
    with pytest.raises(BenchError, match="no masked-language-model head"):
        pretraining.check_pretraining(bare, text)
