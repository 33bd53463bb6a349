"""Which of the teacher's layers teaches which of the student's, against plain loops."""

from __future__ import annotations

import itertools

import pytest
import torch
from plain_losses import LENGTHS, plain_hidden_loss

from bench.compression.layerwise import layerwise_loss, nearest_layers


def states(layers: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, max(LENGTHS), 6, generator=generator) for _ in range(layers)]


MASK = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()


def by_hand(distances: list[list[float]], alive: list[bool]) -> list[int]:
    """From the last of the teacher's layers on, the nearest that is alive and further below."""
    found: list[int] = []
    limit = len(alive)
    for row in reversed(distances):
        open_to_it = [layer for layer in range(limit) if alive[layer]]
        if open_to_it:
            limit = min(open_to_it, key=lambda layer: row[layer])
        found.insert(0, limit)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_lower_layers_teach_lower_ones(seed: int) -> None:
    distances = torch.rand(4, 6, generator=torch.Generator().manual_seed(seed))
    for alive in itertools.product([True, False], repeat=6):
        if any(alive):
            found = nearest_layers(distances, torch.tensor(alive))
            assert found == by_hand(distances.tolist(), list(alive))
            assert found == sorted(found)
            assert all(alive[layer] for layer in found)


def test_an_example() -> None:
    distances = torch.tensor([[0.9, 0.1, 0.8], [0.2, 0.7, 0.1], [0.3, 0.6, 0.5]])
    assert nearest_layers(distances, monotone=False) == [1, 2, 0]
    assert nearest_layers(distances) == [0, 0, 0]  # the last takes the first: nothing lies below
    assert nearest_layers(distances, torch.tensor([False, True, True])) == [1, 1, 2]
    assert nearest_layers(distances, torch.tensor([False] * 3), monotone=False) == [1, 2, 0]


def test_without_an_order_each_takes_the_nearest_that_is_alive() -> None:
    distances = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    alive = torch.tensor([True, False, True, True, False])
    best = [min((0, 2, 3), key=row.__getitem__) for row in distances.tolist()]
    assert nearest_layers(distances, alive, monotone=False) == best


@pytest.mark.parametrize("monotone", [True, False])
def test_the_loss_is_that_of_the_chosen_pairs(monotone: bool) -> None:
    student, teacher = states(4, 0), states(2, 1)
    for layer in student:
        layer.requires_grad_()
    alive = torch.tensor([True, True, False, True])
    distances = [[plain_hidden_loss([s], [t]) for s in student] for t in teacher]
    chosen = nearest_layers(torch.tensor(distances), alive, monotone=monotone)
    loss = layerwise_loss(student, teacher, MASK, alive, monotone=monotone)
    expected = sum(distances[place][layer] for place, layer in enumerate(chosen))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert {n for n, layer in enumerate(student) if layer.grad is not None} == set(chosen)
    for layer in set(chosen):
        padding = student[layer].grad[MASK == 0]
        assert not padding.any()
