"""An encoder's folder: found, checked, and told from any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_hub import fake_download, hub_error
from safetensors.numpy import save_file

from bench.data.tasks.demo import demo_encoder_path
from bench.errors import BenchError
from bench.models.folder import model_folder, model_name, weight_hash
from bench.runs.command import portable_command


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "models/small"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "vocab.txt").write_text("[PAD]\n")
    save_file({"w": np.zeros((8, 8), dtype=np.float32)}, folder / "model.safetensors")
    return folder


def test_local_folder_is_returned_as_it_is(model) -> None:
    assert model_folder(str(model)) == model


def test_model_of_the_hub(model, monkeypatch) -> None:
    asked = fake_download(monkeypatch, model)
    assert model_folder("org/small", revision="v2", offline=True) == model
    assert (asked["name"], asked["repo_type"], asked["revision"]) == ("org/small", "model", "v2")
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked["allow_patterns"])


def test_model_of_the_hub_without_network(monkeypatch) -> None:
    fake_download(monkeypatch, hub_error("LocalEntryNotFoundError"))
    with pytest.raises(BenchError, match=r"--model DIR, or .*bench fetch --model bert-mini"):
        model_folder("bert-mini", offline=True)


@pytest.mark.parametrize(
    ("name", "near"),
    [("./modles/small", "models"), ("models/smal", "models/small"), ("a/b/c", None)],
)
def test_mistyped_folder(model, monkeypatch, name, near) -> None:
    monkeypatch.chdir(model.parent.parent)
    with pytest.raises(BenchError, match=f"no model folder '{name}'") as caught:
        model_folder(name)
    assert ("Did you mean" in str(caught.value)) == (near is not None)
    assert near is None or f"'{near}'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"cannot read .*config.json: No such file"),
        ("config.json", b"{", r"config.json is no JSON"),
        ("config.json", b"[]", r"config.json holds no JSON object"),
        ("config.json", b"{}", r"config.json names no model_type"),
        ("model.safetensors", None, r"has no model.safetensors\. A pytorch_model.bin is a pickle"),
        ("model.safetensors", b"", r"model.safetensors is no whole safetensors file"),
        ("vocab.txt", None, r"has no tokenizer: it needs tokenizer.json, or vocab.txt, or"),
    ],
)
def test_broken_model_folder(model, name, content, message) -> None:
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(content)
    with pytest.raises(BenchError, match=message):
        model_folder(str(model))


@pytest.mark.parametrize("name", ["model.compact.safetensors", "model.onnx"])
def test_an_exported_form_is_named(model, name) -> None:
    (model / "model.safetensors").rename(model / name)
    with pytest.raises(BenchError, match=rf"but {name}: bench export --format hf"):
        model_folder(str(model))


def test_cut_off_weights(model) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(BenchError, match=r"is no whole safetensors file .*: copy it again"):
        model_folder(str(model))


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 256]},
        {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 256]},
        {"dtype": "F32", "shape": [8, 8], "data_offsets": [0, 1 << 50]},
        {"dtype": "F32", "shape": [-8, 8], "data_offsets": [0, 256]},
        {"dtype": "F32", "shape": [64], "data_offsets": [256, 0]},
    ],
)
def test_a_header_that_promises_more_than_there_is(model, tensor) -> None:
    text = json.dumps({"w": tensor}).encode()
    header = len(text).to_bytes(8, "little") + text
    (model / "model.safetensors").write_bytes(header + bytes(256))
    with pytest.raises(BenchError, match="is no whole safetensors file"):
        model_folder(str(model))
    (model / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + text)
    with pytest.raises(BenchError, match="is no whole safetensors file"):
        model_folder(str(model))


@pytest.mark.parametrize("named", ["../model-1.safetensors", "/etc/passwd", 5, ["a"], None])
def test_an_index_names_files_of_its_folder(model, named) -> None:
    (model / "model.safetensors").rename(model / "model-1.safetensors")
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": named}}))
    with pytest.raises(BenchError, match=r"is no name of a file in it|something that is no file"):
        model_folder(str(model))


def test_weights_in_several_files(model) -> None:
    (model / "model.safetensors").rename(model / "model-1.safetensors")
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "model-1.safetensors"}}))
    assert model_folder(str(model)) == model
    index.write_text(json.dumps({"weight_map": {"w": "model-2.safetensors"}}))
    with pytest.raises(BenchError, match=r"cannot read .*model-2.safetensors: "):
        model_folder(str(model))
    index.write_text("{}")
    with pytest.raises(BenchError, match="has no weight_map"):
        model_folder(str(model))


def test_file_in_the_place_of_a_model(model) -> None:
    with pytest.raises(BenchError, match="is a file; a model is a folder"):
        model_folder(str(model / "config.json"))


def test_a_model_of_the_hubs_cache_has_the_hubs_name(model, tmp_path) -> None:
    """By a path into the cache, too, whose last part is a commit."""
    snapshot = tmp_path / "hub/models--my-org--bert--mini/snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    model.rename(snapshot)
    (tmp_path / "link").symlink_to(snapshot)
    for path in (snapshot, tmp_path / "link"):
        assert model_name(str(path), model_folder(str(path))) == "bert--mini"
        command = portable_command(["--model", str(path)])
        assert command == "bench run --model my-org/bert--mini"
    assert model_name("my-org/bert--mini", snapshot) == "bert--mini"
    other = snapshot.rename(tmp_path / "mine")
    assert model_name(str(other), other) == "mine"


ENCODER = demo_encoder_path()


def test_an_encoder_that_reads_otherwise_is_another(tmp_path: Path) -> None:
    def copy(name: str, **said: object) -> Path:
        folder = Path(shutil.copytree(ENCODER, tmp_path / name))
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | said))
        return folder

    assert weight_hash(copy("same", a_key_of_another_version=1)) == weight_hash(ENCODER)
    assert weight_hash(copy("cased", do_lower_case=False)) != weight_hash(ENCODER)
