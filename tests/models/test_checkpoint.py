"""Saved models and tokenizers: what can be read, and what is not run."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import logits, tiny_classifier, tiny_config
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


@pytest.mark.parametrize(
    "said",
    [{"return_dict": False}, {"chunk_size_feed_forward": 7}, {"chunk_size_feed_forward": "x"}],
)
def test_how_its_author_liked_to_call_a_model_changes_no_answer(tmp_path, said):
    """Tuples in place of answers by name, and layers that take no row of nine pieces."""
    model = tiny_classifier("bert").eval()
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}))
    read, _ = checkpoint.load_classifier(str(tmp_path))
    torch.testing.assert_close(logits(read.eval()), logits(model))


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
    with pytest.raises(BenchError, match=r"names Python code .*trust_remote_code=True") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    assert not asked


def test_a_stock_type_does_not_hide_code_of_its_own(tmp_path):
    """Read as the stock model that it says it is, it would be another model."""
    tiny_config("bert").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    own = {"auto_map": {"AutoModel": "org/name--own.OwnModel"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | own))
    with pytest.raises(BenchError, match=r"config.json names Python code of its own"):
        checkpoint.read_config(tmp_path)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_what_the_library_writes_is_read(tmp_path, family):
    """Its own defaults, all of them spelled out."""
    config = tiny_config(family)
    (tmp_path / "config.json").write_text(config.to_json_string(use_diff=False))
    assert checkpoint.read_config(tmp_path).hidden_size == config.hidden_size


@pytest.mark.parametrize(
    ("tensors", "shapes", "said"),
    [
        ({"a": torch.ones(3)}, '{"a": [2, 2]}', "it has no 'a.bitmap'"),
        ({}, '{"a": [2, 2]}', "it has no 'a'"),
        ({"a": torch.ones(3)}, '{"a": [1000000, 1000000]}', "a bitmap is not of its matrix's size"),
        ({"a": torch.ones(2)}, '{"a": [2, 2]}', "another number of values"),
        ({"a": torch.ones(3)}, '{"a": [-2, 2]}', "expected `int` >= 0"),
        ({"a": torch.ones(3)}, '{"a": 7}', "expected `array`, got `int`"),
        ({"a": torch.ones(3)}, "[" * 10_000, "nested too deep"),
    ],
)
def test_what_a_compact_file_says_of_its_matrices_is_not_believed(tmp_path, tensors, shapes, said):
    tiny_config("bert").save_pretrained(tmp_path)
    if "no 'a" not in said:
        tensors = {**tensors, "a.bitmap": torch.tensor([0b11100000], dtype=torch.uint8)}
    metadata = {"format": "values-and-bitmaps", "shapes": shapes}
    save_file(tensors, tmp_path / "model.compact.safetensors", metadata)
    with pytest.raises(BenchError, match="cannot be read as a compact model: ") as caught:
        load_compact(tmp_path)
    assert said in str(caught.value)
