"""Movement pruning, hard and soft: where it starts, and what of the model it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

import bench
from bench import registry
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path

each_method = pytest.mark.parametrize("name", ["movement", "soft-movement"])


@pytest.mark.parametrize("family", bench.FAMILIES)
@each_method
def test_frozen_embeddings_stay_to_the_bit_and_all_else_moves(
    name: str, family: str, tmp_path: Path
) -> None:
    moved = {}
    for embeddings in ("frozen", "trained"):
        toy = Toy(tmp_path / embeddings, registry.methods.get(name), 4.0,
                  {"embeddings": embeddings, "teacher": "none"}, family, epochs=1)  # fmt: skip
        run, model = toy.compress()
        before = dict(run.pretrained().named_parameters())
        moved[embeddings] = {n for n, p in model.named_parameters() if not p.equal(before[n])}
        assert all(parameter.requires_grad for parameter in model.parameters())
    # by name, as transformers has them, and not by what the method asks
    first = {n for n in before if ".embeddings." in n or ".embeddings_project." in n}
    assert any("word_embeddings" in n for n in first)
    assert any("embeddings_project" in n for n in first) == (family == "electra")
    assert moved["frozen"] == before.keys() - first
    assert moved["trained"] == before.keys()


@each_method
def test_it_starts_where_init_says(name: str, tmp_path: Path) -> None:
    method = registry.methods.get(name)
    run = Toy(tmp_path, method, 4.0, {}).run()
    begun: dict[str, Any] = {}

    def note(model: Any, **_: Any) -> None:
        begun.update({key: value.clone() for key, value in model.state_dict().items()})
        raise InterruptedError

    run.train = note  # type: ignore[method-assign]
    for init, start in (("pretrained", run.pretrained()), ("finetuned", run.finetuned())):
        with pytest.raises(InterruptedError):
            method().compress(run, method.Params(init=init))
        torch.testing.assert_close(begun, dict(start.state_dict()), rtol=0, atol=0)


@each_method
def test_no_phases_that_tuning_may_draw_are_longer_than_the_training(name: str) -> None:
    knobs = registry.methods.get(name).Params.search_space()
    assert knobs["first_phase"].high == 0.6
    assert knobs["first_phase"].high + knobs["final_phase"].high <= 1
