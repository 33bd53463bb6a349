"""Cut models, against masks and as torch counts them."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_models import pieces
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification

import bench
from bench.models.families import layers

HEADS = ([0, 2], [])
NEURONS = (list(range(0, 40, 3)), [5])


def masked(model):
    """The same model with the weights and biases of what is cut at zero."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for layer, heads, neurons in zip(layers(other), HEADS, NEURONS, strict=True):
            units = torch.arange(layer.query.out_features) // layer.head_size
            gone = ~torch.isin(units, torch.tensor(heads, dtype=torch.long))
            for matrix in (layer.query, layer.key, layer.value):
                matrix.weight[gone], matrix.bias[gone] = 0, 0
            layer.attention_output.weight[:, gone] = 0
            gone = ~torch.isin(torch.arange(40), torch.tensor(neurons))
            layer.intermediate.weight[gone], layer.intermediate.bias[gone] = 0, 0
            layer.output.weight[:, gone] = 0
    return other


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_cut_model_predicts_what_zeros_predict(model, attention: str) -> None:
    cut, zeros = bench.cut(model, HEADS, NEURONS), masked(model)
    cut.config._attn_implementation = zeros.config._attn_implementation = attention
    with torch.no_grad():
        torch.testing.assert_close(cut(pieces()).logits, zeros(pieces()).logits)
    assert bench.count(cut).weights == bench.count(zeros).weights
    assert bench.count(cut).macs(32) == bench.count(zeros).macs(32)


def test_a_cut_model_is_counted_as_torch_counts_it(model) -> None:
    cut = bench.cut(model, HEADS, NEURONS)
    cut.config._attn_implementation = "eager"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cut(pieces()[:1])
    assert counter.get_total_flops() == bench.count(cut).flops(9)


def test_a_cut_model_survives_saving_and_another_cut(model, tmp_path) -> None:
    once = bench.cut(model, ([0, 2], [1]), (range(30), range(20)))
    twice = bench.cut(once, ([1], [0]), (range(0, 30, 2), range(10)))
    at_once = bench.cut(model, ([2], [1]), (range(0, 30, 2), range(10)))
    twice.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, attn_implementation="eager"
    )
    assert type(loaded) is type(twice)
    assert bench.count_dense(AutoConfig.from_pretrained(tmp_path)) == bench.count_dense(twice)
    with torch.no_grad():
        assert torch.equal(loaded(pieces()).logits, twice(pieces()).logits)
        assert torch.equal(at_once(pieces()).logits, twice(pieces()).logits)
