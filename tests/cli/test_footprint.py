"""`bench footprint`: what it prints, and what it refuses."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import tiny_classifier, tiny_config
from transformers import AutoModel, AutoModelForMaskedLM

from bench.cli import footprint as command
from bench.errors import BenchError
from bench.models import families
from bench.models.footprint import count, count_dense, footprint


@pytest.fixture
def bench_footprint(monkeypatch, capsys):
    """Runs the subcommand on local folders; returns what it printed."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["footprint", *map(str, arguments)])
        assert args.handler(args) == 0
        return capsys.readouterr().out

    return run


def test_command_counts_a_sparse_model(bench_footprint, tmp_path):
    model = tiny_classifier("roberta")
    with torch.no_grad():
        for matrix in families.prunable(model).values():
            matrix.weight.view(-1)[::4] = 0
    model.save_pretrained(tmp_path)
    report = json.loads(bench_footprint(tmp_path, "--sequence-length", "20", "--json"))
    expected = footprint(model, model, 20)
    assert report["footprint"] == expected
    assert report["macs"]["actual"] == count(model).macs(20)
    assert report["notes"] == []
    table = bench_footprint(tmp_path, "--sequence-length", "20")
    assert f"{expected['flops']['actual']:,}" in table
    assert f"{expected['params']['ratio']:.3f}×" in table
    assert "S = 20" in table
    assert "embeddings included" in table


@pytest.mark.parametrize("build", [AutoModel, AutoModelForMaskedLM])
def test_command_gives_a_headless_model_a_classifier(bench_footprint, tmp_path, build):
    model = build.from_config(tiny_config("bert"))
    model.save_pretrained(tmp_path)
    arguments = (tmp_path, "--sequence-length", "20")
    report = json.loads(bench_footprint(*arguments, "--json"))
    two_labels = tiny_config("bert")
    two_labels.num_labels = 2
    assert report["footprint"]["flops"]["dense"] == count_dense(two_labels).flops(20)
    assert report["footprint"]["params"]["dense"] == count_dense(two_labels).parameters
    classifier, pooler = 2 * 24 + 2, 24 * 24 + 24
    fresh = classifier if build is AutoModel else classifier + pooler
    left = count(model.base_model).parameters
    assert report["footprint"]["params"]["actual"] == left + fresh
    assert "2 labels" in report["notes"][0]
    assert "no classification head" in bench_footprint(*arguments)


def test_command_compares_with_a_named_dense_model(bench_footprint, tmp_path):
    tiny_classifier("distilbert").save_pretrained(tmp_path / "small")
    AutoModel.from_config(tiny_config("bert")).save_pretrained(tmp_path / "large")
    report = json.loads(
        bench_footprint(
            tmp_path / "small", "--dense", tmp_path / "large", "--sequence-length", "9", "--json"
        )
    )
    assert report["footprint"]["flops"]["dense"] == count_dense(tiny_config("bert")).flops(9)
    assert report["footprint"]["weights"]["ratio"] == 1


def test_command_refuses_what_it_cannot_count(bench_footprint, tmp_path):
    tiny_classifier("bert").save_pretrained(tmp_path)
    for length in ("0", "41"):
        with pytest.raises(BenchError, match="1 to 40 tokens"):
            bench_footprint(tmp_path, "--sequence-length", length)
    with pytest.raises(BenchError, match="no model folder"):
        bench_footprint(tmp_path / "missing")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(BenchError, match="no whole safetensors file"):
        bench_footprint(tmp_path, "--sequence-length", "9")
    save_file({"classifier.bias": torch.ones(3)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BenchError, match="tensors are missing"):
        bench_footprint(tmp_path, "--sequence-length", "9")
