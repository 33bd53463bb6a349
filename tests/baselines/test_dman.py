"""A small dense model with mask attention: its size, its start, and who teaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tiny_models import masked_classifier, sparse_classifier

import bench
from bench import registry
from bench.compression.target import best_ratio
from bench.data.tasks.demo import demo_encoder_path
from bench.models.checkpoint import load_model, read_config
from bench.models.families import mask_attentions, reshaped
from bench.models.footprint import count_dense
from bench.models.mask_attention import mask_attention_config
from bench.runs.cells.parameters import objection
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path

MASKS = ("learnt", "ones", "identity")


def by_hand(mask: str, layers: int, width: int, neurons: int) -> int:
    """Weights: eight square matrices, two of feed-forward, and the one row of a learnt mask."""
    return layers * (8 * width**2 + 2 * width * neurons + width * (mask == "learnt"))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("ratio", [4.0, 10.0, 20.0])
def test_on_the_demo_its_size_is_the_largest_that_meets_the_ratio(mask, ratio: float) -> None:
    """With one neuron more in each layer it would miss it."""
    config = read_config(demo_encoder_path())
    config.num_labels = 2
    shape = bench.Target("weights", ratio).shape(config, 2, mask=mask)
    allowed = 2 * (4 * 64**2 + 2 * 64 * 128) / ratio
    size = (mask, shape.layers, shape.width)
    assert by_hand(*size, shape.neurons) <= allowed < by_hand(*size, shape.neurons + 1)
    encoder = load_model(demo_encoder_path(), ["no", "yes"], 0.1, fresh_head=True)
    model = bench.insert_mask_attention(bench.shrink(encoder, shape)[0], mask)
    assert count_dense(model).weights == by_hand(*size, shape.neurons)


@pytest.mark.parametrize("axis", ["weights", "flops", "bytes"])
@pytest.mark.parametrize("family", ["bert", "electra"])
def test_the_best_ratio_is_that_of_the_narrowest(axis, family: str) -> None:
    """A plan says so before anything is trained; without mask attention it would be larger."""
    config = sparse_classifier(family).config
    best = best_ratio("small", config, axis, 32, mask_attention=True)
    assert bench.Target(axis, 0.999 * best, 32).shape(config, 2, mask="learnt").width == 3
    with pytest.raises(bench.UnreachableError) as caught:
        bench.Target(axis, 1.001 * best, 32).shape(config, 2, mask="learnt")
    assert caught.value.best_ratio == best < best_ratio("small", config, axis, 32)


def test_tuning_tries_no_depth_that_misses_the_ratio() -> None:
    config = read_config(demo_encoder_path())
    small, masked = (registry.methods.get(name) for name in ("tinybert", "dman"))
    narrowest = reshaped(mask_attention_config(config), bench.Shape(2, 4, 4, 1))
    weights = count_dense(config).weights
    target = bench.Target("weights", 1.01 * weights / count_dense(narrowest).weights)
    assert small.search_space(config, target)["depth"].choices == (2, 1)
    assert masked.search_space(config, target)["depth"].choices == (1,)


def test_it_starts_as_a_small_dense_model_of_its_shape_does(tmp_path: Path) -> None:
    """Mask attention is inserted, and nothing else differs."""
    toy = Toy(tmp_path, registry.methods.get("dman"), 4.0, {})
    run = toy.run()
    student, projection = toy.method().student(run, toy.method.Params())
    stock, basis = bench.shrink(run.pretrained(), bench.shape_of(student.config))
    state = student.state_dict()
    same = {n for n, tensor in stock.state_dict().items() if tensor.equal(state[n])}
    assert set(stock.state_dict()) - same == {"classifier.weight"}  # drawn anew each time
    assert projection.state()["weight"].equal(basis)
    assert len(mask_attentions(student)) == student.config.num_hidden_layers


def test_it_is_distilled_as_tinybert_is(tmp_path: Path) -> None:
    """The same phases, rows and schedules, with the same number of steps."""
    phases = {}
    for name in ("tinybert", "dman"):
        toy = Toy(tmp_path / name, registry.methods.get(name), 4.0, {})
        run, seen = toy.run(), []
        ordinary = run.train
        run.train = lambda model, seen=seen, ordinary=ordinary, **how: (
            seen.append({k: how.get(k) for k in ("share", "augmented")}
                        | {"decay": how["params"].decay, "warmup": how["params"].warmup}),
            ordinary(model, **how),
        )[1]  # fmt: skip
        method = toy.method
        method().compress(run, method.Params(learning_rate=1e-3))
        assert "general distillation" in dict(run.made_once.values())
        assert "teacher" in run.flops
        phases[name] = (seen, run.steps)
    assert phases["dman"] == phases["tinybert"]


def test_without_a_teacher_labels_alone_teach_it(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("dman"), 4.0, {})
    run = toy.run()
    for name in ("teacher", "pretrained_teacher", "shared", "train_general", "finetuned"):
        setattr(run, name, None)
    model = toy.method().compress(run, toy.method.Params(learning_rate=1e-3, teacher="none"))
    assert run.steps == 24  # all of 4 epochs × 6
    assert set(run.flops) == {"training"}
    assert model.config.mask == "learnt"


def test_each_mask_has_a_stage_1_of_its_own(tmp_path: Path) -> None:
    toy = Toy(tmp_path, registry.methods.get("dman"), 4.0, {})
    first, folders = toy.run(), set()
    for mask in MASKS:
        run = toy.run()
        run.context = first.context  # the same run folder
        params = toy.method.Params(learning_rate=1e-3, mask=mask)
        model = toy.method().compress(run, params)
        assert model.config.mask == mask
        assert ("gate" in dict(mask_attentions(model)[0].named_children())) is (mask == "learnt")
        made = run.made_once.items()
        folders |= {key for key, (part, _) in made if part == "general distillation"}
    assert len(folders) == 3


def test_stage_1_does_not_depend_on_who_asks_first(tmp_path: Path) -> None:
    """What is inserted is drawn apart from heads, whose size is the task's."""
    made = []
    for number, kind in enumerate(("classes", "regression")):
        toy = Toy(tmp_path / str(number), registry.methods.get("dman"), 4.0, {})
        run = toy.run(kind=kind)
        student, _ = toy.method().student(run, toy.method.Params())
        made.append(mask_attentions(student)[0].state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


@pytest.mark.parametrize("kind", ["mask", "cut"])
def test_an_encoder_that_it_cannot_serve_is_told_before_anything_runs(kind: str) -> None:
    method = registry.methods.get("dman")
    stock = sparse_classifier("bert")
    model = masked_classifier("bert") if kind == "mask" else bench.cut(stock, [[0]] * 2, [[1]] * 2)
    said = objection(method, model.config, [bench.Target("weights", 4.0)])
    assert f"not into one of type '{kind}-bert'" in said
    assert "\n" not in said
    assert not objection(method, stock.config, [bench.Target("weights", 4.0)])
