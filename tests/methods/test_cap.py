"""CAP is movement pruning with a further loss, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bench import registry
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path


def delivered(folder: Path, name: str, contrastive: bool) -> dict[str, torch.Tensor]:
    toy = Toy(folder, registry.methods.get(name), 4.0, {"contrastive": contrastive}, epochs=2)
    return toy.compress()[1].state_dict()


def test_the_loss_is_all_that_differs(tmp_path: Path) -> None:
    """Either is the other where the parameter says so, to the bit; the loss makes a difference."""
    made = {
        (name, contrastive): delivered(tmp_path / f"{name}-{contrastive}", name, contrastive)
        for name in ("movement", "cap")
        for contrastive in (False, True)
    }
    for contrastive in (False, True):
        one, other = (made[name, contrastive] for name in ("movement", "cap"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    without, with_it = made["movement", False], made["movement", True]
    assert not all(torch.equal(without[key], with_it[key]) for key in without)


def test_defaults_say_whose_loss_it_is() -> None:
    defaults = {n: registry.methods.get(n).Params.defaults() for n in ("movement", "cap")}
    assert defaults["cap"] == {**defaults["movement"], "contrastive": True}
    spaces = [registry.methods.get(n).Params.search_space() for n in ("movement", "cap")]
    assert list(spaces[0]) == list(spaces[1])
