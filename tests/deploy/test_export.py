"""Exported models against the ones that they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import CONFIGS, logits, tiny_classifier
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from bench.deploy.export import export, inputs_of
from bench.errors import BenchError
from bench.models.checkpoint import load_classifier, save_model
from bench.models.compact import COMPACT, load_compact
from bench.models.cut import cut
from bench.models.footprint import footprint


def saved(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def uneven(family: str) -> PreTrainedModel:
    return cut(tiny_classifier(family), [[0, 2], []], [[1, 5, 7], list(range(20))])


QUICK_GRAPHS = [(uneven, "bert"), (uneven, "distilbert")]
"""Each takes seconds to write; the cut ones are the harder ones."""


@pytest.mark.parametrize("family", CONFIGS)
def test_a_cut_model_becomes_a_stock_one_that_predicts_the_same(family: str, tmp_path) -> None:
    model = uneven(family)
    export(saved(model, tmp_path / "cut"), tmp_path / "stock", "hf")
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "stock").eval()
    assert stock.config.model_type == family
    torch.testing.assert_close(logits(stock), logits(model))


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("make", [tiny_classifier, uneven])
def test_a_compact_file_gives_the_same_predictions_in_fp16(family: str, make, tmp_path) -> None:
    model = make(family)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(torch.rand_like(parameter) < 0.05)
    source = saved(model, tmp_path / "model")
    path = export(source, tmp_path / "compact", "sparse")
    assert path.name == COMPACT
    assert path.stat().st_size < 0.5 * (source / "model.safetensors").stat().st_size
    back = load_compact(tmp_path / "compact")
    assert all(p.dtype == torch.float16 for p in back.parameters())
    assert torch.equal(logits(back), logits(model.half()))


def test_a_compact_file_is_counted_as_the_model_it_was_made_of(tmp_path: Path) -> None:
    source = saved(uneven("bert"), tmp_path / "model")
    export(source, tmp_path / "compact", "sparse")
    model, _ = load_classifier(str(source))
    compact, notes = load_classifier(str(tmp_path / "compact"))
    assert footprint(compact, compact) == footprint(model, model)
    assert "fp16" in notes[0]


def test_other_users_may_read_what_was_written(tmp_path: Path) -> None:
    source = tmp_path / "model"
    model = tiny_classifier("bert")
    save_model(model, source, tmp_path)
    export(source, tmp_path / "stock", "hf")
    export(source, tmp_path / "compact", "sparse")
    modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.glob("*/*.safetensors")}
    assert list(modes.values()) == [0o644] * 3


def test_a_compact_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    export(saved(tiny_classifier("bert"), tmp_path / "model"), tmp_path / "compact", "sparse")
    path = tmp_path / "compact" / "config.json"
    path.write_text(path.read_text().replace('"intermediate_size": 40', '"intermediate_size": 41'))
    with pytest.raises(BenchError, match="cannot be read as a compact model"):
        load_compact(tmp_path / "compact")


@pytest.mark.parametrize(
    ("make", "family"),
    [
        pytest.param(make, family, marks=[pytest.mark.slow] * ((make, family) not in QUICK_GRAPHS))
        for make in (tiny_classifier, uneven)
        for family in CONFIGS
    ],
)
def test_a_graph_computes_the_same_for_other_sizes(family: str, make, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="prunebench[engines] is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="prunebench[engines] is not installed")
    model = make(family)
    path = export(saved(model, tmp_path / "model"), tmp_path / "graph", "onnx")
    session = runtime.InferenceSession(path)
    for rows, pieces in ((1, 5), (4, 30)):
        inputs = inputs_of(model, rows, pieces)
        inputs["attention_mask"][-1, pieces // 2 :] = 0
        (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        torch.testing.assert_close(torch.from_numpy(found), logits(model, rows, pieces))


def test_nothing_is_left_where_an_export_fails(tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise BenchError("no graph")

    monkeypatch.setattr("bench.deploy.export.write_onnx", fail)
    source = saved(tiny_classifier("bert"), tmp_path / "model")
    with pytest.raises(BenchError, match="no graph"):
        export(source, tmp_path / "graph", "onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
