"""What is left of pre-training: the loss against a plain computation, and its charge."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tiny_models import CONFIGS, tiny_config
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertTokenizer,
    PreTrainedModel,
)

from bench.data.tasks.demo import demo_encoder_path, probe_text
from bench.models.cut import cut
from bench.models.families import Shape, reshaped, shape_of
from bench.models.footprint import count_dense
from bench.training.knowledge import UNASKED, Probe, masked_loss, prepare_probe

every_family = pytest.mark.parametrize("name", CONFIGS)
WORDS = [f"w{number}" for number in range(45)]


def random_weights(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough that every place and every layer matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.eval()


def save_encoder(folder: Path, name: str, head: bool = True) -> Path:
    """A random pre-trained encoder with a tokenizer of the words `w0` to `w44`."""
    build = AutoModelForMaskedLM if head else AutoModel
    config = tiny_config(name)
    random_weights(build.from_config(config), seed=1).save_pretrained(folder)
    special = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    special.insert(config.pad_token_id, "[PAD]")
    words = [*special, *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    vocabulary = {word: number for number, word in enumerate(words)}
    BertTokenizer(vocabulary, model_max_length=38).save_pretrained(folder)
    return folder


def classifier(name: str, seed: int) -> PreTrainedModel:
    return random_weights(AutoModelForSequenceClassification.from_config(tiny_config(name)), seed)


def write_text(path: Path, rows: int = 90) -> Path:
    """Passages of 1 to 60 words, some longer than the positions of the encoder."""
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(WORDS, generator.integers(1, 60))) for _ in range(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def prepare(tmp_path: Path, name: str, head: bool = True) -> tuple[Probe, Path]:
    encoder = save_encoder(tmp_path / "encoder", name, head)
    text = write_text(tmp_path / "held.txt")
    probe = prepare_probe(text, encoder=encoder, cache=tmp_path / "data", length=128)
    assert probe is not None
    return probe, encoder


def plain_loss(model: PreTrainedModel, probe: Probe) -> float:
    """Cross-entropy of a whole masked language model, a passage at a time, without padding."""
    tensors = load_file(probe.folder / "rows.safetensors")
    bounds = zip(tensors["offsets"][:-1], tensors["offsets"][1:], strict=True)
    total = 0.0
    for begin, end in bounds:
        ids = torch.from_numpy(tensors["pieces"][begin:end])[None]
        targets = torch.from_numpy(tensors["targets"][begin:end])[None]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        total += nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=UNASKED, reduction="sum"
        ).item()
    return total / int((tensors["targets"] != UNASKED).sum())


# The loss.


@every_family
def test_the_loss_is_that_of_the_whole_model_with_the_pretrained_head(
    name: str, tmp_path: Path
) -> None:
    probe, encoder = prepare(tmp_path, name)
    delivered = classifier(name, seed=2)
    language_model = AutoModelForMaskedLM.from_pretrained(encoder).eval()
    own = plain_loss(language_model, probe)
    # The head's matrix is that of the pre-trained embeddings, whatever became of the delivered.
    output = language_model.get_output_embeddings()
    output.weight = nn.Parameter(output.weight.detach().clone())
    language_model.base_model.load_state_dict(delivered.base_model.state_dict(), strict=False)
    expected = plain_loss(language_model, probe)
    assert abs(expected - own) > 1e-3
    assert masked_loss(delivered, probe, encoder, "cpu") == pytest.approx(expected, abs=1e-5)


@every_family
def test_the_pretrained_encoder_has_the_loss_of_its_language_model(
    name: str, tmp_path: Path
) -> None:
    probe, encoder = prepare(tmp_path, name)
    expected = plain_loss(AutoModelForMaskedLM.from_pretrained(encoder).eval(), probe)
    pretrained = AutoModelForSequenceClassification.from_pretrained(encoder)
    for _ in range(2):  # nothing of the first model stays in the head
        assert masked_loss(pretrained, probe, encoder, "cpu") == pytest.approx(expected, abs=1e-5)
        masked_loss(classifier(name, seed=3), probe, encoder, "cpu")


def test_padding_and_batches_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    model = classifier("bert", seed=2)
    grouped = masked_loss(model, probe, encoder, "cpu")
    monkeypatch.setattr(
        "bench.training.knowledge.EVALUATION_BATCH", 1000
    )  # all padded to the longest
    monkeypatch.setattr("bench.training.knowledge.PLACES", 7)
    assert masked_loss(model, probe, encoder, "cpu") == pytest.approx(grouped, abs=1e-5)


@every_family
def test_a_cut_model_is_probed_like_one_with_zeros(name: str, tmp_path: Path) -> None:
    from bench.models.families import layers

    probe, encoder = prepare(tmp_path, name)
    model = classifier(name, seed=2)
    smaller = cut(model, [[0, 2], []], [range(10), range(3, 40)])
    first, second = layers(model)
    with torch.no_grad():
        first.attention_output.weight[:, 8:16] = 0
        second.attention_output.weight.zero_()
        first.output.weight[:, 10:] = 0
        second.output.weight[:, :3] = 0
    expected = masked_loss(model, probe, encoder, "cpu")
    assert masked_loss(smaller, probe, encoder, "cpu") == pytest.approx(expected, abs=1e-5)


def test_the_head_fits_no_other_width_but_any_depth(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    config = tiny_config("bert")
    shape = shape_of(config)
    for layers, width, fits in ((1, 24, True), (2, 12, False)):
        other = reshaped(config, Shape(layers, width, shape.heads, 20))
        model = AutoModelForSequenceClassification.from_config(other)
        assert (masked_loss(model, probe, encoder, "cpu") is not None) == fits


# The probe.


def test_masks_are_the_same_each_time_and_as_berts(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    again = prepare_probe(
        tmp_path / "held.txt", encoder=encoder, cache=tmp_path / "other", length=128
    )
    assert again is not None
    assert (again.hash, again.rows, again.masked) == (probe.hash, probe.rows, probe.masked)
    tensors, same = (load_file(p.folder / "rows.safetensors") for p in (probe, again))
    assert all(np.array_equal(tensors[key], same[key]) for key in tensors)

    tokenizer = BertTokenizer.from_pretrained(encoder)
    lines = (tmp_path / "held.txt").read_text().splitlines()
    rows = tokenizer(lines, truncation=True, max_length=40)["input_ids"]
    original = np.concatenate(rows)
    asked = tensors["targets"] != UNASKED
    ordinary = ~np.isin(original, tokenizer.all_special_ids)
    assert probe.rows == len(lines) == 90
    assert probe.masked == asked.sum() == math.ceil(0.15 * ordinary.sum())
    assert ordinary[asked].all()
    assert np.array_equal(tensors["targets"][asked], original[asked])
    assert np.array_equal(tensors["pieces"][~asked], original[~asked])
    hidden = tensors["pieces"][asked] == tokenizer.mask_token_id
    kept = tensors["pieces"][asked] == original[asked]
    assert hidden.mean() == pytest.approx(0.8, abs=0.06)
    assert kept.mean() == pytest.approx(0.1, abs=0.06)
    assert not np.isin(tensors["pieces"][asked][~hidden], tokenizer.all_special_ids).any()


def test_another_text_or_tokenizer_has_another_hash(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    text = tmp_path / "held.txt"
    text.write_text(text.read_text(encoding="utf-8") + "w1 w2\n", encoding="utf-8")
    other = prepare_probe(text, encoder=encoder, cache=tmp_path / "data", length=128)
    assert other is not None
    assert other.hash != probe.hash


def test_a_checkpoint_without_a_head_is_an_obstacle(tmp_path: Path) -> None:
    for name in CONFIGS:
        folder = tmp_path / name
        folder.mkdir()
        probe, _ = prepare(folder, name, head=False)
        assert "no masked-language-model head" in probe.objection
        assert probe.masked == 0


def test_only_the_demos_encoder_has_a_text_of_its_own(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder", "bert")
    assert prepare_probe(None, encoder=encoder, cache=tmp_path, length=128) is None
    probe = prepare_probe(None, encoder=demo_encoder_path(), cache=tmp_path, length=128)
    assert probe is not None
    assert (probe.name, probe.rows) == ("demo", len(probe_text()))


# A run.


def test_who_uses_no_reference_is_not_charged_for_the_probes(tmp_path: Path) -> None:
    """The cell that happens to train the reference for the probe: the dense one comes later."""
    from cells import execute

    from bench.data.prepare import load
    from bench.data.prepare import prepare as prepare_task
    from bench.data.task import Source
    from bench.data.tasks.demo import Sentiment
    from bench.models.checkpoint import load_model
    from bench.protocol import Protocol
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context

    protocol = Protocol(epochs=1, trials=0, precision="fp32", max_train_samples=160)
    encoder, name = demo_encoder_path(), "demo-sentiment"
    prepared = prepare_task(
        Sentiment(), Source(), name=name, encoder=encoder, cap_at=160, cache=tmp_path
    )
    given: dict[str, Any] = {
        "runs": tmp_path, "protocol": protocol, "encoder": encoder, "weights": "demo",
        "tasks": {name: prepared}, "device": "cpu", "threads": 1,
    }  # fmt: skip
    probe = prepare_probe(None, encoder=encoder, cache=tmp_path, length=128)
    cell = Cell("random-mask", name, "weights", 4.0, 0, "demo-encoder", protocol.hash)
    probed, plain = Context(**given, probe=probe), Context(**given)
    assert probed.bind(cell).id == plain.bind(cell).id
    record = execute(cell, probed)
    assert record.knowledge is not None
    assert record.knowledge["finetuned"] > record.knowledge["pretrained"]
    assert list((tmp_path / "references").iterdir())
    counts = count_dense(load_model(encoder, Sentiment.info.labels, 0.1, fresh_head=True))
    lengths = load(prepared).train.lengths
    assert record.cost["parts"] == {"training": 3 * counts.forward_flops(lengths)}
    assert record.cost["steps"] == 5
    assert record.reference is None
    without = execute(cell, plain)
    assert (without.cost["parts"], without.score) == (record.cost["parts"], record.score)
    assert without.knowledge is None
