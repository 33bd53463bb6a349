"""Mask attention against plain loops, self-attention, and what torch counts."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from tiny_models import CONFIGS, logits, masked_classifier, sparse_classifier, tiny_config
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification

import bench
from bench.errors import BenchError
from bench.models.checkpoint import read_config
from bench.models.families import mask_attentions
from bench.models.mask_attention import MaskAttention, mask_attention_config

MASKS = ("learnt", "ones", "identity")
LENGTHS = (7, 4)
every_family = pytest.mark.parametrize("family", CONFIGS)
every_mask = pytest.mark.parametrize("mask", MASKS)


@pytest.fixture
def states():
    """Hidden states of two rows, and which pairs count: the second row has padding."""
    torch.manual_seed(1)
    real = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    return torch.randn(2, 7, 24), real[:, None, None, :]


def module(mask: str) -> MaskAttention:
    """Mask attention of 3 heads whose biases, scales and shifts are other than nothing."""
    torch.manual_seed(0)
    made = MaskAttention(mask_attention_config(tiny_config("bert"), mask)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


@every_mask
def test_it_is_what_plain_loops_give(mask: str, states) -> None:
    made, (hidden, pairs) = module(mask), states
    with torch.no_grad():
        found = made(hidden, pairs)
    size = 8
    made.requires_grad_(False)
    for row, length in enumerate(LENGTHS):
        x = hidden[row, :length].double()
        q, k, v = (x @ m.weight.double().T + m.bias for m in (made.query, made.key, made.value))
        mixed = torch.zeros(length, 24, dtype=torch.double)
        for head in range(3):
            a = slice(size * head, size * (head + 1))
            for i in range(length):
                shares = []
                for j in range(length):
                    if mask == "learnt":
                        said = float(made.gate.weight[0].double() @ x[i])
                        said += float(made.distances[i - j + 39]) + float(made.heads[head])
                        allowed = 1 / (1 + math.exp(-said))  # 40 positions: distances -39 to 39
                    else:
                        allowed = float(mask == "ones" or i == j)
                    shares.append(allowed * math.exp(float(q[i, a] @ k[j, a]) / math.sqrt(size)))
                for j in range(length):
                    mixed[i, a] += shares[j] / sum(shares) * v[j, a]
        summed = x + mixed @ made.output.weight.double().T + made.output.bias
        centred = summed - summed.mean(1, keepdim=True)
        normal = centred / (centred.square().mean(1, keepdim=True) + made.norm.eps).sqrt()
        expected = normal * made.norm.weight + made.norm.bias
        torch.testing.assert_close(found[row, :length].double(), expected, rtol=0, atol=2e-6)


def test_a_mask_of_ones_is_self_attention(states) -> None:
    """Beside BERT's own attention, with the same weights."""
    made, hidden, pairs = module("ones").double(), states[0].double(), states[1]
    stock = AutoModelForSequenceClassification.from_config(
        tiny_config("bert"), attn_implementation="eager", trust_remote_code=False
    )
    stock.double().eval()
    own = bench.layers(stock)[0]
    block = stock.bert.encoder.layer[0].attention
    theirs = (own.query, own.key, own.value, own.attention_output, block.output.LayerNorm)
    ours = (made.query, made.key, made.value, made.output, made.norm)
    for one, other in zip(theirs, ours, strict=True):
        one.load_state_dict(other.state_dict())
    padding = hidden.new_zeros(pairs.shape).masked_fill(~pairs, torch.finfo(torch.float).min)
    with torch.no_grad():
        wanted, _ = block(hidden, padding)
        torch.testing.assert_close(made(hidden, pairs), wanted, rtol=0, atol=1e-6)
        torch.testing.assert_close(made(hidden, padding), wanted, rtol=0, atol=1e-6)


def test_the_identity_gives_the_values(states) -> None:
    """A = V, as in a feed-forward part: no token looks at another, padding included."""
    made, (hidden, pairs) = module("identity"), states
    with torch.no_grad():
        wanted = made.norm(hidden + made.output(made.value(hidden)))
        torch.testing.assert_close(made(hidden, pairs), wanted, rtol=0, atol=1e-6)
        torch.testing.assert_close(made(hidden, None), wanted, rtol=0, atol=1e-6)


def test_the_mask_learns(states) -> None:
    made, (hidden, pairs) = module("learnt"), states
    made(hidden, pairs).square().sum().backward()
    assert made.gate.weight.grad.abs().min() > 0
    assert made.heads.grad.abs().min() > 0
    seen = made.distances.grad != 0
    assert seen.nonzero().flatten().tolist() == list(range(39 - 6, 39 + 7))  # of 7 pieces


@every_family
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padding_changes_nothing(family: str, attention: str) -> None:
    model = masked_classifier(family)
    model.config._attn_implementation = attention
    ids = torch.tensor([[7, 9, 11, 13, 0, 0], [7, 9, 11, 13, 15, 17]])
    ids[0, 4:] = model.config.pad_token_id
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6])
    with torch.no_grad():
        both = model(input_ids=ids, attention_mask=mask).logits
        alone = model(input_ids=ids[:1, :4], attention_mask=mask[:1, :4]).logits
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-5)


@every_family
@every_mask
def test_a_saved_model_is_the_same_when_it_is_loaded(family: str, mask: str, tmp_path) -> None:
    model = masked_classifier(family, mask)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, attn_implementation="eager", trust_remote_code=False
    )
    assert type(loaded) is type(model)
    assert loaded.config.mask == mask
    assert torch.equal(logits(loaded.eval()), logits(model))
    config = AutoConfig.from_pretrained(tmp_path, trust_remote_code=False)
    assert bench.count_dense(config) == bench.count_dense(model)
    assert torch.equal(logits(copy.deepcopy(model)), logits(model))


@every_family
@every_mask
@pytest.mark.parametrize("pieces", [1, 7, 32])
def test_torch_counts_the_same(family: str, mask: str, pieces: int) -> None:
    model = masked_classifier(family, mask)
    ids = torch.full((1, pieces), 7)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert counter.get_total_flops() == bench.count(model).flops(pieces)
    assert counter.get_total_flops() == bench.count_dense(model.config).flops(pieces)


@every_mask
def test_every_part_is_counted(mask: str) -> None:
    """By hand: 2 layers × 24 × 40, 3 heads, 40 positions; w is a weight, P and U are not."""
    counts, stock = bench.count(masked_classifier("bert", mask)), bench.count(stock_classifier())
    learnt = mask == "learnt"
    assert counts.weights == 2 * (8 * 24 * 24 + 2 * 24 * 40 + 24 * learnt)
    assert counts.matrices == 2 * (10 + learnt)
    assert counts.attention_width == 2 * 2 * 24
    added = 4 * (24 * 24 + 24) + 2 * 24 + (24 + 79 + 3) * learnt
    assert counts.parameters == stock.parameters + 2 * added
    assert counts.head_parameters == stock.head_parameters
    assert counts.embedding_parameters == stock.embedding_parameters
    assert counts.bytes > stock.bytes + 2 * 2 * added  # two bytes each, and their names


def stock_classifier(family: str = "bert"):
    return sparse_classifier(family, density=1)


def test_a_dead_head_costs_no_products() -> None:
    model = masked_classifier("bert")
    with torch.no_grad():
        mask_attentions(model)[0].value.weight[8:16] = 0
    assert bench.count(model).attention_width == 4 * 24 - 8
    assert bench.count(model).weights == bench.count_dense(model).weights - 8 * 24


@every_family
def test_what_is_inserted_hands_on_what_it_is_given(family: str) -> None:
    """To the last digits where scales are alike, as here."""
    stock = stock_classifier(family)
    with torch.no_grad():
        for part in stock.base_model.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.weight.fill_(0.7)
                part.bias.fill_(-0.2)
        if family == "electra":  # a projection that keeps means and variances
            projection = stock.base_model.embeddings_project
            projection.weight.zero_()[:16] = torch.eye(16)
            projection.weight[16:] = torch.eye(16)[:8]
            projection.bias.zero_()
    made = bench.insert_mask_attention(stock, seed=3)
    tolerance = 0.2 if family == "electra" else 1e-4  # eight dimensions are there twice
    torch.testing.assert_close(logits(made), logits(stock), rtol=tolerance, atol=tolerance)


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    """And neither on the generator's state nor on the head, which differs among tasks."""
    stock = stock_classifier()
    config = tiny_config("bert")
    config.num_labels = 7
    other = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    before = torch.get_rng_state()
    first = bench.insert_mask_attention(stock, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    for model, seed, same in ((stock, 1, True), (other, 1, True), (stock, 2, False)):
        again = bench.insert_mask_attention(model, seed=seed)
        for one, two in zip(mask_attentions(first), mask_attentions(again), strict=True):
            for name in ("query.weight", "gate.weight", "distances", "heads"):
                assert one.get_parameter(name).equal(two.get_parameter(name)) is same
    state = first.state_dict()
    assert all(tensor.equal(state[name]) for name, tensor in stock.state_dict().items())


@pytest.mark.parametrize("kind", ["mask", "cut", "unknown"])
def test_what_it_cannot_go_into_is_refused_in_one_line(kind: str) -> None:
    stock = stock_classifier()
    model, mask = {
        "mask": (bench.insert_mask_attention(stock), "learnt"),
        "cut": (bench.cut(stock, [range(3)] * 2, [range(9)] * 2), "learnt"),
        "unknown": (stock, "diagonal"),
    }[kind]
    said = "there is no mask 'diagonal'" if kind == "unknown" else f"type '{kind}-bert'"
    with pytest.raises(BenchError, match=said) as caught:
        bench.insert_mask_attention(model, mask)
    assert "\n" not in str(caught.value)


def test_a_saved_configuration_with_another_mask_is_refused(tmp_path) -> None:
    masked_classifier("bert").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mask": "odd"}))
    with pytest.raises(BenchError, match="mask") as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)
