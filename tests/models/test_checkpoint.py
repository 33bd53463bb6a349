"""Saved models and tokenizers: what can be read, and what is not run."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import tiny_config
from transformers import GPT2Config

from bench.errors import BenchError
from bench.models import checkpoint
from bench.models.checkpoint import load_tokenizer
from bench.models.compact import load_compact


def test_a_folder_without_a_configuration_is_named(tmp_path):
    with pytest.raises(BenchError, match=str(tmp_path)) as caught:
        checkpoint.read_config(tmp_path)
    assert "\n" not in str(caught.value)
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(BenchError, match="gpt2"):
        checkpoint.read_config(tmp_path)
    tiny_config("electra").save_pretrained(tmp_path)
    assert checkpoint.read_config(tmp_path).embedding_size == 16


CODE = """
from transformers import BertTokenizer, PretrainedConfig
class OwnConfig(PretrainedConfig):
    model_type = "own"
class OwnTokenizer(BertTokenizer):
    pass
"""


@pytest.mark.parametrize("read", [checkpoint.read_config, load_tokenizer, load_compact])
def test_code_in_a_model_folder_never_runs(tmp_path, monkeypatch, read):
    """Not given `trust_remote_code`, transformers asks on standard input."""
    asked = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or "y")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    own = {"auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(own))
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    (tmp_path / "own.py").write_text(CODE)
    compact = tmp_path / "model.compact.safetensors"
    save_file({"x": torch.zeros(1)}, compact, {"format": "values-and-bitmaps", "shapes": "{}"})
    with pytest.raises(BenchError):
        read(tmp_path)
    assert not asked
