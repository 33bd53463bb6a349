"""The int8 control against a quantiser of four lines, and its bytes against a count by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import CONFIGS, sparse_classifier, tiny_classifier
from torch import nn

from bench import registry
from bench.compression.params import Params
from bench.models.compact import compact_state, read_compact
from bench.models.footprint import count_dense, footprint

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel


def rounded(model: PreTrainedModel) -> PreTrainedModel:
    """What the control makes of a fine-tuned model."""
    return registry.methods.get("int8")().compress(
        SimpleNamespace(finetuned=lambda: model), Params()
    )


def plain(weight: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Values of int8 and a scale a row, in float64."""
    rows = weight.double().numpy()
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.rint(rows / scale).astype(np.int8), scale


def matrices(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": module.weight.detach().clone()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Embedding)
    }


@pytest.mark.parametrize("family", CONFIGS)
def test_every_matrix_is_rounded_and_nothing_else(family: str) -> None:
    model = sparse_classifier(family, density=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wanted = matrices(model)
    after = rounded(model).state_dict()
    for name, tensor in after.items():
        if name in wanted:
            values, scale = plain(before[name])
            np.testing.assert_allclose(tensor.double().numpy(), values * scale, rtol=1e-5)
        else:
            assert torch.equal(tensor, before[name])
    assert all(tensor.dim() != 2 or name in wanted for name, tensor in after.items()
               if tensor.is_floating_point())  # fmt: skip


def test_a_compact_file_has_the_values_and_scales(tmp_path: Path) -> None:
    model = sparse_classifier("bert", density=1)
    wanted = {name: plain(matrix) for name, matrix in matrices(model).items()}
    tensors, metadata = compact_state(rounded(model))
    for name, (values, scale) in wanted.items():
        np.testing.assert_array_equal(tensors[name].numpy(), values)
        np.testing.assert_allclose(tensors[f"{name}.scale"].numpy(), scale, rtol=1e-6)
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    back = read_compact(tmp_path / "model.safetensors")
    for name in wanted:
        torch.testing.assert_close(back[name], model.state_dict()[name], rtol=3e-7, atol=0)


def test_bytes_are_those_of_a_count_by_hand() -> None:
    """BERT of 2 layers × 24 × 40, 50 pieces, 40 positions, 2 segments, 3 labels."""
    layer = [(24, 24)] * 4 + [(40, 24), (24, 40)]
    shapes = [(50, 24), (40, 24), (2, 24), *layer, *layer, (24, 24), (3, 24)]
    in_int8 = sum(rows * columns + 4 * rows for rows, columns in shapes)
    vectors = 2 * (4 * 24 + 40 + 24) + 2 * 2 * 2 * 24 + 2 * 24 + 24 + 3
    tensors, _ = compact_state(rounded(sparse_classifier("bert", density=1)))
    assert sum(tensor.nbytes for tensor in tensors.values()) == in_int8 + 2 * vectors
    whole = sum(rows * columns for rows, columns in shapes)
    assert whole + vectors == count_dense(tiny_classifier("bert")).parameters


def test_it_is_smaller_in_bytes_alone() -> None:
    dense = sparse_classifier("bert", density=1)
    found = footprint(rounded(sparse_classifier("bert", density=1)), dense)
    for axis in ("weights", "params", "flops"):  # what is rounded to zero counts as zero
        assert 1 <= found[axis]["ratio"] < 1.05
    size = found["bytes"]
    assert size["actual_fp32"] == size["dense_fp32"]
    assert size["actual"] < 0.8 * size["dense"] < 0.8 * size["dense_fp32"]


def test_what_was_not_rounded_is_not_taken_for_int8(tmp_path: Path) -> None:
    for density in (1, 0.3, 0.05):
        tensors, metadata = compact_state(sparse_classifier("bert", density))
        assert not [name for name in tensors if name.endswith(".scale")]
        assert json.loads(metadata["shapes"]) or density == 1


def test_zeros_and_int8_save_together(tmp_path: Path) -> None:
    """A pruned model that is rounded has a bitmap and a byte a value that is left."""
    model = rounded(sparse_classifier("bert", density=0.3))
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    tensors, metadata = compact_state(model)
    left = int(torch.count_nonzero(model.state_dict()[name]))
    assert tensors[name].nbytes == left < 40 * 24 / 2
    assert tensors[f"{name}.bitmap"].nbytes == 40 * 24 // 8
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    back = read_compact(tmp_path / "model.safetensors")[name]
    torch.testing.assert_close(back, model.state_dict()[name], rtol=3e-7, atol=0)


def test_half_precision_does_not_hide_int8() -> None:
    model = rounded(sparse_classifier("bert", density=1))
    sixteen, _ = compact_state(model.half())
    assert sum(tensor.dtype == torch.int8 for tensor in sixteen.values()) == 3 + 2 * 6 + 2
