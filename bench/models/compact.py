"""The compact file: a model's non-zero values in 16 bits, and bitmaps that say where they stand.

Matrices that were rounded to int8 are known by their values, and have 8 bits and a scale a row.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

import bench.models.own_classes  # noqa: F401 - makes them known
from bench.errors import BenchError, first_line
from bench.inputs import check_regular
from bench.models.families import prunable
from bench.models.folder import check_config
from bench.models.heads import automatic
from bench.schema import Count, check, parse_json

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


COMPACT = "model.compact.safetensors"


def load_compact(folder: Path | str) -> PreTrainedModel:
    """The classifier in a folder that `bench export --format sparse` wrote, in fp16 and eval mode.

    Raises:
        BenchError: A file is missing, damaged, or does not fit the configuration.
    """
    folder = Path(folder)
    check_config(folder)
    tensors = read_compact(folder / COMPACT)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model: PreTrainedModel = automatic(config).from_config(
            config, dtype=torch.float16, trust_remote_code=False
        )
        model.load_state_dict(tensors)
        model.eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise BenchError(
            f"{folder} cannot be read as a compact model: {first_line(error)}"
        ) from None
    return model


COMPACT_FORMAT = "values-and-bitmaps"
"""What the header of a compact file says of its layout."""

LEVELS = 127
"""The largest int8 value: -127 to 127."""

OFF_GRID = 1 / 8
"""How far a value may be from a whole number of scales: fp16 moves 127 of them that far."""


def compact_state(model: PreTrainedModel) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A model's tensors as a compact file holds them.

    A matrix that shrinks by it becomes its non-zero values in row order, under its own name, and
    one bit a weight that says where they stand, most significant bit first, under the name with
    `.bitmap` appended. A matrix whose rows are whole multiples of a scale, from -127 to 127,
    becomes these, and its scales in fp32 stand under the name with `.scale` appended. Tied tensors
    are there once.

    Args:
        model: The model; values are rounded to fp16 before zeros are looked for, tensors of whole
            numbers stay as they are.

    Returns:
        The tensors, and the header's metadata, in which `shapes` has the shape of each matrix that
        has a bitmap: what `safetensors.torch.save_file` takes and `read_compact` reads.
    """
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, full in _saved(model):
        tensor = full.detach().cpu().contiguous()
        if (found := _as_int8(tensor)) is not None:
            tensor, tensors[f"{name}.scale"] = found
        elif tensor.is_floating_point():
            tensor = tensor.to(torch.float16)
        kept = tensor != 0
        saving = int((~kept).sum()) * tensor.element_size() - math.ceil(tensor.numel() / 8)
        if tensor.dim() == 2 and saving > 0:
            shapes[name] = list(tensor.shape)
            tensors[f"{name}.bitmap"] = torch.from_numpy(np.packbits(kept.numpy()))
            tensor = tensor[kept]
        tensors[name] = tensor
    return tensors, _metadata(shapes)


def plain_layout(
    model: PreTrainedModel, dtype: torch.dtype = torch.float16
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Types and shapes of a model's tensors, zeros and all, as `compact_state` has its tensors.

    Args:
        model: The model, which may be on torch's device `meta`.
        dtype: Type of the values; tensors of whole numbers keep theirs.
    """
    tensors = {
        name: full.new_empty(
            full.shape, dtype=dtype if full.is_floating_point() else full.dtype, device="meta"
        )
        for name, full in _saved(model)
    }
    return tensors, _metadata({})


def _saved(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a file of a model has, by name, tied ones once."""
    names = model.state_dict().keys()
    every = itertools.chain(model.named_parameters(), model.named_buffers())
    return ((name, tensor) for name, tensor in every if name in names)


def _metadata(shapes: dict[str, list[int]]) -> dict[str, str]:
    """What the header of a compact file says of it; the shapes are those of sparse matrices."""
    return {"format": COMPACT_FORMAT, "shapes": json.dumps(shapes)}


def _as_int8(matrix: Tensor) -> tuple[Tensor, Tensor] | None:
    """Int8 values and a scale a row, `[rows, 1]`, where they give a matrix and are smaller."""
    if matrix.dim() != 2 or not matrix.is_floating_point() or not matrix.numel():
        return None
    for part in (matrix[:1], matrix):  # the first row tells nearly always
        largest = part.float().abs().amax(dim=1, keepdim=True)
        scales = torch.where(largest > 0, largest, 1.0) / LEVELS
        steps = part.float() / scales
        values = steps.round()
        if not bool(((steps - values).abs() <= OFF_GRID).all()):
            return None
    if int(torch.count_nonzero(values)) <= scales.numel() * scales.element_size():
        return None
    return values.to(torch.int8), scales


def read_compact(path: Path) -> dict[str, Tensor]:
    """The tensors of a compact file in their full shapes, as `load_state_dict` takes them.

    Raises:
        BenchError: The file is missing, damaged, or of another layout.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != COMPACT_FORMAT:
                raise ValueError(f"its header does not say {COMPACT_FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, shape in check(parse_json(metadata["shapes"]), dict[str, list[Count]]).items():
            tensors[name] = _spread(tensors[name], tensors.pop(f"{name}.bitmap"), shape)
        for name in [name for name, values in tensors.items() if values.dtype == torch.int8]:
            tensors[name] = tensors[name] * tensors.pop(f"{name}.scale")
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, BenchError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise BenchError(f"{path} cannot be read as a compact model: {reason}.") from None
    return tensors


def _spread(values: Tensor, bitmap: Tensor, shape: list[int]) -> Tensor:
    """A matrix from its non-zero values and the bits that say where they stand."""
    size = math.prod(shape)
    if bitmap.dtype != torch.uint8 or bitmap.dim() != 1 or bitmap.numel() != math.ceil(size / 8):
        raise ValueError("a bitmap is not of its matrix's size")
    bits = np.unpackbits(bitmap.numpy(), count=size)
    if int(bits.sum()) != values.numel():
        raise ValueError("a bitmap has another number of values than its matrix")
    return values.new_zeros(shape).masked_scatter_(
        torch.from_numpy(bits).bool().reshape(shape), values
    )


def file_bytes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> int:
    """Size of the safetensors file with these tensors, of which only types and shapes count.

    The file is the length of its header in 8 bytes, the header, JSON that spaces fill up to whole
    multiples of 8 bytes, and the values, the widest types first.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor, begin = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    return 8 + -(-len(text.encode()) // 8) * 8 + end


_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What a header calls them."""


def bitmap_bytes(model: PreTrainedModel) -> int:
    """What zeros in all prunable matrices cost a compact file at most, before they save anything.

    A bitmap has a bit a weight, a name in the header, and a shape in its metadata. A file with K
    of N weights left is never larger than the plain one and this, less 2 · (N - K) bytes, however
    they are spread over the matrices.
    """
    tensors, metadata = plain_layout(model)
    shapes = {}
    plain = file_bytes(tensors, metadata)
    for name in (f"{name}.weight" for name in prunable(model)):
        full = tensors[name]
        shapes[name] = list(full.shape)
        bits = (math.ceil(full.numel() / 8),)
        tensors[f"{name}.bitmap"] = full.new_empty(bits, dtype=torch.uint8)
        tensors[name] = full.flatten()
    return file_bytes(tensors, _metadata(shapes)) - plain
