"""One-shot pruning, by hand on a toy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import bench
from bench import registry
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path


def test_wanda_judges_each_layer_by_what_the_pruned_ones_before_it_give(tmp_path: Path) -> None:
    method = registry.methods.get("one-shot-wanda")
    run = Toy(tmp_path, method, 4.0, {}).run()
    run.train = lambda model, **_: None  # type: ignore[method-assign]  # the cut is what is looked at
    cut = method().compress(run, method.Params(samples=16))
    assert run.flops["importance"] == 2 * bench.count_dense(cut).forward_flops(
        [n for b in run.sample(cut, 16, passes=0) for n in b.inputs["attention_mask"].sum(1)]
    )

    model = run.finetuned()
    batches = run.sample(model, 16, passes=0)
    for number, layer in enumerate(bench.layers(model)):
        inputs: dict[str, list[torch.Tensor]] = {}
        handles = [
            linear.register_forward_pre_hook(
                lambda _, args, name=name, seen=inputs: seen.setdefault(name, []).append(args[0])
            )
            for name, linear in layer.matrices.items()
        ]
        with torch.no_grad():
            for batch in batches:
                model(**batch.inputs)
        for handle in handles:
            handle.remove()
        for name, linear in layer.matrices.items():
            real = [b.inputs["attention_mask"].bool() for b in batches]
            tokens = torch.cat([x[m] for x, m in zip(inputs[name], real, strict=True)])
            scores = linear.weight.detach().abs() * tokens.norm(dim=0)
            keep = scores.shape[1] // 4
            lowest_kept = scores.topk(keep, dim=1).values[:, -1:]
            wanted = linear.weight * (scores >= lowest_kept)
            got = bench.layers(cut)[number].matrices[name].weight
            torch.testing.assert_close(got, wanted)
        with torch.no_grad():
            for name, linear in layer.matrices.items():
                linear.weight.copy_(bench.layers(cut)[number].matrices[name].weight)


def test_a_one_shot_cut_holds_through_the_training_after_it(tmp_path: Path) -> None:
    method = registry.methods.get("one-shot-magnitude")
    toy = Toy(tmp_path, method, 4.0, {})
    run = toy.run()
    finetuned = run.finetuned()
    before = {name: linear.weight for name, linear in bench.prunable(finetuned).items()}
    after = bench.prunable(method().compress(run, method.Params()))
    for name, linear in after.items():
        keep = before[name].numel() // 4
        smallest_kept = before[name].abs().flatten().topk(keep).values[-1]
        assert torch.equal(linear.weight != 0, before[name].abs() >= smallest_kept)
    assert any(not torch.equal(after[n].weight[after[n].weight != 0],
                               before[n][after[n].weight != 0]) for n in after)  # fmt: skip
    made_once = {part for part, _ in run.made_once.values()}
    assert set(run.flops) | made_once == {"reference", "training"}
