"""Second-order pruning: its algebra, by hand and against plain calculations."""

from __future__ import annotations

import pytest
import torch

from bench.compression.second_order import (
    block_groups,
    fisher_inverse,
    from_blocks,
    saliency,
    to_blocks,
    update,
)
from bench.errors import DivergedError


def inverse_of(gradients: torch.Tensor, dampening: float) -> torch.Tensor:
    """F⁻¹ from gradients `[m, blocks, block]`."""
    _, blocks, block = gradients.shape
    return fisher_inverse(gradients, dampening, torch.empty(blocks, block, block).double())


def exact(gradients: torch.Tensor, dampening: float) -> torch.Tensor:
    wide = gradients.double()
    fisher = torch.einsum("mbi,mbj->bij", wide, wide) / len(wide)
    return torch.linalg.inv(fisher + dampening * torch.eye(gradients.shape[2]).double())


@pytest.mark.parametrize("number", [1, 16, 40, 300])
@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 10.0])
def test_the_inverse_is_that_of_the_dampened_fisher(number: int, size: float) -> None:
    torch.manual_seed(0)
    gradients = size * torch.randn(number, 7, 50) * torch.logspace(0, -2, 50)
    gradients[:, 2, 10:20] = 0  # weights that are gone
    gradients[:, 6, 33:] = 0  # a block that is filled up
    found = inverse_of(gradients, 1e-7)
    wanted = exact(gradients, 1e-7)
    unit = wanted.diagonal(dim1=1, dim2=2).sqrt()
    unit = unit.unsqueeze(1) * unit.unsqueeze(2)
    torch.testing.assert_close(found / unit, wanted / unit, rtol=0, atol=1e-6)
    assert found.diagonal(dim1=1, dim2=2).min() > 0
    assert torch.equal(found[2, 10:20, :10], torch.zeros(10, 10).double())
    torch.testing.assert_close(found[6, 33:, 33:], 1e7 * torch.eye(17).double())


def test_many_blocks_are_inverted_like_few() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(20, 1000, 50)
    some = inverse_of(gradients[:, 900:], 1e-3)
    torch.testing.assert_close(inverse_of(gradients, 1e-3)[900:], some)


def test_filling_up_a_block_changes_nothing() -> None:
    torch.manual_seed(0)
    short = torch.randn(12, 1, 3)
    filled = torch.nn.functional.pad(short, (0, 5))
    inverse, wanted = inverse_of(filled, 1e-2), inverse_of(short, 1e-2)
    weights, removed = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[True, False, False]])
    wide, gone = (torch.nn.functional.pad(t, (0, 5)) for t in (weights, removed))
    torch.testing.assert_close(saliency(wide, inverse)[:, :3], saliency(weights, wanted))
    change = update(wide, inverse, gone)
    torch.testing.assert_close(change[:, :3], update(weights, wanted, removed))
    assert not change[:, 3:].any()


def test_saliency_and_update_by_hand() -> None:
    """F = ½ (I + (1,0)(1,0)ᵀ + (1,1)(1,1)ᵀ) = [[1.5, .5], [.5, 1]]; F⁻¹ = [[.8, −.4], [−.4, 1.2]].

    The second block has gradients of 0, so that F⁻¹ is 2 I there.
    """
    gradients = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]])
    inverse = inverse_of(gradients, 0.5)
    by_hand = torch.tensor([[[0.8, -0.4], [-0.4, 1.2]], [[2.0, 0.0], [0.0, 2.0]]])
    torch.testing.assert_close(inverse, by_hand.double())
    weights = torch.tensor([[2.0, 3.0], [2.0, 3.0]])
    costs = saliency(weights, inverse)
    torch.testing.assert_close(costs.float(), torch.tensor([[2.5, 3.75], [1.0, 2.25]]))
    change = update(weights, inverse, torch.tensor([[True, False], [True, False]]))
    torch.testing.assert_close(weights + change, torch.tensor([[0.0, 4.0], [0.0, 3.0]]))


@pytest.mark.parametrize("removed", [[3], [0, 4, 5], list(range(8))])
def test_the_update_is_the_cheapest_that_removes_the_weights(removed: list[int]) -> None:
    """The minimum of ½ δᵀFδ where δ = −w on the removed weights, from its Lagrange equations."""
    torch.manual_seed(0)
    gradients, weights = torch.randn(30, 1, 8), torch.randn(1, 8)
    inverse = inverse_of(gradients, 1e-2)
    gone = torch.zeros(1, 8, dtype=torch.bool)
    gone[0, removed] = True
    change = update(weights, inverse, gone)

    fisher, picks = torch.linalg.inv(inverse[0]), torch.eye(8).double()[removed]
    none = torch.zeros(len(removed), len(removed)).double()
    system = torch.cat([torch.cat([fisher, picks.T], 1), torch.cat([picks, none], 1)])
    right = torch.cat([torch.zeros(8), -weights[0, removed]]).double()
    wanted = torch.linalg.solve(system, right)[:8]
    torch.testing.assert_close(change[0].double(), wanted, rtol=1e-5, atol=1e-6)
    if len(removed) == 1:  # what its removal costs is what its saliency says
        cost = (wanted @ fisher @ wanted) / 2
        torch.testing.assert_close(saliency(weights, inverse)[0, removed[0]], cost)


def test_blocks_do_not_cross_matrices() -> None:
    like = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(6.0, 10.0).view(2, 2)}
    blocks = to_blocks(like.values(), 4)
    wanted = [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 0.0, 0.0], [6.0, 7.0, 8.0, 9.0]]
    assert blocks.tolist() == wanted
    back = from_blocks(blocks, like)
    assert list(back) == ["a", "b"]
    assert all(torch.equal(back[name], tensor) for name, tensor in like.items())


def test_groups_cover_every_block_and_fit_in_memory() -> None:
    linears = [torch.nn.Linear(7, 11), torch.nn.Linear(10, 30)]  # 2 and 6 blocks of 50
    bytes_a_block = 50 * (50 * 8 + 16 * 4)
    assert block_groups(linears, 50, 8 * bytes_a_block / 1e9) == [slice(0, 8)]
    groups = block_groups(linears, 50, 3.5 * bytes_a_block / 1e9)
    assert groups == [slice(0, 3), slice(3, 6), slice(6, 8)]
    assert len(block_groups(linears, 50, 1e-9)) == 8


@pytest.mark.parametrize(
    ("size", "dampening"), [(1e6, 1e-10), (float("nan"), 1e-7), (float("inf"), 1e-7)]
)
def test_a_fisher_that_has_no_inverse_is_one_clear_line(size: float, dampening: float) -> None:
    """Of one gradient its rank is 1: beside 1e12 a λ of 1e-10 is lost to rounding."""
    with pytest.raises(DivergedError, match="not positive definite") as caught:
        inverse_of(size * torch.ones(1, 3, 8), dampening)
    assert "\n" not in str(caught.value)


def test_an_update_that_has_no_solution_is_one_clear_line() -> None:
    inverse = -torch.eye(4).double().unsqueeze(0)
    with pytest.raises(DivergedError, match="not positive definite"):
        update(torch.ones(1, 4), inverse, torch.ones(1, 4, dtype=torch.bool))
