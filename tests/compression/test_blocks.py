"""Movement pruning of blocks, against plain autograd and plain loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from plain_losses import batch_of
from torch.func import functional_call

import bench
from bench.compression.blocks import BlockMovementPruner
from bench.compression.callbacks import Training
from bench.compression.losses import task_loss
from bench.compression.masks import CubicSchedule
from bench.models.families import MATRICES, layers, prunable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BLOCK = 8
"""Of the tiny models: heads of 8, a width of 24."""


def started(model: PreTrainedModel, steps: int = 10, **settings) -> tuple:
    settings = {"heads": 2, "neurons": 13, "schedule": CubicSchedule(), **settings}
    pruner = BlockMovementPruner(model, **settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    training = Training(model, optimizer, total_steps=steps)
    pruner.start(training)
    return pruner, optimizer, training


def matrices(model: PreTrainedModel) -> list[dict[str, str]]:
    names = list(prunable(model))
    return [dict(zip(MATRICES, names[place : place + 6], strict=True)) for place in (0, 6)]


def attention(model: PreTrainedModel) -> list[str]:
    """The names of the matrices that have blocks."""
    return [names[matrix] for names in matrices(model) for matrix in MATRICES[:4]]


def draw_scores(pruner: BlockMovementPruner, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for scores in pruner.scores.values():
            scores.copy_(torch.randn(scores.shape, generator=generator))


def test_there_is_a_score_a_block_and_a_neuron(model) -> None:
    pruner, optimizer, _ = started(model)
    wanted = {}
    for names in matrices(model):
        wanted |= {names[matrix]: (3, 3) for matrix in MATRICES[:4]}
        wanted[names["intermediate"]] = (40,)
    assert {name: tuple(scores.shape) for name, scores in pruner.scores.items()} == wanted
    assert optimizer.param_groups[-1]["params"] == list(pruner.scores.values())


def test_the_gradient_of_a_score_is_that_of_its_mask(model) -> None:
    """As autograd has it where a weight is its value times its block's number."""
    pruner, _, training = started(model)
    draw_scores(pruner, 0)
    training.step = 6
    pruner.after_step(training)
    batch = batch_of(model)
    kept = pruner._masks.kept
    shares = [float(mask.float().mean()) for mask in kept.values()]
    assert 0 < min(shares) < max(shares) < 1

    numbers = {}
    for name in attention(model):  # the mask of a block is that of its first weight
        numbers[name] = kept[name][::BLOCK, ::BLOCK].double()
    for names in matrices(model):
        numbers[names["intermediate"]] = kept[names["intermediate"]][:, 0].double()
    for number in numbers.values():
        number.requires_grad_()
    masked = {}
    for name in attention(model):
        whole = torch.kron(numbers[name], torch.ones(BLOCK, BLOCK))
        masked[f"{name}.weight"] = pruner._dense[name].double() * whole
    for names in matrices(model):
        rows = numbers[names["intermediate"]]
        dense = pruner._dense
        masked[f"{names['intermediate']}.weight"] = (
            dense[names["intermediate"]].double() * rows[:, None]
        )
        masked[f"{names['output']}.weight"] = dense[names["output"]].double() * rows
    plain = {name: value.detach().double() for name, value in model.named_parameters()}
    logits = functional_call(model, plain | masked, kwargs=batch.inputs).logits
    torch.nn.functional.cross_entropy(logits, batch.labels).backward()

    task_loss(model, batch).backward()
    pruner.before_step(training)
    for name, number in numbers.items():
        torch.testing.assert_close(
            pruner.scores[name].grad.double(), number.grad, atol=1e-6, rtol=1e-3
        )
    for name, linear in prunable(model).items():
        assert torch.equal(linear.weight, pruner._dense[name])
        assert not linear.weight.grad[~kept[name]].any()


def living_heads(model: PreTrainedModel, pruner: BlockMovementPruner) -> list[tuple[int, int]]:
    """Heads with any block of values and any of outputs under the masks."""
    found = []
    for number, names in enumerate(matrices(model)):
        value, output = (pruner._masks.kept[names[m]] for m in ("value", "attention_output"))
        for head in range(3):
            part = slice(head * BLOCK, (head + 1) * BLOCK)
            if value[part].any() and output[:, part].any():
                found.append((number, head))
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_schedule_ends_where_as_many_heads_and_neurons_are_left(model, seed: int) -> None:
    pruner, _, training = started(model, schedule=CubicSchedule(begin=0.2, end=0.8, events=6))
    draw_scores(pruner, seed)
    densities = []
    for step in range(1, 11):
        training.step = step
        pruner.after_step(training)
        kept = pruner._masks.kept
        neurons = sum(int(kept[names["intermediate"]][:, 0].sum()) for names in matrices(model))
        blocks = sum(int(kept[name][::BLOCK, ::BLOCK].sum()) for name in attention(model))
        assert blocks * BLOCK**2 == sum(int(kept[name].sum()) for name in attention(model))
        densities.append((blocks, neurons))
    # what is left of the way after each of the six cuts, at steps 3 to 8
    way = [1, 1, *[(1 - event / 6) ** 3 for event in range(1, 7)], 0, 0]
    least = densities[-1][0]
    assert densities == [(least + round((72 - least) * x), 13 + round((80 - 13) * x)) for x in way]
    assert len(living_heads(model, pruner)) == 2

    every = torch.cat([pruner.scores[name].flatten() for name in attention(model)])
    lowest = every.sort(descending=True).values[least - 1]
    for name in attention(model):
        stays = pruner.scores[name] >= lowest
        assert torch.equal(pruner._masks.kept[name][::BLOCK, ::BLOCK], stays)
    more, alive = every[every < lowest].max(), 0  # one block more, and so many heads are not empty
    for names in matrices(model):
        value, output = (pruner.scores[names[m]] >= more for m in ("value", "attention_output"))
        alive += int((value.any(dim=1) & output.any(dim=0)).sum())
    assert alive == 3

    heads, neurons = pruner.fill()
    assert [(layer, head) for layer, some in enumerate(heads) for head in some] == living_heads(
        model, pruner
    )
    for names, some in zip(matrices(model), neurons, strict=True):
        assert pruner._masks.kept[names["intermediate"]][:, 0].nonzero().flatten().tolist() == some


def test_what_is_filled_has_its_weights_back(model) -> None:
    before = {name: linear.weight.detach().clone() for name, linear in prunable(model).items()}
    pruner, _, training = started(model)
    draw_scores(pruner, 3)
    training.step = 10
    pruner.after_step(training)
    assert bench.count(model).weights < bench.count_dense(model).weights / 2
    heads, neurons = pruner.fill()
    assert all(torch.equal(linear.weight, before[n]) for n, linear in prunable(model).items())
    smaller = bench.cut(model, heads, neurons)
    assert bench.count(smaller).weights == 2 * 4 * 8 * 24 + 13 * 2 * 24
    assert sum(layer.heads for layer in layers(smaller)) == 2


@pytest.mark.parametrize(("heads", "neurons"), [(0, 1), (6, 80), (6, 3), (0, 80)])
def test_none_or_all_may_stay(model, heads: int, neurons: int) -> None:
    pruner, _, training = started(model, heads=heads, neurons=neurons)
    draw_scores(pruner, 4)
    training.step = 10
    pruner.after_step(training)
    assert len(living_heads(model, pruner)) == heads
    kept_heads, kept_neurons = pruner.fill()
    assert (sum(map(len, kept_heads)), sum(map(len, kept_neurons))) == (heads, neurons)


def test_a_block_belongs_to_one_head_of_any_size() -> None:
    from bench.compression.blocks import _block

    def layer(size: int, width: int):
        linear = torch.nn.Linear(width, 2 * size)
        return bench.models.families.Layer(**dict.fromkeys(MATRICES, linear), head_size=size)  # type: ignore[arg-type]

    assert _block(layer(64, 768), "query") == (32, 32)
    assert _block(layer(64, 768), "attention_output") == (32, 32)
    assert _block(layer(26, 312), "value") == (2, 8)
    assert _block(layer(26, 312), "attention_output") == (8, 2)
