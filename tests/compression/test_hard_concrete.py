"""Hard-concrete gates, against the formula in plain numbers and against frequencies."""

from __future__ import annotations

import math

import pytest
import torch

from bench.compression.hard_concrete import drawn, open_probability, settled

VALUES = [-4.6, -2.0, 0.0, 1.5, 4.6]


def plain(log_alpha: float, uniform: float) -> float:
    """One gate, with the published β = 2/3, l = −0.1 and r = 1.1."""
    concrete = 1 / (1 + math.exp(-(math.log(uniform / (1 - uniform)) + log_alpha) * 1.5))
    return min(1.0, max(0.0, concrete * 1.2 - 0.1))


def test_a_draw_is_the_formula_on_a_uniform_number() -> None:
    log_alpha = torch.tensor(VALUES).repeat(200)
    torch.manual_seed(0)
    uniform = torch.empty(1000).uniform_(1e-6, 1 - 1e-6).double()
    torch.manual_seed(0)
    wanted = [plain(a, u) for a, u in zip(log_alpha.tolist(), uniform.tolist(), strict=True)]
    torch.testing.assert_close(drawn(log_alpha), torch.tensor(wanted), atol=2e-5, rtol=0)
    assert {0.0, 1.0} < set(wanted)


@pytest.mark.parametrize("log_alpha", VALUES)
def test_the_expected_number_of_open_gates_is_the_frequency(log_alpha: float) -> None:
    torch.manual_seed(0)
    count = 200_000
    gates = drawn(torch.full((count,), log_alpha))
    p = float(open_probability(torch.tensor(log_alpha)))
    # z > 0 where s > 1/12, that is logit(u) > −log(11) · 2/3 − log α
    assert p == pytest.approx(1 / (1 + 11 ** (-2 / 3) * math.exp(-log_alpha)), rel=1e-6)
    assert float((gates > 0).float().mean()) == pytest.approx(
        p, abs=4 * math.sqrt(p * (1 - p) / count)
    )


def test_the_gradient_goes_through_the_draw() -> None:
    log_alpha = torch.full((2000,), 0.3, dtype=torch.float64, requires_grad=True)

    def total(value: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return drawn(value).sum()

    (gradient,) = torch.autograd.grad(total(log_alpha), log_alpha)
    step = 1e-6
    with torch.no_grad():
        numeric = (total(log_alpha + step) - total(log_alpha - step)) / (2 * step)
    assert float(gradient.sum()) == pytest.approx(float(numeric), rel=1e-4)


def test_without_a_draw_a_gate_is_the_clipped_sigmoid() -> None:
    """A half at 0; 0 below log(1/11) and 1 above log(11), where 1.2σ − 0.1 leaves the range."""
    edge = math.log(11)
    gates = settled(torch.tensor([-edge - 0.01, -edge + 0.1, 0.0, edge - 0.1, edge + 0.01]))
    assert gates[0] == 0 < gates[1] < gates[2] == 0.5 < gates[3] < 1 == gates[4]
