"""Masks, schedules, and pruning along them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import bench
from bench.compression.callbacks import Callback, Training
from bench.compression.losses import task_loss
from bench.compression.masks import CubicSchedule, GradualPruner, Masks, magnitude
from bench.compression.params import TrainParams
from bench.protocol import Protocol
from bench.toys import toy_config, toy_rows
from bench.training.batches import collate
from bench.training.loop import train


@pytest.fixture
def model():
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(toy_config())


def test_the_cubic_schedule_is_that_of_zhu_and_gupta() -> None:
    """s_t = s·(1 − (1 − t/n)³), here at 95 % after 100 events over 1,000 steps."""
    cuts = CubicSchedule().densities(1000, 0.05)
    assert list(cuts) == list(range(10, 1001, 10))
    for step, density in cuts.items():
        assert 1 - density == pytest.approx(0.95 * (1 - (1 - step / 1000) ** 3), abs=1e-12)
    # literature: one event before the last the sparsity is s·(1 − n⁻³)
    assert 1 - cuts[990] == pytest.approx(0.95 * (1 - 100**-3), abs=1e-12)
    assert cuts[1000] == 0.05


@pytest.mark.parametrize("steps", [1, 2, 10, 99, 100, 101, 345])
@pytest.mark.parametrize("end", [1.0, 0.7, 0.05])
def test_a_schedule_ends_at_the_target_with_one_cut_a_step_at_most(steps: int, end: float) -> None:
    cuts = CubicSchedule(end=end).densities(steps, 0.1)
    assert 1 <= len(cuts) <= 100
    assert max(cuts) == max(1, round(end * steps))
    assert cuts[max(cuts)] == 0.1
    assert list(cuts.values()) == sorted(cuts.values(), reverse=True)
    assert list(cuts) == sorted(set(cuts))


def test_a_schedule_waits_for_its_begin() -> None:
    assert min(CubicSchedule(begin=0.5, events=5).densities(100, 0.1)) == 60


def test_a_schedule_may_begin_with_a_jump() -> None:
    """d + (i − d)(1 − x)³ with i = 0.4 and d = 0.1, after a cut to i where the cubic begins."""
    cuts = CubicSchedule(begin=0.2, end=0.7, events=5, initial=0.4).densities(100, 0.1)
    assert list(cuts) == [20, 30, 40, 50, 60, 70]
    for step, density in cuts.items():
        x = (step - 20) / 50
        assert density == pytest.approx(0.1 + 0.3 * (1 - x) ** 3, abs=1e-12)
    assert (cuts[20], cuts[70]) == (0.4, 0.1)


@pytest.mark.parametrize("steps", [1, 7, 345])
def test_no_jump_is_the_schedule_of_old(steps: int) -> None:
    cuts = CubicSchedule(begin=0.1, end=0.8, initial=1.0).densities(steps, 0.05)
    assert cuts == CubicSchedule(begin=0.1, end=0.8).densities(steps, 0.05)
    assert min(cuts) > 0.1 * steps - 1
    events = len(cuts)
    wanted = [0.05 + (1 - 0.05) * (1 - k / events) ** 3 for k in range(1, events + 1)]
    assert list(cuts.values()) == wanted


def test_a_jump_never_falls_below_the_target() -> None:
    """Where the target is not below the jump, the first cut meets it."""
    cuts = CubicSchedule(initial=0.3, events=4).densities(100, 0.5)
    assert list(cuts) == [0, 25, 50, 75, 100]
    assert set(cuts.values()) == {0.5}
    assert CubicSchedule(initial=0.3, events=4).densities(100, 1.0)[100] == 1.0


@pytest.mark.parametrize("density", [0.5, 0.05, 1 / 3])
def test_a_local_cut_keeps_the_largest_of_each_matrix_exactly(model, density: float) -> None:
    masks = Masks(model)
    masks.cut({n: magnitude(n, linear) for n, linear in masks.linears.items()}, density)
    total = 0
    for name, linear in masks.linears.items():
        kept, weights = masks.kept[name], linear.weight.abs()
        assert abs(int(kept.sum()) - density * kept.numel()) < 1
        assert weights[kept].min() >= weights[~kept].max()
        total += int(kept.sum())
    assert total == round(density * sum(linear.weight.numel() for linear in masks.linears.values()))


def test_a_global_cut_keeps_the_largest_of_all(model) -> None:
    masks = Masks(model)
    first = next(iter(masks.linears.values()))
    with torch.no_grad():
        first.weight.mul_(100)
    masks.cut({n: magnitude(n, lin) for n, lin in masks.linears.items()}, 0.1, "global")
    assert next(iter(masks.kept.values())).float().mean() > 0.9
    kept = torch.cat([m.flatten() for m in masks.kept.values()])
    weights = torch.cat([lin.weight.abs().flatten() for lin in masks.linears.values()])
    assert weights[kept].min() >= weights[~kept].max()


def test_equal_scores_do_not_spoil_the_count(model) -> None:
    masks = Masks(model)
    masks.cut({name: torch.zeros_like(lin.weight) for name, lin in masks.linears.items()}, 0.25)
    assert all(int(m.sum()) == m.numel() // 4 for m in masks.kept.values())


def test_what_is_gone_stays_gone(model) -> None:
    masks = Masks(model)
    masks.cut({n: magnitude(n, lin) for n, lin in masks.linears.items()}, 0.5)
    before = {name: kept.clone() for name, kept in masks.kept.items()}
    masks.cut({n: -magnitude(n, lin) for n, lin in masks.linears.items()}, 0.25)
    for name, kept in masks.kept.items():
        assert not (kept & ~before[name]).any()
        assert int(kept.sum()) == kept.numel() // 4


class Watch(Callback):
    """Notes after each step how many prunable weights are alive, and whether one came back."""

    def __init__(self) -> None:
        self.alive: list[int] = []
        self.returned = False
        self._dead: dict[str, torch.Tensor] = {}

    def after_step(self, training: Training) -> None:
        linears = bench.prunable(training.model)
        for name, linear in linears.items():
            dead = linear.weight == 0
            if name in self._dead and (self._dead[name] & ~dead).any():
                self.returned = True
            self._dead[name] = dead
        self.alive.append(sum(int(lin.weight.count_nonzero()) for lin in linears.values()))


@pytest.mark.parametrize("initial", [1.0, 0.5])
@pytest.mark.parametrize("scope", ["local", "global"])
def test_gradual_pruning_follows_its_schedule_in_a_real_training(
    model, scope: str, initial: float
) -> None:
    watch = Watch()
    schedule = CubicSchedule(end=0.5, initial=initial)
    pruner = GradualPruner(model, density=0.1, schedule=schedule, scope=scope)
    protocol = Protocol(epochs=4, trials=0, precision="fp32", batch_size=8)
    steps = train(
        model,
        toy_rows(0),
        loss=task_loss,
        params=TrainParams(),
        protocol=protocol,
        device="cpu",
        seed=(0,),
        callbacks=[pruner, watch],
    ).step
    total = sum(linear.weight.numel() for linear in bench.prunable(model).values())
    wanted, density = [], initial
    cuts = schedule.densities(steps, 0.1)
    for step in range(1, steps + 1):
        density = cuts.get(step, density)
        wanted.append(round(density * total))
    assert watch.alive == wanted
    assert not watch.returned
    assert bench.count(pruner.finish()).weights == round(0.1 * total)


def test_a_cut_by_rows_keeps_the_best_of_each_row(model) -> None:
    masks = Masks(model)
    scores = {n: magnitude(n, lin) for n, lin in masks.linears.items()}
    masks.choose(scores, 0.3, "row")
    assert sum(int(kept.sum()) for kept in masks.kept.values()) == round(
        0.3 * sum(kept.numel() for kept in masks.kept.values())
    )
    for name, kept in masks.kept.items():
        for row in range(len(kept)):
            count = int(kept[row].sum())
            assert abs(count - 0.3 * kept.shape[1]) < 1
            best = set(scores[name][row].argsort(descending=True)[:count].tolist())
            assert best == set(kept[row].nonzero().flatten().tolist())


def test_a_cut_by_rows_reaches_as_far_as_any(model) -> None:
    """A row may lose all it has: fewer weights may be wanted than there are rows."""
    masks = Masks(model)
    total = sum(kept.numel() for kept in masks.kept.values())
    rows = sum(len(kept) for kept in masks.kept.values())
    masks.choose(bench.random_scores(model, 0), rows / 3 / total, "row")
    assert sum(int(kept.sum()) for kept in masks.kept.values()) == round(rows / 3)
    assert all(kept.any() for kept in masks.kept.values())


def test_a_cut_by_rows_favours_no_matrix(model) -> None:
    """No row can keep 29 % of its weights; what is left over goes to all matrices alike."""
    masks = Masks(model)
    masks.choose(bench.random_scores(model, 0), 0.29, "row")
    square = [kept for kept in masks.kept.values() if kept.shape[0] == kept.shape[1]]
    shares = [float(kept.float().mean()) for kept in square]
    assert sum(shares) / len(shares) == pytest.approx(0.29, abs=0.01)
    assert max(shares) - min(shares) <= 2 / square[0].numel()


def test_a_choice_among_some_matrices_leaves_the_others(model) -> None:
    masks = Masks(model)
    first, *others = masks.linears
    masks.choose({first: magnitude(first, masks.linears[first])}, 0.25, "row")
    assert int(masks.kept[first].sum()) == masks.kept[first].numel() // 4
    assert all(masks.kept[name].all() for name in others)


def test_input_norms_are_those_of_the_real_tokens(model) -> None:
    """The first query matrix sees the embeddings' output, row by row without its padding."""
    data = toy_rows(0)
    rows = np.arange(6)
    batch = collate(data, rows, model, torch.device("cpu"))
    linears = bench.prunable(model)
    name = next(iter(linears))
    norms = bench.input_norms(model, {name: linears[name]}, [batch])[name]
    seen = []
    for row in rows:
        ids = torch.tensor(data.pieces[data.offsets[row] : data.offsets[row + 1]][None].tolist())
        seen.append(model.bert.embeddings(input_ids=ids)[0])
    torch.testing.assert_close(norms, torch.cat(seen).norm(dim=0))
    assert not linears[name]._forward_pre_hooks


@pytest.mark.parametrize("scope", ["local", "global", "row"])
def test_a_cut_to_more_than_is_left_brings_nothing_back(model, scope: str) -> None:
    masks = bench.Masks(model)
    masks.cut(bench.random_scores(model, 0), 0.25, scope)
    before = {name: kept.clone() for name, kept in masks.kept.items()}
    masks.cut(bench.random_scores(model, 1), 0.5, scope)
    assert all(torch.equal(masks.kept[name], before[name]) for name in before)
