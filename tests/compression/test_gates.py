"""Gates on an encoder: under them it answers as what is cut out, and their cost is as expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tiny_models import pieces, tiny_config
from transformers import AutoModelForSequenceClassification

from bench.compression.callbacks import Callback, Training
from bench.compression.gates import Gated, Gates
from bench.compression.hard_concrete import drawn
from bench.compression.lagrangian import BOUND, GatePruner
from bench.compression.params import TrainParams
from bench.compression.structure import Structure
from bench.compression.target import Target
from bench.compression.units import cost_of
from bench.models.footprint import compare, count_dense
from bench.protocol import Protocol
from bench.toys import toy_config, toy_rows
from bench.training.loop import train

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def unprojected() -> PreTrainedModel:
    """ELECTRA whose embeddings are as wide as its layers."""
    config = tiny_config("electra")
    config.embedding_size = 24
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def some_gates(seed: int, closed: float = 0.4) -> Gates:
    """Gates from 0.2 to 1, of which a share is 0."""
    generator = torch.Generator().manual_seed(seed)

    def gates(*shape: int) -> torch.Tensor:
        found = 0.2 + 0.8 * torch.rand(shape, generator=generator)
        return found * (torch.rand(shape, generator=generator) >= closed)

    return Gates(gates(2), gates(2, 3), gates(2), gates(2, 40), gates(24))


def without_first_layer(gates: Gates) -> Gates:
    """Its feed-forward part is closed, and of its attention, which is not, every head."""
    attention, feed_forward = torch.tensor([0.7, 0.9]), torch.tensor([0.0, 0.8])
    heads = gates.heads.clone()
    heads[0], heads[1, 1] = 0, 0.5
    return Gates(attention, heads, feed_forward, gates.neurons, gates.dimensions)


def without_heads(gates: Gates) -> Gates:
    """The bias behind them is still there, times the gate of the part."""
    attention, feed_forward = torch.tensor([0.7, 0.0]), torch.tensor([0.5, 0.8])
    return Gates(attention, gates.heads * 0, feed_forward, gates.neurons, gates.dimensions)


CASES = {
    "some": some_gates(0),
    "others": some_gates(5),
    "all dimensions": Gates(*some_gates(1).parts[:4], torch.linspace(0.2, 1, 24)),
    "a layer gone": without_first_layer(some_gates(2)),
    "heads gone": without_heads(some_gates(3)),
    "everything open": some_gates(4, closed=0).map(torch.ones_like),
}


def assert_gated_is_cut(model: PreTrainedModel, gates: Gates, structure: Structure) -> None:
    before = model(pieces()).logits
    gated = Gated(model, gates)
    gated.use(gates, structure)
    under_gates = model(pieces()).logits
    if all(bool((part == 1).all()) for part in gates.parts):
        torch.testing.assert_close(under_gates, before, atol=1e-5, rtol=0)
    else:
        assert (under_gates - before).abs().max() > 1e-2
    gated.keep()
    assert not any("forward" in vars(module) for module in model.modules())
    cut = structure.cut(model)
    torch.testing.assert_close(cut(pieces()).logits, under_gates, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_a_model_under_gates_answers_as_the_one_that_is_cut(model, case: str) -> None:
    gates = CASES[case]
    assert_gated_is_cut(model, gates, gates.structure)


@torch.no_grad()
def test_embeddings_without_a_projection_have_the_gates_of_the_dimensions() -> None:
    assert_gated_is_cut(unprojected(), CASES["some"], CASES["some"].structure)


@torch.no_grad()
def test_a_structure_may_close_more_and_keep_what_is_closed(model) -> None:
    """What a target takes off or gives back after the training: a gate of 0 may stay as one."""
    gates = CASES["others"]
    structure = Structure(
        torch.tensor([[True, False, True], [False, True, True]]),
        torch.arange(80).view(2, 40) % 3 == 0,
        torch.arange(24) % 4 < 2,
    )
    assert (structure.dimensions & (gates.dimensions == 0)).any()
    assert_gated_is_cut(model, gates, structure)


def test_the_gradient_of_a_gate_is_that_of_the_answers(model) -> None:
    gates = some_gates(7, closed=0.2).map(lambda part: part.double().requires_grad_())
    model.double()
    gated = Gated(model, gates)
    (model(pieces()).logits ** 2).sum().backward()
    step = 1e-5
    for name, part in vars(gates).items():
        place = tuple((part.detach() > 0).nonzero()[-1].tolist())

        def at(change: float, name: str = name, place: tuple[int, ...] = place) -> float:
            parts = {key: value.detach().clone() for key, value in vars(gates).items()}
            parts[name][place] += change
            gated.use(Gates(**parts))
            with torch.no_grad():
                return float((model(pieces()).logits ** 2).sum())

        numeric = (at(step) - at(-step)) / (2 * step)
        assert float(part.grad[place]) == pytest.approx(numeric, rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize("axis", ["weights", "flops", "bytes"])
def test_the_expected_cost_is_the_mean_over_draws(axis: str) -> None:
    """Against what the drawn structures cost, unit by unit."""
    model = unprojected()
    pruner = GatePruner(model, Target(axis, 1.5, 32))
    generator = torch.Generator().manual_seed(0)
    pruner.log_alpha = pruner.log_alpha.map(
        lambda part: torch.randn(part.shape, generator=generator) * 2 - 1
    )
    costs, _, whole = Target(axis, 1.5, 32).structure_budget(model.config)
    torch.manual_seed(0)
    found = []
    for _ in range(4000):
        left = pruner.log_alpha.map(drawn).structure
        found.append(1 - costs.total(
            width=int(left.dimensions.sum()), layers=int(left.layers.sum()),
            heads=int(left.heads.sum()), neurons=int(left.neurons.sum()),
        ) / whole)  # fmt: skip
    gone = torch.tensor(found, dtype=torch.float64)
    error = float(gone.std()) / len(found) ** 0.5
    assert float(pruner.expected_gone()) == pytest.approx(float(gone.mean()), abs=4 * error)
    assert 0.02 < float(gone.mean()) < 0.98


class Trace(Callback):
    """Notes what is expected to be gone after each step, and the multipliers."""

    def __init__(self, pruner: GatePruner) -> None:
        self.pruner = pruner
        self.gone: list[float] = []
        self.multipliers: list[tuple[float, ...]] = []

    def after_step(self, training: Training) -> None:
        self.gone.append(float(self.pruner.expected_gone().detach()))
        self.multipliers.append(tuple(self.pruner.multipliers.tolist()))


@pytest.mark.parametrize(("axis", "ratio"), [("weights", 4.0), ("flops", 2.0)])
def test_the_lagrangian_brings_the_gates_to_the_target(axis: str, ratio: float) -> None:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(toy_config())
    pruner = GatePruner(model, Target(axis, ratio, 32), ramp=0.5)
    trace = Trace(pruner)

    def loss(model, batch):
        alive = pruner.draw()
        assert alive.shape == (2,)
        return 1e-3 * model(**batch.inputs).logits.square().mean() + pruner.penalty()

    protocol = Protocol(epochs=50, trials=0, precision="fp32", batch_size=8)
    steps = train(model, toy_rows(0), loss=loss, params=TrainParams(), protocol=protocol,
                  device="cpu", seed=(0,), callbacks=[pruner, trace]).step  # fmt: skip
    wanted = 1 - 1 / ratio
    assert abs(trace.gone[-1] - wanted) < 0.03
    assert trace.gone[steps // 10] < wanted / 2 < trace.gone[steps // 2]
    assert min(m[0] for m in trace.multipliers) < 0  # too little was gone: λ₁ pulls upwards
    second = [m[1] for m in trace.multipliers]
    assert second == sorted(second)  # its own gradient is a square
    assert torch.equal(model(pieces()).logits, model(pieces()).logits)  # no noise between steps
    structure = pruner.finish()
    smaller = structure.cut(model)
    found = compare(count_dense(model), count_dense(smaller), 32)[axis]["ratio"]
    assert ratio <= found <= 1.02 * ratio


def test_the_penalty_is_the_formula_and_the_ramp_is_linear(model) -> None:
    pruner = GatePruner(model, Target("weights", 5.0, 32), ramp=0.4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    training = Training(model, optimizer, total_steps=50)
    pruner.start(training)
    gates, multipliers = optimizer.param_groups[-2:]
    assert gates["lr"] == multipliers["lr"] == 30 / 50
    assert (multipliers["maximize"], gates["weight_decay"]) == (True, 0)
    with torch.no_grad():
        pruner.multipliers.copy_(torch.tensor([-0.5, 3.0]))
    gone = float(pruner.expected_gone().detach())
    for step, wanted in ((0, 0.0), (10, 0.4), (20, 0.8), (45, 0.8)):
        training.step = step
        expected = -0.5 * (gone - wanted) + 3 * (gone - wanted) ** 2
        assert float(pruner.penalty().detach()) == pytest.approx(expected, rel=1e-5)
    pruner.penalty().backward()
    assert all((part.grad <= 0).all() for part in pruner.log_alpha.parts) is False
    with torch.no_grad():
        pruner.log_alpha.heads.fill_(9.0)
    pruner.after_step(training)
    assert float(pruner.log_alpha.heads.detach().max()) == pytest.approx(BOUND)
    assert cost_of(count_dense(model), "weights", 32) == pruner._whole
