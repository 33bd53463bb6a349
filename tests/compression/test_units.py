"""What units cost, against the counter on models that were cut."""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny_models import CONFIGS, tiny_classifier, tiny_config
from transformers import AutoModelForSequenceClassification, BertConfig

import bench
from bench.compression.target import Target, best_ratio
from bench.compression.units import cost_of, unit_costs
from bench.models.footprint import count_dense

SHAPES = [
    {"heads": [[0, 2], [1]], "neurons": [range(11), range(4)]},
    {"heads": [[], [1]], "neurons": [range(11), []], "dimensions": range(13)},
    {"heads": [[0, 1]], "neurons": [range(7)], "stay": [1], "dimensions": range(24)},
    {"heads": [[]], "neurons": [[3]], "stay": [0], "dimensions": [5]},
]


def unprojected():
    """ELECTRA whose embeddings are as wide as its layers."""
    config = tiny_config("electra")
    config.embedding_size = 24
    return AutoModelForSequenceClassification.from_config(config)


@pytest.fixture(params=[*CONFIGS, "unprojected"])
def whole(request):
    return unprojected() if request.param == "unprojected" else tiny_classifier(request.param)


def total(costs, shape) -> int:
    return costs.total(
        width=len(shape.get("dimensions", range(24))),
        layers=len(shape["heads"]),
        heads=sum(map(len, shape["heads"])),
        neurons=sum(map(len, shape["neurons"])),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", ["weights", "flops"])
def test_the_formula_is_what_the_counter_counts(whole, axis: str, shape) -> None:
    costs = unit_costs(whole.config, count_dense(whole), axis, 32)
    assert total(costs, shape) == cost_of(count_dense(bench.cut(whole, **shape)), axis, 32)


@pytest.mark.parametrize("shape", SHAPES)
def test_on_bytes_all_but_the_header_is_exact(whole, shape) -> None:
    """Two bytes a parameter; the header of the smaller file is shorter, if anything."""
    smaller = bench.cut(whole, **shape)
    costs = unit_costs(whole.config, count_dense(whole), "bytes", 32)
    gone = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in smaller.parameters())
    assert count_dense(whole).bytes - total(costs, shape) == 2 * gone
    assert total(costs, shape) >= count_dense(smaller).bytes


@pytest.mark.parametrize("axis", ["weights", "flops", "bytes"])
def test_the_best_ratio_is_that_of_the_least_model(whole, axis: str) -> None:
    least = bench.cut(whole, [[]], [[3]], stay=[0], dimensions=[5])
    config, dense = whole.config, cost_of(count_dense(whole), axis, 32)
    best = best_ratio("structured", config, axis, 32, cuts_width=True)
    counted = dense / cost_of(count_dense(least), axis, 32)
    assert best == counted or (axis == "bytes" and best < counted)  # whose header is shorter
    assert best >= best_ratio("structured", config, axis, 32)
    Target(axis, 0.999 * best, 32).structure_budget(config)
    with pytest.raises(bench.UnreachableError, match="a single neuron and hidden") as caught:
        Target(axis, 1.001 * best, 32).structure_budget(config)
    assert caught.value.best_ratio == best


def test_by_hand_bert_base() -> None:
    """12 layers of 12 heads of 64, 3,072 neurons and width 768, at 128 tokens."""
    config = BertConfig()
    weights, flops, size = (
        unit_costs(config, count_dense(config), axis, 128) for axis in ("weights", "flops", "bytes")
    )
    assert weights.at_width(768, 12) == (4 * 64 * 768, 2 * 768, 0)
    head = 2 * (128 * 4 * 64 * 768 + 2 * 128**2 * 64)
    assert flops.at_width(768, 12) == (head, 2 * 128 * 2 * 768, 2 * (768 * 768 + 2 * 768))
    a_dimension = (30_522 + 512 + 2) + 2 + 768  # embeddings, their normalisation, the pooler
    assert (size.dimension, size.layer_dimension) == (2 * a_dimension, 12)
    expected = torch.tensor([0.5, 2.0, 10.0, 40.0], dtype=torch.float64)
    width, layers, heads, neurons = expected
    found = weights.total(width=width, layers=layers, heads=heads, neurons=neurons)
    assert float(found) == 0.5 * (4 * 64 * 10 + 2 * 40)
    assert all(isinstance(cost, int) for cost in itertools.chain(vars(size).values()))
