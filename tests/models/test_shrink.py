"""Small models projected out of large ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import SHAPE, pieces, tiny_classifier

import bench
from bench.models.families import embedding_projection, layers, shape_of


def test_the_encoder_at_its_own_shape_is_itself(model) -> None:
    same, basis = bench.shrink(model, shape_of(model.config))
    with torch.no_grad():
        wanted, found = model.base_model(pieces())[0], same.base_model(pieces())[0]
    torch.testing.assert_close(found @ basis.T, wanted, atol=1e-4, rtol=1e-4)


def test_a_shrunk_layer_is_the_best_of_its_rank(model) -> None:
    """The scores q·k and the value path are the nearest that heads of half the size can give."""
    shape = bench.Shape(layers=2, width=12, heads=SHAPE["num_attention_heads"], neurons=17)
    small, basis = bench.shrink(model, shape)
    assert shape_of(small.config) == shape
    torch.testing.assert_close(basis.T @ basis, torch.eye(12), atol=1e-5, rtol=0)
    large, less = layers(model)[1], layers(small)[1]
    for head in range(shape.heads):
        old, new = slice(8 * head, 8 * head + 8), slice(4 * head, 4 * head + 4)
        full = (large.query.weight[old] @ basis).T @ (large.key.weight[old] @ basis) / 8**0.5
        found = less.query.weight[new].T @ less.key.weight[new] / 4**0.5
        with_bias = torch.cat([large.query.weight[old] @ basis, large.query.bias[old, None]], 1)
        keys = torch.cat([large.key.weight[old] @ basis, large.key.bias[old, None]], 1)
        lost = torch.linalg.svdvals(with_bias.T @ keys)[4:].square().sum().sqrt() / 8**0.5
        assert (found - full).norm() <= lost + 1e-4
    inputs, outputs = large.intermediate.weight @ basis, basis.T @ large.output.weight
    expected = (inputs.norm(dim=1) * outputs.norm(dim=0)).topk(17).indices.sort().values
    torch.testing.assert_close(less.intermediate.weight, inputs[expected])


def test_electra_can_be_as_narrow_as_its_embeddings() -> None:
    """Nothing widens them then; scale and shift are numpy's line of best fit, word by word."""
    torch.manual_seed(0)
    model = tiny_classifier("electra")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + 0.01)
    width, heads = model.config.embedding_size, 4
    model.config.num_attention_heads = heads
    small, basis = bench.shrink(model, bench.Shape(layers=1, width=width, heads=heads, neurons=9))
    assert embedding_projection(small) is None
    with torch.no_grad():
        large = model.electra
        states = large.embeddings.LayerNorm(large.embeddings.word_embeddings.weight)
        wanted = (large.embeddings_project(states) @ basis).numpy()
        ours = small.electra.embeddings
        words = ours.word_embeddings.weight
        normal = torch.nn.functional.layer_norm(words, [width], eps=ours.LayerNorm.eps).numpy()
    for place in range(width):
        slope, shift = np.polyfit(normal[:, place], wanted[:, place], 1)
        assert ours.LayerNorm.weight[place].item() == pytest.approx(slope, abs=1e-4)
        assert ours.LayerNorm.bias[place].item() == pytest.approx(shift, abs=1e-4)
    left = ours.LayerNorm(words).detach().numpy() - wanted
    assert (left**2).sum() < 0.3 * ((wanted - wanted.mean(axis=0)) ** 2).sum()


def test_layers_are_taken_evenly() -> None:
    """g(m) = ⌊m·N/M + ½⌋ by hand."""
    assert bench.layer_map(4, 12) == [0, 3, 6, 9, 12]
    assert bench.layer_map(8, 12) == [0, 2, 3, 5, 6, 8, 9, 11, 12]
    assert bench.layer_map(2, 3) == [0, 2, 3]
    assert bench.layer_map(3, 3) == [0, 1, 2, 3]
    assert bench.layer_map(4, 6) == [0, 2, 3, 5, 6]
    assert bench.layer_map(5, 12) == [0, 2, 5, 7, 10, 12]
