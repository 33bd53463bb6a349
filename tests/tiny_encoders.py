"""Pre-trained encoders of random weights, in folders, with tokenizers of a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers.implementations import ByteLevelBPETokenizer
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertTokenizer,
    RobertaConfig,
    RobertaTokenizer,
)

WORDS = ["river", "stone", "cloud", "green", "heavy", "bright", "winter", "summer", "garden",
         "window", "letter", "paper", "silver", "copper", "morning", "evening", "walks", "sings",
         "paints", "reads"]  # fmt: skip


SHAPE = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "initializer_range": 0.5,  # at 0.02 every word would be as likely as any other
}


def save_bert(folder: Path, positions: int = 48) -> Path:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "the", "and", "water", "son",
              "##falls", "##gs", ",", "(", ")", "didn", "'", "t", "-"]  # fmt: skip
    tokenizer = BertTokenizer({piece: number for number, piece in enumerate(pieces)})
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=positions, **SHAPE)
    return save(folder, config, tokenizer)


def save_roberta(folder: Path) -> Path:
    """A byte-level vocabulary that knows words after a space, and no `waterfalls` nor `songs`."""
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    text = ["x " + " ".join([*WORDS, "the", "and", "Winter"]) for _ in range(5)]
    trained.train_from_iterator(text, vocab_size=2000, min_frequency=1, special_tokens=special,
                                show_progress=False)  # fmt: skip
    trained.save_model(str(folder))
    tokenizer = RobertaTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=80, **SHAPE)
    return save(folder, config, tokenizer)


def save(folder: Path, config: Any, tokenizer: Any) -> Path:
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
