"""Exported models against the ones that they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, logits, masked_classifier, sparse_classifier, tiny_classifier
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from bench.deploy.engines import answers_of_graph
from bench.deploy.export import export, inputs_of, write_int8, write_onnx
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


def narrow(family: str) -> PreTrainedModel:
    """The second of two layers, without neurons, and half the width."""
    return cut(sparse_classifier(family, density=1), [[0]], [[]], stay=[1], dimensions=range(12))


QUICK_GRAPHS = [(uneven, "bert"), (narrow, "distilbert"), (masked_classifier, "bert")]
"""Each takes seconds to write; the cut ones are the harder ones."""


@pytest.mark.parametrize("family", CONFIGS)
def test_a_cut_model_becomes_a_stock_one_that_predicts_the_same(family: str, tmp_path) -> None:
    model = uneven(family)
    export(saved(model, tmp_path / "cut"), tmp_path / "stock", "hf")
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "stock").eval()
    assert stock.config.model_type == family
    torch.testing.assert_close(logits(stock), logits(model))


def test_a_layer_that_went_whole_is_none_of_the_stock_model(tmp_path: Path) -> None:
    model = cut(sparse_classifier("bert"), [[0, 2]], [[1, 5, 7]], stay=[1])
    export(saved(model, tmp_path / "cut"), tmp_path / "stock", "hf")
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "stock").eval()
    assert stock.config.num_hidden_layers == 1
    torch.testing.assert_close(logits(stock), logits(model))


def test_a_narrow_model_has_no_stock_form(tmp_path: Path) -> None:
    source = saved(narrow("bert"), tmp_path / "narrow")
    with pytest.raises(BenchError, match="no stock configuration knows a width of 12") as caught:
        export(source, tmp_path / "stock", "hf")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "stock").exists()


def test_mask_attention_has_no_stock_form(tmp_path: Path) -> None:
    source = saved(masked_classifier("bert"), tmp_path / "masked")
    with pytest.raises(BenchError, match="no stock configuration knows mask attention") as caught:
        export(source, tmp_path / "stock", "hf")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "stock").exists()


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("make", [tiny_classifier, uneven, narrow, masked_classifier])
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
        for make in (tiny_classifier, uneven, narrow, masked_classifier)
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


@pytest.fixture(scope="module")
def quantised(tmp_path_factory) -> tuple[PreTrainedModel, Path]:
    """A model of random weights, and its graph with int8 matrices, beside that in fp32."""
    pytest.importorskip("onnxscript", reason="prunebench[engines] is not installed")
    folder = tmp_path_factory.mktemp("int8")
    model = sparse_classifier("bert", density=1)
    write_onnx(model, folder / "fp32.onnx")
    write_int8(folder / "fp32.onnx", folder / "int8.onnx")
    return model, folder / "int8.onnx"


def test_an_int8_graph_has_the_rounded_matrices(quantised: tuple[PreTrainedModel, Path]) -> None:
    """A scale a column, or one for all of an embedding; every value is the nearest one."""
    import onnx

    model, path = quantised
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    int8 = {n: t for n, t in tensors.items() if n.endswith("_quantized") and t.ndim == 2}
    linears = [m.weight.T for m in model.modules() if isinstance(m, torch.nn.Linear)]
    embeddings = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    expected = [matrix.detach().numpy() for matrix in (*linears, *embeddings)]
    assert sorted(t.shape for t in int8.values()) == sorted(matrix.shape for matrix in expected)
    for name, values in int8.items():
        base = name.removesuffix("_quantized")
        scale, zero = tensors[f"{base}_scale"], tensors[f"{base}_zero_point"].astype(int)
        assert scale.size in (1, values.shape[1])
        near = min(
            np.abs((values.astype(int) - zero) * scale - matrix).max() / scale.max()
            for matrix in expected
            if matrix.shape == values.shape
        )
        assert near <= 0.501
    assert sum(t.nbytes for t in int8.values()) == sum(matrix.size for matrix in expected)


def test_an_int8_graph_answers_nearly_as_the_model(quantised: tuple[PreTrainedModel, Path]) -> None:
    model, path = quantised
    answers = answers_of_graph(path, threads=1)
    for rows, pieces in ((1, 5), (4, 30)):
        inputs = inputs_of(model, rows, pieces)
        inputs["attention_mask"][-1, pieces // 2 :] = 0
        with torch.no_grad():
            wanted = model(**inputs).logits
        found = answers(inputs)
        assert 0 < (found - wanted).abs().max() < 0.1
        assert torch.equal(found.argmax(1), wanted.argmax(1))


def test_an_int8_graph_has_the_same_bytes_twice(
    quantised: tuple[PreTrainedModel, Path], tmp_path: Path
) -> None:
    _, path = quantised
    write_int8(path.with_name("fp32.onnx"), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_a_graph_names_no_folder_of_this_machine(quantised: tuple[PreTrainedModel, Path]) -> None:
    installed = Path(torch.__file__).parents[1].as_posix().encode()
    for file in quantised[1].parent.iterdir():
        assert installed not in file.read_bytes()


def test_nothing_is_left_where_an_export_fails(tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise BenchError("no graph")

    monkeypatch.setattr("bench.deploy.export.write_onnx", fail)
    source = saved(tiny_classifier("bert"), tmp_path / "model")
    with pytest.raises(BenchError, match="no graph"):
        export(source, tmp_path / "graph", "onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
