"""What is asked of the network, and what is said without it; nothing here uses it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench import hub
from bench.errors import BenchError
from bench.models.folder import model_folder


@pytest.fixture(autouse=True)
def forget():
    hub.reachable.cache_clear()
    yield
    hub.reachable.cache_clear()


def answer(monkeypatch: pytest.MonkeyPatch, head: Any) -> None:
    monkeypatch.setattr("huggingface_hub.get_session", lambda: SimpleNamespace(head=head))


@pytest.mark.parametrize(("status", "expected"), [(200, True), (404, True), (503, False)])
def test_reachable_asks_the_endpoint_once(monkeypatch, status, expected) -> None:
    asked = []

    def head(url: str, timeout: float) -> SimpleNamespace:
        asked.append((url, timeout))
        return SimpleNamespace(status_code=status)

    answer(monkeypatch, head)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://mirror.test")
    assert (hub.reachable(), hub.reachable()) == (expected, expected)
    assert asked == [("http://mirror.test", 3.0)]


def test_unreachable_when_it_fails_or_hangs(monkeypatch) -> None:
    def fail(url: str, timeout: float) -> None:
        raise ConnectionError("no route")

    answer(monkeypatch, fail)
    assert not hub.reachable()
    release = threading.Event()
    answer(monkeypatch, lambda url, timeout: release.wait(5))
    assert not hub.reachable(0.05)
    release.set()


def test_go_offline_reaches_imported_libraries_and_children(monkeypatch) -> None:
    import datasets.config
    import huggingface_hub

    for module, names in hub._SWITCHES.items():
        for name in names:
            monkeypatch.setenv(name, "0")
            monkeypatch.setattr(f"{module}.{name}", False)
    assert not huggingface_hub.is_offline_mode()
    hub.go_offline()
    assert huggingface_hub.is_offline_mode()
    assert datasets.config.HF_HUB_OFFLINE
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_DATASETS_OFFLINE"] == "1"


def fake_download(monkeypatch: pytest.MonkeyPatch, result: Path | Exception) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(name=name, **options)
        if isinstance(result, Exception):
            raise result
        return str(result)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def snapshot(**changes: Any) -> Path:
    options = {"files": ("a*",), "revision": "v1", "remedy": "Fetch it.", **changes}
    return hub.snapshot("org/name", "dataset", **options)


@pytest.mark.parametrize("online", [True, False])
def test_snapshot_asks_for_what_it_was_told(monkeypatch, tmp_path, online) -> None:
    asked = fake_download(monkeypatch, tmp_path)
    monkeypatch.setattr(hub, "reachable", lambda: online)
    assert snapshot() == tmp_path
    assert asked == {
        "name": "org/name",
        "repo_type": "dataset",
        "revision": "v1",
        "allow_patterns": ["a*"],
        "local_files_only": not online,
    }


def hub_error(kind: str) -> Exception:
    from huggingface_hub import errors

    if kind == "LocalEntryNotFoundError":
        return errors.LocalEntryNotFoundError("long\nstory")
    response: Any = SimpleNamespace(headers={}, request=None, status_code=404)
    error: Exception = getattr(errors, kind)("404\n\nlong story", response=response)
    return error


@pytest.mark.parametrize(
    ("error", "offline", "message"),
    [
        ("LocalEntryNotFoundError", True, "org/name at revision v1 is not in the cache, and this"),
        ("RepositoryNotFoundError", False, "the hub has no dataset 'org/name'"),
        ("RevisionNotFoundError", False, "org/name has no revision 'v1'"),
        (OSError("No space left on device\nmore"), False, "cannot fetch .*: No space left on dev"),
    ],
)
def test_snapshot_fails_with_one_line(monkeypatch, error, offline, message) -> None:
    answer(monkeypatch, lambda url, timeout: SimpleNamespace(status_code=200))
    fake_download(monkeypatch, hub_error(error) if isinstance(error, str) else error)
    with pytest.raises(BenchError, match=message) as caught:
        snapshot(offline=offline)
    assert "\n" not in str(caught.value)


def test_no_network_names_the_endpoint_and_the_remedy(monkeypatch) -> None:
    def fail(url: str, timeout: float) -> None:
        raise ConnectionError

    answer(monkeypatch, fail)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://mirror.test")
    fake_download(monkeypatch, hub_error("LocalEntryNotFoundError"))
    with pytest.raises(BenchError, match=r"http://mirror.test cannot be reached\. Fetch it\."):
        snapshot()


# Models.


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
