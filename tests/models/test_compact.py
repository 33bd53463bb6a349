"""Compact files: values and bitmaps."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import CONFIGS, sparse_classifier, tiny_classifier

from bench.errors import BenchError
from bench.models import families
from bench.models.compact import compact_state, file_bytes, plain_layout, read_compact
from bench.models.cut import cut
from bench.models.footprint import count, count_dense

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


@every_family
def test_sizes_are_those_of_files_on_the_disk(name, tmp_path):
    """Sparse, cut to unlike layers, and plain in 16 and 32 bits; the latter are never made."""
    model = sparse_classifier(name)
    smaller = cut(model, [[0, 2], []], [[1], range(30)])
    path = tmp_path / "model.safetensors"
    for one in (model, smaller):
        save_file(*_at(path, compact_state(one)))
        assert file_bytes(*compact_state(one)) == path.stat().st_size
        for dtype in (torch.float16, torch.float32):
            layout = plain_layout(one, dtype)
            whole = {name: tensor.to(dtype) for name, tensor in one.state_dict().items()}
            save_file(whole, path, layout[1])
            assert file_bytes(*layout) == path.stat().st_size


def test_a_compact_file_by_hand(tmp_path):
    """BERT of 2 layers × 24 × 40 with 3 labels, every second weight of each matrix gone."""
    model = tiny_classifier("bert")
    with torch.no_grad():
        for matrix in families.prunable(model).values():
            matrix.weight.view(-1)[::2] = 0
    save_file(*_at(tmp_path / "model.safetensors", compact_state(model)))
    content = (tmp_path / "model.safetensors").read_bytes()
    embeddings = (50 + 40 + 2 + 2) * 24
    biases = 2 * (4 * 24 + 40 + 24 + 4 * 24)
    head = 24 * 24 + 24 + 3 * 24 + 3
    weights = 2 * (4 * 24 * 24 + 2 * 24 * 40)
    values = embeddings + biases + head + weights // 2
    assert len(content) == 8 + int.from_bytes(content[:8], "little") + 2 * values + weights // 8
    assert count(model).bytes == len(content)
    plain = 2 * (values + weights // 2)
    assert plain < count_dense(model).bytes < plain + 6000  # the header of 39 tensors


def test_a_file_that_is_not_compact_is_refused(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for name in ("other", "broken", "missing"):
        with pytest.raises(BenchError, match=name):
            read_compact(tmp_path / f"{name}.safetensors")
