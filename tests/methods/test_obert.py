"""Gradual second-order pruning: each cut by plain loops, and the events around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

import bench
from bench import registry
from bench.compression.second_order import block_groups
from bench.testing import Toy
from bench_methods.obert import ROWS, event_densities

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runs.cells.cell_run import CellRun


class Cut:
    """What the method makes of the toy where nothing is trained in between.

    Attributes:
        run: The run, with what it was charged.
        before: The fine-tuned weights.
        after: Those that are handed to the last training.
        masks: The masks after each cut.
        phases: The options of each training.
        cuts_before: How many cuts came before each training.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, ratio: float = 4.0, **params: Any
    ) -> None:
        self.method = registry.methods.get("obert")
        self.params = self.method.Params(gradients=8, **params)
        self.run: CellRun = Toy(folder, self.method, ratio, {}).run()
        self.run.train = self._train  # type: ignore[method-assign]
        self.phases: list[dict[str, Any]] = []
        self.cuts_before: list[int] = []
        self.masks: list[dict[str, torch.Tensor]] = []
        cut = bench.Masks.cut

        def watch(masks: bench.Masks, *arguments: Any) -> None:
            cut(masks, *arguments)
            self.masks.append({name: kept.clone() for name, kept in masks.kept.items()})

        monkeypatch.setattr(bench.Masks, "cut", watch)
        self.before = weights_of(self.run.finetuned())
        self.after = weights_of(self.method().compress(self.run, self.params))

    def _train(self, model: Any, **options: Any) -> None:
        self.phases.append(options)
        self.cuts_before.append(len(self.masks))

    def left(self) -> list[float]:
        """The share of the weights that each cut left."""
        total = sum(weight.numel() for weight in self.before.values())
        return [sum(int(kept.sum()) for kept in m.values()) / total for m in self.masks]

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
    cut = Cut(tmp_path, monkeypatch, events=1, scope="local")
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
            some = columns[:, begin : begin + 50]
            fisher = some.T @ some / len(some) + 1e-7 * torch.eye(some.shape[1]).double()
            inverse = torch.linalg.inv(fisher)
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
    cut = Cut(tmp_path, monkeypatch, events=1, recomputations=3, scope=scope)
    assert len(cut.masks) == 3
    assert cut.left() == [0.75, 0.5, 0.25]
    assert [phase["share"] for phase in cut.phases] == [1.0]
    for earlier, later in zip(cut.masks, cut.masks[1:], strict=False):
        assert all((earlier[name] | ~later[name]).all() for name in earlier)
    for name, weight in cut.after.items():
        assert torch.equal(weight != 0, cut.masks[-1][name])


def test_little_memory_gives_the_same_model_for_more_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one = Cut(tmp_path / "one", monkeypatch, events=2)
    many = Cut(tmp_path / "many", monkeypatch, events=2, memory_gb=0.003)
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
    cut = Cut(tmp_path, monkeypatch, events=1, block=1)
    for name, weight in cut.after.items():
        assert torch.equal(weight, cut.before[name] * (weight != 0))


@pytest.mark.parametrize("dampening", [1e-10, 1e-2])
def test_no_dampening_in_range_breaks_a_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dampening: float
) -> None:
    cut = Cut(tmp_path, monkeypatch, ratio=20.0, events=2, dampening=dampening)
    assert all(weight.isfinite().all() for weight in cut.after.values())


def test_events_follow_the_authors_recipe() -> None:
    """Seven events to 97 %: 70 % at once, then s + (0.7 − s)(1 − k/6)³ at the k-th after it."""
    wanted = [0.97 + (0.7 - 0.97) * (1 - k / 6) ** 3 for k in range(7)]
    assert [1 - left for left in event_densities(7, 0.03)] == pytest.approx(wanted, abs=1e-12)
    assert event_densities(7, 0.03)[-1] == 0.03
    assert event_densities(2, 0.05) == [pytest.approx(0.3), 0.05]
    assert event_densities(1, 0.05) == [0.05]
    assert event_densities(4, 0.5) == [0.5]
    assert event_densities(4, 0.3) == [0.3]


def test_events_take_turns_with_equally_long_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(tmp_path, monkeypatch, ratio=20.0, events=3, recomputations=2)
    first, second, last = 0.3, 0.05 + 0.25 / 8, 0.05
    wanted = [(1 + first) / 2, first, (first + second) / 2, second, (second + last) / 2, last]
    assert cut.left() == pytest.approx(wanted, abs=1e-4)
    assert cut.cuts_before == [2, 4, 6]
    assert [phase["share"] for phase in cut.phases] == [pytest.approx(1 / 3)] * 3
    assert all(phase["params"] is cut.params for phase in cut.phases)
    assert cut.run.flops["importance"] == 3 * 6 * cut.forward_flops()
