"""Compact files: values and bitmaps."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import CONFIGS, tiny_classifier

from bench.errors import BenchError
from bench.models import families
from bench.models.compact import compact_state, file_bytes, read_compact
from bench.models.footprint import count_dense

every_family = pytest.mark.parametrize("name", CONFIGS)


def _at(path, state):
    """Arguments for `save_file`."""
    tensors, metadata = state
    return tensors, path, metadata


@every_family
def test_a_compact_file_holds_the_model_to_sixteen_bits(name, tmp_path):
    model = tiny_classifier(name)
    with torch.no_grad():
        for matrix in families.prunable(model).values():
            matrix.weight.mul_(torch.rand_like(matrix.weight) < 0.1)
    save_file(*_at(tmp_path / "model.safetensors", compact_state(model)))
    state = read_compact(tmp_path / "model.safetensors")
    model.half()
    for key, tensor in model.state_dict().items():
        assert state.pop(key).equal(tensor)
    assert not state


def test_only_matrices_that_save_get_a_bitmap(tmp_path):
    model = tiny_classifier("bert")
    sparse, barely = families.layers(model)[0].query, families.layers(model)[0].key
    with torch.no_grad():
        sparse.weight[:, ::2] = 0
        sparse.weight[0, 1] = 1e-9  # zero in 16 bits
        barely.weight.view(-1)[:36] = 0  # 36 × 2 bytes saved = 576 / 8 bytes of bitmap
    tensors, metadata = compact_state(model)
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert [key for key in tensors if key.endswith(".bitmap")] == [f"{name}.bitmap"]
    assert json.loads(metadata["shapes"]) == {name: [24, 24]}
    assert tensors[name].shape == (24 * 12 - 1,)
    assert tensors[f"{name}.bitmap"].nbytes == 24 * 24 // 8


def test_bytes_are_those_of_the_file(tmp_path):
    model = tiny_classifier("bert")
    state = compact_state(model)
    save_file(*_at(tmp_path / "model.safetensors", state))
    size = (tmp_path / "model.safetensors").stat().st_size
    assert file_bytes(*state) == size
    header = int.from_bytes((tmp_path / "model.safetensors").read_bytes()[:8], "little")
    assert size == 8 + header + 2 * count_dense(model).parameters


def test_a_file_that_is_not_compact_is_refused(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for name in ("other", "broken", "missing"):
        with pytest.raises(BenchError, match=name):
            read_compact(tmp_path / f"{name}.safetensors")
