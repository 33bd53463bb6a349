"""TextPruner decides, we remove: its masks are what is left, and its own traps do no harm."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import pytest
import torch

import bench
from bench import registry
from bench.cli.main import main
from bench.compression.target import Target
from bench.errors import BenchError
from bench.runs.names import leave_out_unable, select_methods
from bench.testing import Toy

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("textpruner", exc_type=ImportError)


def masks_of(run, **params):
    from bench_baselines.textpruner import _masks

    method = registry.methods.get("textpruner")
    model = run.finetuned()
    heads, neurons = run.target.heads_and_neurons(model.config)
    return heads, neurons, _masks(run, model, method.Params(**params), heads, neurons)


def test_what_the_package_keeps_is_what_is_left(tmp_path: Path) -> None:
    """Its own pruner, called by hand, chooses the same heads and neurons."""
    from textpruner import GeneralConfig, TransformerPruner, TransformerPruningConfig

    run = Toy(tmp_path, registry.methods.get("textpruner"), 2.0, {}).run()
    heads, neurons, (head_mask, neuron_mask) = masks_of(run, iterations=4, samples=32)
    assert (int(head_mask.sum()), int(neuron_mask.sum())) == (heads, neurons) == (4, 64)
    model = run.finetuned()
    batches = [{**b.inputs, "labels": b.labels} for b in run.sample(model, 32, passes=0)]
    pruner = TransformerPruner(
        model,
        TransformerPruningConfig(target_num_of_heads=2, target_ffn_size=32, n_iters=4,
                                 pruning_method="iterative", head_even_masking=False,
                                 ffn_even_masking=False),
        GeneralConfig(use_device="cpu", output_dir=str(tmp_path / "out")),
    )  # fmt: skip
    with contextlib.redirect_stderr(io.StringIO()):
        pruner.prune(batches, keep_shape=True, save_model=False)
    assert torch.equal(pruner.head_mask.bool(), head_mask)
    assert torch.equal(pruner.ffn_mask.bool(), neuron_mask)


@pytest.mark.parametrize("ratio", [2.0, 3.3, 10.0, 20.0, 50.0])
@pytest.mark.parametrize("kind", ["classes", "regression", "spans"])
def test_the_numbers_are_exact_even_where_no_head_may_stay(
    tmp_path: Path, ratio: float, kind: str
) -> None:
    run = Toy(tmp_path, registry.methods.get("textpruner"), ratio, {}).run(kind=kind)
    heads, neurons, (head_mask, neuron_mask) = masks_of(run, iterations=2, samples=16)
    assert (int(head_mask.sum()), int(neuron_mask.sum())) == (heads, neurons)


def test_its_passes_are_charged_and_nothing_is_printed(tmp_path: Path, capfd) -> None:
    toy = Toy(tmp_path, registry.methods.get("textpruner"), 4.0, {"iterations": 3, "samples": 16})
    capfd.readouterr()
    run, model = toy.compress()
    drawn = run.sample(run.finetuned(), 16, passes=0)
    lengths = torch.cat([batch.inputs["attention_mask"].sum(1) for batch in drawn]).numpy()
    forward = bench.count_dense(run.pretrained()).forward_flops(lengths)
    assert run.flops["importance"] == 3 * 4 * forward  # three rounds and a last look
    assert "Calculating IS" not in "".join(capfd.readouterr())
    assert model.config.model_type == "cut-bert"
    assert model.config.problem_type is None


def test_a_family_that_it_cannot_serve_is_left_out_with_a_line(tmp_path: Path) -> None:
    Toy(tmp_path, registry.methods.get("textpruner"), 4.0, {}, "distilbert")
    encoder = tmp_path / "encoder"
    variants, _ = select_methods(["all"])
    (notice,) = leave_out_unable(variants, encoder, ["all"], [Target("weights", 4.0)])
    assert notice == (
        "left out: textpruner serves bert, roberta, electra, and the encoder is of type distilbert"
    )
    assert "textpruner" not in {variant.method for variant in variants}
    variants, _ = select_methods(["textpruner"])
    with pytest.raises(BenchError, match="textpruner serves bert, roberta, electra"):
        leave_out_unable(variants, encoder, ["textpruner"], [Target("weights", 4.0)])


def test_without_the_package_it_is_listed_with_its_install_line(monkeypatch, capsys) -> None:
    monkeypatch.setattr(registry, "missing_requirements", lambda info: dict(info.requires))
    line = "pip install --no-deps textpruner==1.1.post2"
    assert main(["methods"]) == 0
    assert f"textpruner is not usable yet: {line}" in capsys.readouterr().out
    variants, notices = select_methods(["all"])
    assert notices == [f"left out: textpruner needs textpruner: {line}"]
    assert "textpruner" not in {variant.method for variant in variants}
    with pytest.raises(BenchError, match="pip install --no-deps textpruner"):
        select_methods(["textpruner"])
