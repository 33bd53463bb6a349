"""From a ratio to what has to stay: weights, a shape, or heads and neurons."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import CONFIGS, tiny_classifier
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
)

import bench
from bench.compression.target import (
    Target,
    best_ratio,
    default_depth,
    keep_counts,
    parse_ratio,
)
from bench.errors import BenchError, UnreachableError
from bench.models import families
from bench.models.compact import compact_state, plain_layout
from bench.models.cut import cut
from bench.models.families import reshaped, shape_of
from bench.models.footprint import compare, count, count_dense
from bench.protocol import meets
from bench.toys import toy_config

SMALL = {"num_hidden_layers": 3, "hidden_size": 384, "intermediate_size": 768}


@pytest.fixture(scope="module")
def bert_base():
    return count_dense(BertConfig())


@pytest.mark.parametrize("axis", ["weights", "flops"])
@pytest.mark.parametrize("ratio", [1, 1.5, 2, 2.2, 3.3, 7, 10, 20, 33.3])
def test_the_kept_number_is_the_largest_that_reaches_the_ratio(bert_base, axis, ratio):
    keep = Target(axis, ratio).keep(bert_base)

    def achieved(weights):
        return compare(bert_base, dataclasses.replace(bert_base, weights=weights))[axis]["ratio"]

    assert achieved(keep) >= ratio > achieved(keep + 1)
    assert achieved(keep) <= 1.005 * ratio


def test_twenty_times_bert_base(bert_base):
    assert Target("weights", 20).keep(bert_base) == 4_246_732


def test_a_ratio_is_taken_as_it_was_written(bert_base):
    """The nearest binary fraction lies above 2.2, and 1/49 × 49 below 1."""
    assert Target("weights", 2.2).keep(dataclasses.replace(bert_base, weights=22, matrices=1)) == 10
    assert Target("weights", 49).keep(dataclasses.replace(bert_base, weights=49, matrices=1)) == 1
    assert keep_counts([49], 1 / 49) == [1]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("axis", ["weights", "flops"])
def test_a_pruned_model_achieves_what_was_asked(name, axis):
    model = tiny_classifier(name)
    dense = count_dense(model)
    target = Target(axis, 2.2, sequence_length=32)
    matrices = [matrix.weight for matrix in families.prunable(model).values()]
    counts = keep_counts([matrix.numel() for matrix in matrices], target.density(model))
    with torch.no_grad():
        for matrix, kept in zip(matrices, counts, strict=True):
            matrix.view(-1)[torch.randperm(matrix.numel())[kept:]] = 0
    assert target.density(model) == target.keep(dense) / dense.weights  # its zeros play no part
    achieved = compare(dense, count(model), 32)[axis]["ratio"]
    assert 2.2 <= achieved <= 1.005 * 2.2


def test_zeros_alone_leave_attention_products_and_head():
    small = BertConfig(**SMALL)
    assert f"{best_ratio('unstructured', BertConfig(), 'flops'):.1f}" == "36.9"
    assert f"{best_ratio('unstructured', small, 'flops'):.2f}" == "12.95"
    assert best_ratio("unstructured", small, "weights") == count_dense(small).weights / 18
    assert best_ratio("reference", small, "flops") == 1


@pytest.mark.parametrize("axis", ["weights", "flops", "bytes"])
def test_a_target_is_reachable_up_to_the_best_ratio(bert_base, axis):
    best = best_ratio("unstructured", BertConfig(), axis)
    with pytest.raises(UnreachableError, match=f"on {axis} at most") as caught:
        Target(axis, best * 1.0001).keep(bert_base)
    assert caught.value.best_ratio == best
    assert "\n" not in str(caught.value)
    assert Target(axis, best * 0.9999).keep(bert_base) >= 72


def test_unreachable_is_told_before_anything_is_pruned():
    with pytest.raises(UnreachableError):
        Target("flops", 50, sequence_length=32).density(tiny_classifier("bert"))


@pytest.mark.parametrize(
    ("sizes", "density", "expected"),
    [
        ([10, 10, 20], 0.5, [5, 5, 10]),
        ([10, 10, 20], 1.0, [10, 10, 20]),
        ([10, 10, 20], 0.0, [1, 1, 1]),
        ([100, 100, 400], 0.01, [1, 1, 4]),
        ([10, 10, 400], 0.01, [1, 1, 2]),
        ([5, 5, 5], 0.5, [3, 3, 2]),
        ([0, 8], 0.5, [0, 4]),
        ([], 0.5, []),
    ],
)
def test_keep_counts(sizes, density, expected):
    assert keep_counts(sizes, density) == expected


def test_keep_counts_gives_every_whole_number_back():
    sizes = [49, 7, 12, 12, 1, 0]
    for keep in range(5, sum(sizes) + 1):
        counts = keep_counts(sizes, keep / sum(sizes))
        assert sum(counts) == keep
        assert all(min(size, 1) <= kept <= size for size, kept in zip(sizes, counts, strict=True))


def test_keep_counts_stays_within_one_weight_of_its_share():
    sizes = [49, 7, 12, 12, 9]
    for keep in range(13, sum(sizes) + 1):
        shares = [keep * size / sum(sizes) for size in sizes]
        counts = keep_counts(sizes, keep / sum(sizes))
        assert all(abs(a - b) < 1 for a, b in zip(counts, shares, strict=True))


@pytest.mark.parametrize("ratio", [0, 0.99, -3, math.nan, math.inf])
def test_a_target_refuses_what_is_no_ratio(ratio):
    with pytest.raises(BenchError, match="at least 1"):
        Target("weights", ratio)


def test_a_target_refuses_an_unknown_axis_and_an_empty_sequence():
    with pytest.raises(BenchError, match="Did you mean 'flops'"):
        Target("flop", 2)
    with pytest.raises(BenchError, match="at least 1 token"):
        Target("flops", 2, sequence_length=0)


@pytest.mark.parametrize("text", ["0", "1", "-3", "nan", "inf", "x", ""])
def test_a_ratio_that_asks_for_no_compression_is_refused(text):
    with pytest.raises(BenchError, match=f"'{text}' is no ratio.*greater than 1") as caught:
        parse_ratio(text)
    assert "\n" not in str(caught.value)


def test_a_ratio_is_read():
    assert [parse_ratio(text) for text in ("4", "2.5", "1e2")] == [4, 2.5, 100]


def test_tolerance():
    assert meets(19.6, 20)
    assert not meets(19.59, 20)


def test_an_electra_students_embeddings_always_have_a_projection():
    """At the width of the embeddings themselves the library would build none."""
    config = toy_config("electra")
    widths = {
        Target("weights", ratio / 4).shape(config, layers).width
        for ratio in range(6, 120)
        for layers in (1, 2)
    }
    assert config.embedding_size == 16
    assert 16 not in widths
    assert {12, 20} <= widths


MINI = BertConfig(
    num_hidden_layers=3, hidden_size=384, num_attention_heads=12, intermediate_size=768
)


ENCODERS = (BertConfig(), MINI, RobertaConfig(), ElectraConfig(), DistilBertConfig())


def achieved(config, shape, axis: str) -> float:
    return compare(count_dense(config), count_dense(reshaped(config, shape)))[axis]["ratio"]


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 6, 12, 24])
def test_the_default_depth_is_two_thirds(layers: int) -> None:
    wanted = {1: 1, 2: 2, 3: 2, 4: 3, 6: 4, 12: 8, 24: 16}
    assert default_depth(BertConfig(num_hidden_layers=layers)) == wanted[layers]


@pytest.mark.parametrize("config", ENCODERS, ids=lambda c: f"{c.model_type}-{c.hidden_size}")
@pytest.mark.parametrize(
    ("axis", "ratio"),
    [*itertools.product(["weights", "flops"], [2, 4, 10, 20, 50]), ("bytes", 2), ("bytes", 3)],
)
def test_a_small_model_is_never_below_the_ratio_and_as_near_as_neurons_allow(
    config, axis: str, ratio: float
) -> None:
    depth = default_depth(config)
    shape = Target(axis, ratio).shape(config, depth)
    encoder = shape_of(config)
    assert shape.layers == depth
    assert shape.heads == encoder.heads
    assert shape.width % shape.heads == 0
    assert achieved(config, shape, axis) >= ratio
    one_more = bench.Shape(shape.layers, shape.width, shape.heads, shape.neurons + 1)
    assert achieved(config, one_more, axis) < ratio
    # neurons to width about as in the encoder: another multiple of the heads would be further off
    step = Fraction(shape.heads, shape.width)
    off = (shape.neurons / shape.width) / (encoder.neurons / encoder.width)
    if axis != "bytes":  # where a step in width costs a column of the embeddings
        assert 1 - 3 * step < off < 1 + 3 * step


def test_by_hand_the_house_encoder_at_twenty() -> None:
    """2 layers of 12 heads: 4w² + 2wf ≤ 88,473; at w = 108, f = 193 gives 88,344."""
    assert Target("weights", 20).shape(MINI, 2) == bench.Shape(2, 108, 12, 193)
    assert count_dense(reshaped(MINI, bench.Shape(2, 108, 12, 193))).weights == 2 * 88_344
    assert 3 * (4 * 384**2 + 2 * 384 * 768) // 20 == 176_947


def test_nothing_becomes_larger_than_the_encoder() -> None:
    assert Target("weights", 1.1).shape(MINI, 2) == bench.Shape(2, 384, 12, 768)


@pytest.mark.parametrize("axis", ["weights", "flops"])
def test_the_smallest_shape_is_the_best_ratio(axis: str) -> None:
    best = best_ratio("small", MINI, axis)
    assert achieved(MINI, bench.Shape(2, 12, 12, 1), axis) == best
    assert Target(axis, best * 0.999).shape(MINI, 2) == bench.Shape(2, 12, 12, 1)
    with pytest.raises(UnreachableError, match="2 layers reach") as caught:
        Target(axis, best * 1.001).shape(MINI, 2)
    assert caught.value.best_ratio == best


@pytest.mark.parametrize("axis", ["weights", "flops"])
@pytest.mark.parametrize("ratio", [1.1, 2, 4, 10, 20, 50])
@pytest.mark.parametrize("config", [BertConfig(), MINI], ids=["base", "mini"])
def test_heads_and_neurons_fill_what_a_ratio_leaves(config, axis: str, ratio: float) -> None:
    """Against costs counted by hand; one neuron more would be too much."""
    d, heads_all = config.hidden_size, config.num_attention_heads
    n, size = config.num_hidden_layers, config.hidden_size // heads_all
    head, neuron, fixed = 4 * d * size, 2 * d, 0
    whole = n * (heads_all * head + config.intermediate_size * neuron)
    if axis == "flops":
        head, neuron = 256 * head + 4 * 128**2 * size, 256 * neuron
        fixed = 2 * (d * d + 2 * d)
        whole = fixed + n * (heads_all * head + config.intermediate_size * neuron)
        assert whole == count_dense(config).flops()
    heads, neurons = Target(axis, ratio).heads_and_neurons(config)
    assert 1 <= heads <= n * heads_all
    assert 1 <= neurons <= n * config.intermediate_size
    cost = fixed + heads * head + neurons * neuron
    assert cost <= whole / ratio < cost + max(neuron, head * (ratio < 1.5))
    assert best_ratio("structured", config, axis) == whole / (fixed + neuron)


def test_heads_go_last_and_only_where_they_must() -> None:
    toy = BertConfig(
        num_hidden_layers=2, hidden_size=64, num_attention_heads=4, intermediate_size=128
    )
    assert Target("weights", 10).heads_and_neurons(toy)[0] == 1
    assert Target("weights", 50).heads_and_neurons(toy)[0] == 0
    with pytest.raises(UnreachableError):
        Target("weights", 513).heads_and_neurons(toy)


def test_every_shape_of_a_small_grid_by_brute_force() -> None:
    """Of all shapes with the chosen width, the chosen neurons come nearest from above."""
    config = BertConfig(
        num_hidden_layers=3, hidden_size=32, num_attention_heads=4, intermediate_size=64
    )
    dense = count_dense(config).weights
    for ratio, layers in itertools.product((1.7, 3, 7.5, 20), (1, 2, 3)):
        shape = Target("weights", ratio).shape(config, layers)
        fitting = [
            f for f in range(1, 65)
            if layers * (4 * shape.width**2 + 2 * shape.width * f) * Fraction(str(ratio)) <= dense
        ]  # fmt: skip
        assert shape.neurons == max(fitting)


def on_disk(folder: Path, state: tuple[dict[str, torch.Tensor], dict[str, str]]) -> int:
    """Bytes of a file with this content."""
    save_file(state[0], folder / "model.safetensors", state[1])
    return (folder / "model.safetensors").stat().st_size


def sixteen_bits(folder: Path, model) -> int:
    """Bytes of a model's file with all its values in 16 bits."""
    values = {name: tensor.half() for name, tensor in model.state_dict().items()}
    return on_disk(folder, (values, plain_layout(model)[1]))


@pytest.mark.parametrize("spread", ["even", "uneven"])
@pytest.mark.parametrize("family", CONFIGS)
def test_a_pruned_models_file_is_as_small_as_was_asked(family, spread, tmp_path):
    """Measured on the disk; however the weights are spread over the matrices."""
    config = toy_config(family)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    dense = sixteen_bits(tmp_path, model)
    target = Target("bytes", 1.8)
    matrices = [matrix.weight for matrix in families.prunable(model).values()]
    sizes = [matrix.numel() for matrix in matrices]
    counts = keep_counts(sizes, target.density(model))
    if spread == "uneven":  # the first matrices keep all they can, the last ones one weight each
        left = sum(counts) - len(counts)
        for place, size in enumerate(sizes):
            counts[place] = 1 + min(left, size - 1)
            left -= counts[place] - 1
    with torch.no_grad():
        for matrix, kept in zip(matrices, counts, strict=True):
            matrix.view(-1)[torch.randperm(matrix.numel())[kept:]] = 0
    reached = dense / on_disk(tmp_path, compact_state(model))
    assert reached == compare(count_dense(model), count(model))["bytes"]["ratio"]
    assert reached >= 1.8
    if spread == "even":  # full matrices save their bitmaps
        assert reached <= 1.02 * 1.8


def test_bitmaps_and_embeddings_bound_what_zeros_reach_on_bytes():
    """BERT-base by hand: 16 bits a value, a bit for each of 85 M weights; headers are < 0.1 %."""
    values, weights = 109_483_778, 84_934_656
    least = 2 * (values - weights) + weights / 8
    assert best_ratio("unstructured", BertConfig(), "bytes") == pytest.approx(
        2 * values / least, rel=1e-3
    )
    with pytest.raises(UnreachableError, match="embeddings, head and bitmaps stay"):
        Target("bytes", 20).density(tiny_classifier("bert"))


@pytest.mark.parametrize("ratio", [1.2, 2, 3])
def test_a_cut_models_file_is_as_small_as_was_asked(ratio: float, tmp_path: Path) -> None:
    """Measured on the disk; one neuron more would be too much."""
    config = toy_config()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    dense = sixteen_bits(tmp_path, model)
    heads, neurons = Target("bytes", ratio).heads_and_neurons(config)
    first, first_neurons = min(heads, 4), min(neurons, 64)
    smaller = cut(
        model,
        [range(first), range(heads - first)],
        [range(first_neurons), range(neurons - first_neurons)],
    )
    size = on_disk(tmp_path, compact_state(smaller))
    assert dense / size >= ratio
    a_neuron, digits = 2 * (2 * 32 + 1), 0.01 * size  # numbers in the header become shorter
    assert size + max(a_neuron, 2 * (4 * 32 * 8 + 24) * (ratio < 1.5)) + digits > dense / ratio


def test_without_compression_every_weight_stays():
    dense = count_dense(BertConfig())
    for axis in ("weights", "flops", "bytes"):
        assert Target(axis, 1).keep(dense) == dense.weights
