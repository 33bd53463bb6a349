"""Cut models, against masks and as torch counts them."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_models import HEADS, NEURONS, WIDTH, masked, pieces, tiny_config
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification

import bench
from bench.models.families import embedding_projection, layer_modules


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


def narrowed(model):
    """The same model whose normalisations know of some dimensions alone, and zero the others."""

    class Norm(torch.nn.Module):
        def __init__(self, whole) -> None:
            super().__init__()
            self.whole = whole

        def forward(self, x):
            found = torch.zeros_like(x)
            count = len(WIDTH)
            mean = sum(x[..., place] for place in WIDTH) / count
            variance = sum((x[..., place] - mean) ** 2 for place in WIDTH) / count
            for place in WIDTH:
                normal = (x[..., place] - mean) / (variance + self.whole.eps) ** 0.5
                found[..., place] = normal * self.whole.weight[place] + self.whole.bias[place]
            return found

    other = copy.deepcopy(model)
    projection = embedding_projection(other)
    if projection is not None:  # after which nothing is normalised
        with torch.no_grad():
            gone = [place for place in range(24) if place not in WIDTH]
            projection.weight[gone], projection.bias[gone] = 0, 0
    for name, module in list(other.base_model.named_modules()):
        if isinstance(module, torch.nn.LayerNorm) and module.weight.numel() == 24:
            other.base_model.set_submodule(name, Norm(module))
    return other


def assert_same(cut, plain, tmp_path) -> None:
    """They answer alike, the cut one saved and read again, too, and its shape is configured."""
    with torch.no_grad():
        torch.testing.assert_close(cut(pieces()).logits, plain(pieces()).logits)
    cut.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, attn_implementation="eager"
    )
    with torch.no_grad():
        assert torch.equal(loaded(pieces()).logits, cut(pieces()).logits)
    assert bench.count_dense(AutoConfig.from_pretrained(tmp_path)) == bench.count_dense(cut)


def test_a_narrower_model_normalises_what_is_left(model, tmp_path) -> None:
    everything = ([range(3)] * 2, [range(40)] * 2)
    assert_same(bench.cut(model, *everything, dimensions=WIDTH), narrowed(model), tmp_path)


def test_a_layer_that_is_gone_hands_on_what_it_is_given(model, tmp_path) -> None:
    class HandsOn(torch.nn.Module):
        def forward(self, hidden, *_, **__):
            return hidden

    plain = copy.deepcopy(model)
    path = bench.FAMILIES[model.config.model_type].layers
    plain.base_model.set_submodule(f"{path}.0", HandsOn())
    cut = bench.cut(model, [range(3)], [range(40)], stay=[1])
    assert len(layer_modules(cut)) == cut.config.num_hidden_layers == 1
    assert_same(cut, plain, tmp_path)


def test_all_at_once_is_one_after_the_other(model, tmp_path) -> None:
    width = range(0, 24, 2)
    once = bench.cut(model, HEADS, NEURONS, dimensions=width)
    twice = bench.cut(once, [[1]], [[0, 3]], stay=[0], dimensions=[1, 2, 7])
    at_once = bench.cut(model, [[2]], [[0, 9]], stay=[0], dimensions=[2, 4, 14])
    assert_same(twice, at_once, tmp_path)
    assert twice.config.hidden_size == 24  # which heads were made for
    width_of = {module.weight.shape[-1] for module in layer_modules(twice)[0].modules()
                if isinstance(module, torch.nn.LayerNorm)}  # fmt: skip
    assert width_of == {3}


def test_embeddings_without_a_projection_are_cut_too(tmp_path) -> None:
    """ELECTRA has one only where its embeddings have another width than its layers."""
    config = tiny_config("electra")
    config.embedding_size = 24
    torch.manual_seed(0)
    whole = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    cut = bench.cut(whole.eval(), [range(3)] * 2, [range(40)] * 2, dimensions=WIDTH)
    assert cut.get_input_embeddings().weight.shape == (50, len(WIDTH))
    assert_same(cut, narrowed(whole), tmp_path)


@pytest.mark.parametrize("dimensions", [None, WIDTH])
def test_a_narrower_model_is_counted_as_torch_counts_it(model, dimensions) -> None:
    cut = bench.cut(model, [[2]], [[0, 9]], stay=[1], dimensions=dimensions)
    cut.config._attn_implementation = "eager"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cut(pieces()[:1])
    assert counter.get_total_flops() == bench.count(cut).flops(9)
    width = len(dimensions or range(24))
    assert bench.count(cut).weights == width * (4 * 8 + 2 * 2)
