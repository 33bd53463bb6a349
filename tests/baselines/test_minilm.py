"""MiniLM: its loss on models of unequal size, what stage 1 moves, and what the task adds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

import bench
from bench import registry
from bench.models.families import FAMILIES
from bench.models.footprint import count_dense
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from bench.runs.cells.cell_run import CellRun


def minilm(folder: Path, family: str = "bert") -> CellRun:
    return Toy(folder, registry.methods.get("minilm"), 4.0, {}, family, epochs=1).run()


def stage_1(run: CellRun) -> PreTrainedModel:
    from bench_baselines.minilm import _stage_1

    student, beside = _stage_1(run, registry.methods.get("minilm").Params(depth=2))
    assert not beside
    return student


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_loss_is_what_a_plain_loop_gives(family: str, tmp_path: Path) -> None:
    """Row by row without padding, head by head and token by token: Σ p log p/q, teacher first."""
    from bench_baselines.minilm import _relation_loss

    run = minilm(tmp_path, family)
    teacher = run.pretrained_teacher()
    student, _ = bench.shrink(run.pretrained(), bench.Shape(1, 24, 4, 24))
    with torch.no_grad():
        for model in (student, teacher):  # new models hardly relate anything
            for matrix in bench.prunable(model).values():
                matrix.weight.mul_(20)
    batch = run.sample(teacher, 6, passes=0)[0]
    assert (batch.inputs["attention_mask"] == 0).any()
    found = _relation_loss(teacher)(student, batch)

    total, tokens = 0.0, 0
    for row, mask in enumerate(batch.inputs["attention_mask"]):
        length = int(mask.sum())
        one = {name: values[row : row + 1, :length] for name, values in batch.inputs.items()}
        for kind in ("query", "value"):
            ours, theirs = (_relation(model, one, kind) for model in (student, teacher))
            for head in range(4):
                for p, q in zip(theirs[head], ours[head], strict=True):
                    total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 4
        tokens += length
    assert found.item() == pytest.approx(total / tokens, rel=1e-4)
    assert found.item() > 1e-3


def _relation(model: PreTrainedModel, inputs: dict[str, torch.Tensor], kind: str) -> list:
    """Probabilities by head, token and token: softmax of q·k/√d or v·v/√d in the last layer."""
    last = bench.layers(model)[-1]
    with torch.no_grad():
        hidden = model(**inputs, output_hidden_states=True).hidden_states[-2][0].double()
    other = "key" if kind == "query" else kind
    heads = []
    for head in range(last.heads):
        part = slice(head * last.head_size, (head + 1) * last.head_size)
        left, right = (
            hidden @ linear.weight[part].detach().double().T + linear.bias[part].detach().double()
            for linear in (getattr(last, kind), getattr(last, other))
        )
        rows = [[float(a @ b) / last.head_size**0.5 for b in right] for a in left]
        sums = [sum(map(math.exp, row)) for row in rows]
        heads.append([[math.exp(x) / s for x in row] for row, s in zip(rows, sums, strict=True)])
    return heads


def test_stage_1_moves_what_the_relations_depend_on(tmp_path: Path) -> None:
    """All up to the last layer's values, and nothing behind them."""
    run = minilm(tmp_path)
    params = registry.methods.get("minilm").Params(depth=2)
    from bench_baselines.students import new_student

    before, _ = new_student(run, params)
    after = stage_1(run)
    moved = {
        name
        for name, matrix in bench.prunable(after).items()
        if not torch.equal(matrix.weight, bench.prunable(before)[name].weight)
    }
    last = "bert.encoder.layer.1."
    behind = {
        f"{last}{n}" for n in ("attention.output.dense", "intermediate.dense", "output.dense")
    }
    assert moved == set(bench.prunable(after)) - behind


def test_stage_1_is_charged_as_its_passes(tmp_path: Path) -> None:
    """Three passes of the student and one of its teacher, over the task's own text, once."""
    run = minilm(tmp_path)
    student = stage_1(run)
    lengths = run.data.train.lengths
    assert run.flops == {
        "general distillation": 3 * count_dense(student).forward_flops(lengths),
        "teacher": count_dense(run.pretrained()).forward_flops(lengths),
    }


def test_the_task_has_labels_only_and_starts_where_stage_1_ended(tmp_path: Path) -> None:
    run = minilm(tmp_path)
    asked = []
    run.train = lambda model, **how: asked.append(how)  # type: ignore[method-assign]
    run.teacher = lambda: pytest.fail("no fine-tuned model teaches it")  # type: ignore[method-assign]
    method = registry.methods.get("minilm")
    model = method().compress(run, method.Params(depth=2))
    assert [how["loss"] for how in asked] == [bench.task_loss]
    (folder,) = (run.context.runs / "shared").iterdir()
    from safetensors.torch import load_file

    learnt, state = load_file(folder / "tensors.safetensors"), model.base_model.state_dict()
    assert {n for n in state if n not in learnt} == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(state[name], value) for name, value in learnt.items())


def test_without_stage_1_it_is_the_small_dense_control(tmp_path: Path) -> None:
    states = []
    for name, changed in (("minilm", {"general_epochs": 0}), ("small-dense", {})):
        toy = Toy(tmp_path / name, registry.methods.get(name), 4.0, changed, epochs=1)
        states.append(toy.compress()[1].state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
