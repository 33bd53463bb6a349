"""The sparse engine, against the model and plain products."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_models import CONFIGS, sparse_classifier
from torch.nn import functional as F

import bench
from bench.deploy.csr import csr_model
from bench.models.families import prunable

numba = pytest.importorskip("numba", reason="the sparse engine needs numba (the extra `engines`)")

from bench.deploy.sparse_engine import SparseEncoder, _SparseProduct  # noqa: E402

CUTS = {
    "whole": None,
    "uneven": {"heads": [[0, 2], []], "neurons": [list(range(0, 40, 3)), [5]]},
    "narrow": {"heads": [[1]], "neurons": [[]], "stay": [1], "dimensions": range(0, 24, 2)},
}
TOLERANCE = {"atol": 1e-5, "rtol": 1e-4}


def padded_inputs(family: str, rows: int = 3, length: int = 19):
    """Rows of different length; RoBERTa numbers positions by what is padding."""
    generator = torch.Generator().manual_seed(1)
    inputs = {
        "input_ids": torch.randint(5, 50, (rows, length), generator=generator),
        "attention_mask": torch.ones(rows, length, dtype=torch.long),
    }
    for row in range(1, rows):
        inputs["attention_mask"][row, length - 3 * row :] = 0
        inputs["input_ids"][row, length - 3 * row :] = 1
    if family == "bert":
        inputs["token_type_ids"] = torch.randint(0, 2, (rows, length), generator=generator)
    return inputs


def assert_same_logits(engine, model, inputs) -> None:
    with torch.no_grad():
        torch.testing.assert_close(engine(inputs), model(**inputs).logits, **TOLERANCE)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("family", CONFIGS)
def test_same_logits_as_the_model(family: str, cut: dict | None) -> None:
    model = sparse_classifier(family)
    model = bench.cut(model, **cut) if cut else model
    engine = SparseEncoder(model, batch=2, sequence_length=16, threads=2)
    assert set(engine.choices) == set(prunable(model))
    assert set(engine.choices.values()) <= {"sparse", "dense"}
    assert_same_logits(engine, model, padded_inputs(family))
    assert_same_logits(engine, model, {"input_ids": padded_inputs(family)["input_ids"]})
    torch_csr = csr_model(model)
    assert_same_logits(lambda inputs: torch_csr(**inputs).logits, model, padded_inputs(family))


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 16), (2, 31), (5, 40), (1, 7)])
def test_any_shape_whatever_it_was_tuned_for(rows: int, length: int) -> None:
    model = sparse_classifier("bert")
    engine = SparseEncoder(model, batch=1, sequence_length=32, threads=2)
    inputs = padded_inputs("bert", rows, length)
    inputs["attention_mask"][:, 0] = 1
    assert_same_logits(engine, model, inputs)
    assert_same_logits(engine, model, inputs)  # nothing is left over from a call


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("choice", ["sparse", "dense"])
def test_any_density_either_way(density: float, choice: str, monkeypatch) -> None:
    model = sparse_classifier("bert", density)
    ticks = iter(range(10**6))
    # Time stands still for one of the two, which are timed by turns, sparse first.
    kept = (0, 1) if choice == "dense" else (2, 3)

    def clock() -> int:
        tick = next(ticks) % 4
        return tick if tick in kept else 0

    monkeypatch.setattr("bench.deploy.sparse_engine.time.perf_counter", clock)
    engine = SparseEncoder(model, batch=1, sequence_length=16, threads=2)
    monkeypatch.undo()
    assert set(engine.choices.values()) == {choice if density else "sparse"}
    assert_same_logits(engine, model, padded_inputs("bert"))


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_any_activation(activation: str) -> None:
    model = sparse_classifier("distilbert")
    config = copy.deepcopy(model.config)
    config.activation = activation
    other = type(model)(config).eval()
    other.load_state_dict(model.state_dict())
    engine = SparseEncoder(other, batch=1, sequence_length=16, threads=1)
    assert_same_logits(engine, other, padded_inputs("distilbert"))


def test_the_number_of_threads_changes_nothing() -> None:
    model = sparse_classifier("electra")
    one, two = (
        SparseEncoder(model, batch=1, sequence_length=16, threads=threads) for threads in (1, 2)
    )
    inputs = padded_inputs("electra")
    torch.testing.assert_close(one(inputs), two(inputs), rtol=1e-6, atol=1e-6)


def test_the_model_is_left_alone_and_not_copied_whole() -> None:
    model = sparse_classifier("bert")
    model.config._attn_implementation = "sdpa"
    before = copy.deepcopy(model.state_dict())
    engine = SparseEncoder(model, batch=1, sequence_length=16, threads=1)
    engine(padded_inputs("bert"))
    assert model.config._attn_implementation == "sdpa"
    assert not [name for name in dict(engine._model.named_modules()) if "query" in name]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("lanes", [16, 32, 64])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("activation", [None, "gelu", "gelu_new", "relu"])
def test_the_sparse_product(lanes: int, density: float, activation: str | None) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(37, 23).requires_grad_(False)
    linear.weight.normal_().mul_(torch.rand(23, 37) < density)
    x, residual = torch.randn(3, 37, lanes), torch.randn(3, 23, lanes)
    product = _SparseProduct(linear, activation, threads=2)
    got = product(x, torch.empty(3, 23, lanes), residual)
    want = linear.weight @ x + linear.bias[:, None] + residual
    if activation:
        function = {"gelu": F.gelu, "relu": F.relu}
        tanh = lambda y: F.gelu(y, approximate="tanh")  # noqa: E731
        want = function.get(activation, tanh)(want)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_gelu_is_exact_to_a_millionth_everywhere(activation: str) -> None:
    linear = torch.nn.Linear(1, 1).requires_grad_(False)
    linear.weight.fill_(1), linear.bias.fill_(0)
    x = torch.cat([torch.linspace(-12, 12, 64 * 500), torch.tensor([-1e4, 1e4] * 32)])
    x = x.view(-1, 1, 64)
    got = _SparseProduct(linear, activation, threads=1)(x, torch.empty_like(x))
    approximate = "tanh" if activation == "gelu_new" else "none"
    want = F.gelu(x.double(), approximate=approximate)
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=1e-6)
