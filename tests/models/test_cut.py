"""Cut models and small ones cut out of larger ones, against masks and by hand."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from tiny_models import CONFIGS, SHAPE, tiny_classifier
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification

import bench
from bench.models.families import layers, shape_of

HEADS = ([0, 2], [])
NEURONS = (list(range(0, 40, 3)), [5])


@pytest.fixture(params=CONFIGS)
def model(request):
    torch.manual_seed(0)
    found = tiny_classifier(request.param)
    with torch.no_grad():  # all other than zero, of either sign
        for parameter in found.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + 0.01)
    return found


def pieces():
    return torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(1))


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


@pytest.mark.parametrize(
    "imports",
    [
        "import bench; from transformers import AutoModelForSequenceClassification as auto",
        "from transformers import AutoModelForSequenceClassification as auto; import bench",
        "import bench; from transformers import AutoConfig, "
        "AutoModelForSequenceClassification as auto",
        "import bench.runs.cells.execute; "
        "from transformers import AutoModelForSequenceClassification as auto",
    ],
)
def test_importing_bench_is_enough_to_load_a_cut_model(tmp_path, imports: str) -> None:
    cut = bench.cut(tiny_classifier("bert"), HEADS, NEURONS)
    cut.save_pretrained(tmp_path)
    code = f"{imports}; print(type(auto.from_pretrained({str(tmp_path)!r})).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "CutBertForSequenceClassification", done.stderr


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


def test_layers_are_taken_evenly() -> None:
    """g(m) = ⌊m·N/M + ½⌋ by hand."""
    assert bench.layer_map(4, 12) == [0, 3, 6, 9, 12]
    assert bench.layer_map(8, 12) == [0, 2, 3, 5, 6, 8, 9, 11, 12]
    assert bench.layer_map(2, 3) == [0, 2, 3]
    assert bench.layer_map(3, 3) == [0, 1, 2, 3]
    assert bench.layer_map(4, 6) == [0, 2, 3, 5, 6]
    assert bench.layer_map(5, 12) == [0, 2, 5, 7, 10, 12]
