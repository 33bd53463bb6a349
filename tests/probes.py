"""A random pre-trained encoder with a head, and held-out text for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tiny_models import tiny_config
from transformers import AutoModel, AutoModelForMaskedLM, BertTokenizer, PreTrainedModel

from bench.data.probe import Probe, prepare_probe
from bench.data.tasks.demo import demo_encoder_path

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


def write_text(path: Path, rows: int = 90) -> Path:
    """Passages of 1 to 60 words, some longer than the positions of the encoder."""
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(WORDS, generator.integers(1, 60))) for _ in range(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_demo_text(path: Path, rows: int, words: int) -> Path:
    """Passages of so many words each that the demo's encoder knows."""
    vocabulary = (demo_encoder_path() / "vocab.txt").read_text(encoding="utf-8").split()
    known = [word for word in vocabulary if word.isalpha()]
    lines = [" ".join(known[(7 * row + place) % len(known)] for place in range(words))
             for row in range(rows)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def prepare(tmp_path: Path, name: str, head: bool = True) -> tuple[Probe, Path]:
    encoder = save_encoder(tmp_path / "encoder", name, head)
    text = write_text(tmp_path / "held.txt")
    probe = prepare_probe(text, encoder=encoder, cache=tmp_path / "data", length=128)
    assert probe is not None
    return probe, encoder
