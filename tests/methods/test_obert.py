"""Second-order pruning: its algebra by hand, and the whole cut on a toy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

import bench
from bench import registry
from bench.testing import Toy
from bench_methods.obert import (
    ROWS,
    block_groups,
    fisher_inverse,
    from_blocks,
    saliency,
    to_blocks,
    update,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runs.cells.cell_run import CellRun


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


class Cut:
    """What the method makes of the toy before the training, which is left out.

    Attributes:
        run: The run, with what it was charged.
        before: The fine-tuned weights.
        after: Those that are handed to the training.
        masks: The masks after each cut.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, ratio: float = 4.0, **params: Any
    ) -> None:
        self.method = registry.methods.get("obert")
        self.params = self.method.Params(gradients=8, **params)
        self.run: CellRun = Toy(folder, self.method, ratio, {}).run()
        self.run.train = lambda model, **_: None  # type: ignore[method-assign]
        self.masks: list[dict[str, torch.Tensor]] = []
        cut = bench.Masks.cut

        def watch(masks: bench.Masks, *arguments: Any) -> None:
            cut(masks, *arguments)
            self.masks.append({name: kept.clone() for name, kept in masks.kept.items()})

        monkeypatch.setattr(bench.Masks, "cut", watch)
        self.before = weights_of(self.run.finetuned())
        self.after = weights_of(self.method().compress(self.run, self.params))

    def forward_flops(self) -> int:
        """One forward pass over the rows that it drew."""
        model = self.run.finetuned()
        batches = self.run.sample(model, ROWS * 8, passes=0)
        lengths = [n for batch in batches for n in batch.inputs["attention_mask"].sum(1)]
        return bench.count_dense(model).forward_flops(lengths)


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: lin.weight.detach().clone() for name, lin in bench.prunable(model).items()}


def test_a_cut_is_that_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against plain loops over matrices and blocks."""
    cut = Cut(tmp_path, monkeypatch, cuts=1, scope="local")
    model, run = cut.run.finetuned().eval(), cut.run
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in cut.before}
    for batch in run.sample(model, ROWS * 8, passes=0, batch_size=ROWS):
        model.zero_grad()
        bench.task_loss(model, batch).backward()
        for name, linear in bench.prunable(model).items():
            gradients[name].append(linear.weight.grad.flatten().double())
    moved = False
    for name, old in cut.before.items():
        flat, columns = old.flatten().double(), torch.stack(gradients[name])
        inverses, costs = [], []
        for begin in range(0, len(flat), 50):
            inverse = exact(columns[:, None, begin : begin + 50], 1e-7)[0]
            inverses.append(inverse)
            costs.append(flat[begin : begin + 50] ** 2 / (2 * inverse.diagonal()))
        keep = torch.cat(costs).topk(len(flat) // 4).indices
        gone = torch.ones_like(flat, dtype=torch.bool)
        gone[keep] = False
        for number, inverse in enumerate(inverses):
            begin = number * 50
            removed = gone[begin : begin + 50].nonzero().flatten() + begin
            inner = inverse[removed - begin][:, removed - begin]
            pull = torch.linalg.solve(inner, flat[removed])
            flat[begin : begin + 50] -= inverse[:, removed - begin] @ pull
        flat[gone] = 0
        torch.testing.assert_close(cut.after[name].double().flatten(), flat, rtol=1e-4, atol=1e-6)
        left = ~gone.view_as(old)
        assert torch.equal(cut.after[name] != 0, left)
        moved |= not torch.allclose(cut.after[name][left], old[left], rtol=1e-2)
    assert moved


@pytest.mark.parametrize("scope", ["local", "global"])
def test_what_is_gone_stays_gone_over_several_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    cut = Cut(tmp_path, monkeypatch, cuts=3, scope=scope)
    assert len(cut.masks) == 3
    total = sum(weight.numel() for weight in cut.before.values())
    for number, masks in enumerate(cut.masks, start=1):
        assert sum(int(kept.sum()) for kept in masks.values()) == total - total * number // 4
    for earlier, later in zip(cut.masks, cut.masks[1:], strict=False):
        assert all((earlier[name] | ~later[name]).all() for name in earlier)
    for name, weight in cut.after.items():
        assert torch.equal(weight != 0, cut.masks[-1][name])


def test_little_memory_gives_the_same_model_for_more_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one = Cut(tmp_path / "one", monkeypatch, cuts=2)
    many = Cut(tmp_path / "many", monkeypatch, cuts=2, memory_gb=0.003)
    linears = bench.prunable(one.run.finetuned()).values()
    groups = len(block_groups(linears, 50, 0.003))
    assert groups > 2
    for name, weight in one.after.items():
        assert torch.equal(weight != 0, many.after[name] != 0)
        torch.testing.assert_close(many.after[name], weight, rtol=1e-4, atol=1e-6)
    assert one.run.flops["importance"] == 3 * 2 * one.forward_flops()
    assert many.run.flops["importance"] == 3 * 2 * (2 * groups - 1) * many.forward_flops()


def test_blocks_of_one_move_no_other_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(tmp_path, monkeypatch, cuts=1, block=1)
    for name, weight in cut.after.items():
        assert torch.equal(weight, cut.before[name] * (weight != 0))


@pytest.mark.parametrize("dampening", [1e-10, 1e-2])
def test_no_dampening_in_range_breaks_a_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dampening: float
) -> None:
    cut = Cut(tmp_path, monkeypatch, ratio=20.0, dampening=dampening)
    assert all(weight.isfinite().all() for weight in cut.after.values())
