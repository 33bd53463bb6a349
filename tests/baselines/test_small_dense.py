"""Small dense models: their losses, and what stage 1 shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import bench
from bench import registry
from bench.errors import BenchError
from bench.models.footprint import count_dense
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path


def test_intermediate_loss_is_what_a_plain_loop_gives(tmp_path: Path) -> None:
    """Two layers of the teacher, one of the student; means over real tokens and pairs."""
    from bench_baselines.small_dense import _intermediate_loss

    method = registry.methods.get("tinybert")
    run = Toy(tmp_path, method, 4.0, {}).run()
    teacher = run.finetuned()
    student, basis = bench.shrink(run.pretrained(), bench.Shape(1, 16, 4, 24))
    projection = bench.Projection(basis)
    batch = run.sample(teacher, 8, passes=0)[0]
    assert (batch.inputs["attention_mask"] == 0).any()
    found = _intermediate_loss(teacher, projection)(student, batch)

    weight, bias = projection.linear.weight, projection.linear.bias
    hidden = scores = pairs = torch.zeros(())
    tokens = 0
    for row, mask in enumerate(batch.inputs["attention_mask"]):
        length = int(mask.sum())
        one = {name: values[row : row + 1, :length] for name, values in batch.inputs.items()}
        own, wanted = (
            m(**one, output_hidden_states=True).hidden_states for m in (student, teacher)
        )
        for small, large in ((0, 0), (1, 2)):  # g(1) = 2: the student's layer learns from the last
            hidden = hidden + (own[small] @ weight.T + bias - wanted[large]).square().sum()
        tokens += length
        ours, theirs = bench.layers(student)[0], bench.layers(teacher)[1]
        for head in range(4):
            a, b = slice(4 * head, 4 * head + 4), slice(8 * head, 8 * head + 8)
            mine = ours.query(own[0])[0, :, a] @ ours.key(own[0])[0, :, a].T / 4**0.5
            target = theirs.query(wanted[1])[0, :, b] @ theirs.key(wanted[1])[0, :, b].T / 8**0.5
            scores = scores + (mine - target).square().sum()
            pairs = pairs + length**2
    expected = hidden / (tokens * 32) + scores / pairs
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_projection_is_trained_along_and_shared(tmp_path: Path) -> None:
    from bench_baselines.small_dense import _intermediate_loss

    run = Toy(tmp_path, registry.methods.get("tinybert"), 4.0, {}).run()
    student, basis = bench.shrink(run.pretrained(), bench.Shape(2, 16, 4, 24))
    projection = bench.Projection(basis)
    before = projection.state()["weight"].clone()
    run.train(student, loss=_intermediate_loss(run.teacher(), projection), share=0.5,
            params=bench.TrainParams(learning_rate=1e-3), callbacks=[projection])  # fmt: skip
    assert not torch.equal(before, projection.state()["weight"])
    calls = []
    projection.linear.register_forward_hook(lambda *_: calls.append(1))
    _intermediate_loss(run.teacher(), projection)(student, run.sample(student, 4, passes=0)[0])
    assert len(calls) == 3  # the embeddings and two layers, through one map


def test_phases_share_the_protocols_steps(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("tinybert"), 4.0, {})
    run = toy.run()
    params = bench.TrainParams()
    steps = []
    for share in (0.1, 0.25, 0.65):
        before = run.steps
        run.train(run.pretrained(), loss=bench.task_loss, params=params, share=share)
        steps.append(run.steps - before)
    assert steps == [2, 6, 16]  # of 4 epochs × 6 steps, ends rounded
    with pytest.raises(BenchError, match="share the protocol's 4 epochs"):
        run.train(run.pretrained(), loss=bench.task_loss, params=params, share=0.1)


@pytest.mark.parametrize("regression", [False, True])
def test_the_phases_have_the_papers_schedules_and_rows(regression: bool, tmp_path: Path) -> None:
    """Literature: (a) a constant rate; (b) warm-up and decay, and for STS-B no augmented rows."""
    toy = Toy(tmp_path, registry.methods.get("tinybert"), 4.0, {})
    run = toy.run(kind="regression" if regression else "classes")
    seen = []
    ordinary = run.train
    run.train = lambda model, **how: (seen.append(how), ordinary(model, **how))[1]
    method = registry.methods.get("tinybert")
    params = method.Params(learning_rate=1e-3, warmup=0.1, general_epochs=0)
    method().compress(run, params)
    first, second = seen
    assert (first["params"].decay, first["params"].warmup) == ("constant", 0.0)
    assert first["params"].learning_rate == second["params"].learning_rate == 1e-3
    assert (second["params"].decay, second["params"].warmup) == ("linear", 0.1)
    assert first.get("augmented", True)
    assert second["augmented"] is not regression


@pytest.mark.parametrize("name", ["labels", "fit", "finetuned", "teacher", "sample", "data"])
def test_what_cells_share_sees_no_labels(name: str, tmp_path: Path) -> None:
    run = Toy(tmp_path, registry.methods.get("tinybert"), 4.0, {}).run()
    with pytest.raises(BenchError, match=f"run.{name}: what cells share sees no labels"):
        run.shared({}, lambda alone: getattr(alone, name))


def test_stage_1_is_made_once_and_charged_to_everyone(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("tinybert"), 4.0, {})
    first, second = toy.run(seed=1), toy.run(seed=2)
    second.context = first.context  # the same run folder
    costs = []
    for run in (first, second):
        method = toy.method
        model = method().compress(run, method.Params(learning_rate=1e-3))
        made_once = dict(run.made_once.values())
        costs.append(made_once["general distillation"])
        assert isinstance(model, nn.Module)
    folders = list((first.context.runs / "shared").iterdir())
    assert len(folders) == 1
    assert costs[0] == costs[1] > 0
    # three passes of the student and of the map from its hidden states, one of its teacher, over
    # the task's own text, once
    lengths, shape = first.data.train.lengths, bench.shape_of(model.config)
    teachers_width = first.pretrained().config.hidden_size
    products = 2 * lengths.sum() * (shape.layers + 1) * shape.width * teachers_width
    small = count_dense(model).forward_flops(lengths) + products
    large = count_dense(first.pretrained()).forward_flops(first.data.train.lengths)
    assert costs[0] == 3 * small + large
    assert first.text == "toy's own"


def test_stage_1_does_not_depend_on_who_asks_first(tmp_path: Path) -> None:
    made = []
    for number, seed in enumerate((1, 2)):
        toy = Toy(
            tmp_path / str(number), registry.methods.get("tinybert"), 4.0, {"start": "random"}
        )
        run, _ = toy.compress(seed=seed)
        (folder,) = (run.context.runs / "shared").iterdir()
        made.append((folder / "tensors.safetensors").read_bytes())
    assert made[0] == made[1]


def test_both_start_from_the_same_weights(tmp_path: Path) -> None:
    """Without any distillation or training the two are one model."""
    models = []
    for name in ("tinybert", "small-dense"):
        method = registry.methods.get(name)
        toy = Toy(tmp_path / name, method, 4.0, {"general_epochs": 0} if name == "tinybert" else {})
        run = toy.run()
        run.train = lambda model, **_: None  # type: ignore[method-assign]
        torch.manual_seed(0)
        extra = {"general_epochs": 0} if name == "tinybert" else {}
        models.append(method().compress(run, method.Params(**extra)).state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[1])


def test_a_depth_beyond_the_encoders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="the encoder has 2 layers"):
        Toy(tmp_path, registry.methods.get("small-dense"), 4.0, {"depth": 3}).compress()
