from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from harness import ROOT
from tiny_models import CONFIGS, tiny_classifier, tiny_config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, BertForSequenceClassification

from bench.models import families
from bench.models.footprint import compare, count, count_dense, footprint

every_family = pytest.mark.parametrize("name", CONFIGS)

TINYBERT = {"num_hidden_layers": 4, "hidden_size": 312, "intermediate_size": 1200}


@pytest.fixture(scope="module")
def bert_base():
    """Counts of BERT-base's shapes, two labels."""
    return count_dense(BertConfig())


def counted_flops(model, sequence_length):
    """What torch counts on one example without padding; under SDPA it would miss attention."""
    ids = torch.full((1, sequence_length), 7)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return counter.get_total_flops()


def keep_rows(matrix, rows):
    """Cuts a linear layer to its first rows."""
    matrix.weight = nn.Parameter(matrix.weight[:rows])
    matrix.bias = nn.Parameter(matrix.bias[:rows])


def keep_columns(matrix, columns):
    """Cuts a linear layer to its first columns."""
    matrix.weight = nn.Parameter(matrix.weight[:, :columns])


def cut(layer, heads, neurons):
    """Leaves a layer its first heads and neurons."""
    for matrix in (layer.query, layer.key, layer.value):
        keep_rows(matrix, heads * layer.head_size)
    keep_columns(layer.attention_output, heads * layer.head_size)
    keep_rows(layer.intermediate, neurons)
    keep_columns(layer.output, neurons)


def test_bert_base(bert_base):
    assert bert_base.macs(128) == {
        "linear": 10_871_635_968,
        "attention": 301_989_888,
        "embedding_projection": 0,
        "head": 591_360,
    }
    assert bert_base.flops(128) == 22_348_434_432
    assert bert_base.flops(512) == 2 * 48_318_973_440
    assert bert_base.weights == 84_934_656
    assert bert_base.matrices == 72
    classifier = 2 * 768 + 2
    assert bert_base.parameters == 109_482_240 + classifier
    assert bert_base.embedding_parameters == 23_837_184
    assert bert_base.head_parameters == 590_592 + classifier


def test_tinybert():
    counts = count_dense(BertConfig(**TINYBERT))
    assert counts.flops(128) == 1_247_477_088
    with torch.device("meta"):
        bare = AutoModel.from_config(BertConfig(**TINYBERT))
    assert count_dense(bare).parameters == 14_350_248


@pytest.mark.parametrize(
    ("sparsity", "weights", "parameters", "flops"),
    [
        (0.50, "2.0", "1.63", None),
        (0.75, "4.0", "2.39", None),
        (0.875, "8.0", "3.11", None),
        (0.90, "10.0", "3.31", "8.0"),
        (0.9375, "16.0", "3.67", None),
        (0.95, "20.0", "3.80", "13.2"),
        (0.97, "33.3", "4.04", "17.8"),
    ],
)
def test_published_ratios_of_sparse_bert_base(bert_base, sparsity, weights, parameters, flops):
    zeros = round(bert_base.weights * sparsity)
    sparse = dataclasses.replace(
        bert_base, weights=bert_base.weights - zeros, parameters=bert_base.parameters - zeros
    )
    ratios = {axis: both["ratio"] for axis, both in compare(bert_base, sparse).items()}
    assert f"{ratios['weights']:.1f}" == weights
    assert f"{ratios['params']:.2f}" == parameters
    assert flops is None or f"{ratios['flops']:.1f}" == flops
    if sparsity == 0.95:
        assert f"{ratios['params']:.3f} {ratios['flops']:.3f}" == "3.802 13.206"


def test_the_readme_has_the_counts_of_a_bert_base_at_twenty_times(bert_base):
    kept, zeros = 4_246_732, 84_934_656 - 4_246_732
    headless = bert_base.parameters - (768 * 2 + 2)
    sparse = dataclasses.replace(bert_base, weights=kept, parameters=headless - zeros)
    counted = {axis: both["actual"] for axis, both in compare(bert_base, sparse).items()}
    del counted["bytes"]  # of a plain file: of a sparse one the compact file is counted
    attention, pooler_and_classifier = 301_989_888, 591_360  # multiplications, S = 128
    assert counted == {
        "weights": kept,
        "params": 109_482_240 - zeros,
        "flops": 2 * (128 * kept + attention + pooler_and_classifier),
    }
    readme = (ROOT / "docs/ratios.md").read_text(encoding="utf-8")
    assert all(f"| {figure:,} |" in readme for figure in counted.values())


def test_a_real_sparse_bert_base(bert_base):
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig())
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1)
        for matrix in families.prunable(model).values():
            matrix.weight.zero_().view(-1)[::20] = 1
    counted = compare(bert_base, count(model))
    ratios = {axis: counted[axis]["ratio"] for axis in ("weights", "params", "flops")}
    assert ratios == pytest.approx({"weights": 20, "params": 3.802, "flops": 13.206}, rel=1e-4)


@every_family
@pytest.mark.parametrize("sequence_length", [1, 7, 32])
def test_torch_counts_the_same_on_dense_models(name, sequence_length):
    model = tiny_classifier(name)
    expected = counted_flops(model, sequence_length)
    assert count(model).flops(sequence_length) == expected
    assert count_dense(model).flops(sequence_length) == expected
    assert count_dense(tiny_config(name)).flops(sequence_length) == expected


@every_family
@pytest.mark.parametrize("sequence_length", [1, 7, 32])
def test_torch_counts_the_same_on_cut_models(name, sequence_length):
    model = tiny_classifier(name)
    first, second = families.layers(model)
    cut(first, heads=2, neurons=11)
    cut(second, heads=1, neurons=0)
    assert [layer.heads for layer in families.layers(model)] == [2, 1]
    expected = counted_flops(model, sequence_length)
    assert count(model).flops(sequence_length) == expected
    assert count_dense(model).flops(sequence_length) == expected


@every_family
def test_a_layer_may_have_lost_all_heads(name):
    model = tiny_classifier(name)
    whole = count(model)
    cut(families.layers(model)[0], heads=0, neurons=40)
    bare = count(model)
    assert families.layers(model)[0].heads == 0
    assert whole.attention_width - bare.attention_width == 24
    assert whole.weights - bare.weights == 4 * 24 * 24
    assert whole.matrices - bare.matrices == 4


@every_family
@pytest.mark.parametrize("killed", ["value rows", "output columns", "one value row", "query"])
def test_a_head_is_dead_without_value_rows_or_output_columns(name, killed):
    model = tiny_classifier(name)
    layer = families.layers(model)[1]
    part = {
        "value rows": layer.value.weight[8:16],
        "output columns": layer.attention_output.weight[:, 8:16],
        "one value row": layer.value.weight[8:9],
        "query": layer.query.weight[8:16],
    }[killed]
    with torch.no_grad():
        part.zero_()
    dead = 8 if killed in ("value rows", "output columns") else 0
    assert count(model).attention_width == 48 - dead
    assert count(model).weights == count_dense(model).weights - part.numel()
    assert count_dense(model).attention_width == 48


@every_family
def test_taking_a_dead_head_away_leaves_the_same_count(name):
    """A head whose value rows are zero costs no attention products, whatever its bias."""
    masked, shorter = tiny_classifier(name), tiny_classifier(name)
    layer = families.layers(masked)[0]
    with torch.no_grad():
        for matrix in (layer.query, layer.key, layer.value):
            matrix.weight[16:] = 0
        layer.attention_output.weight[:, 16:] = 0
    cut(families.layers(shorter)[0], heads=2, neurons=40)
    for sequence_length in (7, 32):
        assert count(masked).flops(sequence_length) == counted_flops(shorter, sequence_length)


def test_tied_weights_count_once():
    model = AutoModelForMaskedLM.from_config(tiny_config("bert"))
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    embeddings = 50 * 24 + 40 * 24 + 2 * 24 + 48
    layers = 2 * (4 * (24 * 24 + 24) + 2 * 24 * 40 + 40 + 24 + 2 * 48)
    head = 24 * 24 + 24 + 48 + 50
    assert count_dense(model).parameters == embeddings + layers + head


def test_forward_flops_of_real_lengths(bert_base):
    lengths = np.array([5, 128, 77], dtype=np.int32)
    expected = sum(bert_base.flops(int(length)) for length in lengths)
    assert bert_base.forward_flops(lengths) == expected
    many = np.full(400_000, 512, dtype=np.uint16)  # whose squares need more bits
    assert bert_base.forward_flops(many) == 400_000 * bert_base.flops(512)


def test_footprint_of_a_dense_and_of_a_sparse_model():
    dense, sparse = tiny_classifier("electra"), tiny_classifier("electra")
    same = footprint(dense, dense)
    assert {axis: both["ratio"] for axis, both in same.items()} == {
        "weights": 1.0,
        "params": 1.0,
        "flops": 1.0,
        "bytes": 1.0,
    }
    with torch.no_grad():
        for matrix in families.prunable(sparse).values():
            matrix.weight.view(-1)[::2] = 0
    both = footprint(sparse, dense)
    assert both["weights"]["ratio"] == 2
    assert all(both[axis]["ratio"] > 1 for axis in both)
    assert both["bytes"]["actual_fp32"] == both["bytes"]["dense_fp32"] > both["bytes"]["dense"]
    assert footprint(sparse, sparse) == both


@pytest.mark.parametrize("name", CONFIGS)
def test_flops_of_a_task_are_those_that_torch_counts_row_by_row(name):
    """Attention products go with the square of a length: not the FLOPs of the mean length."""
    lengths = np.array([2, 3, 3, 31])
    dense, small = tiny_classifier(name), tiny_classifier(name)
    for layer in families.layers(small):
        cut(layer, 2, 11)
    both = footprint(small, dense, lengths=lengths)["flops_task"]
    for which, model in (("dense", dense), ("actual", small)):
        row_by_row = [counted_flops(model, int(length)) for length in lengths]
        assert both[which] == sum(row_by_row) / 4
        assert both[which] > counted_flops(model, 9) > 0  # 9.75 tokens a row
    assert both["ratio"] == both["dense"] / both["actual"]
