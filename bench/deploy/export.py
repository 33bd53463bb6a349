"""Compressed models handed on: as plain Hugging Face folders, compact files, and ONNX graphs."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig

import bench.models.own_classes  # noqa: F401 - makes them known
from bench.errors import BenchError, first_line, require
from bench.files import atomic_path, remove
from bench.models.checkpoint import load_classifier, save_model
from bench.models.compact import COMPACT, compact_state
from bench.models.families import (
    CUT_PREFIX,
    family_of,
    has_segments,
    layer_modules,
    layers,
    mask_attentions,
    max_text_positions,
)
from bench.models.heads import automatic, marks_spans

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel


GRAPH = "model.onnx"


def export(
    source: Path, target: Path, form: str, complete: Callable[[Path], None] | None = None
) -> Path:
    """Writes a saved model with a head in another form, with its tokenizer, whole or not at all.

    Args:
        source: A Hugging Face folder.
        target: The folder to be written; it must not exist yet.
        form: `hf`, a folder that any transformers loads; `sparse`, a compact file
            that `load_compact` reads; `onnx`, a graph for any number of rows and pieces;
            `onnx-int8`, the same with int8 matrices.
        complete: Adds to the folder before anybody sees it.

    Returns:
        The file that holds the weights.

    Raises:
        BenchError: The source has no head, `target` exists, or a package is missing.
        OSError: The folder cannot be written.
    """
    if target.exists():
        raise BenchError(f"{target} exists already: name another folder with --out.")
    model, _ = load_classifier(str(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        folder = Path(temporary) / "model"
        try:
            name = _write(model, folder, source, form)
            if complete is not None:
                complete(folder)
        except SafetensorError as error:  # in which it wraps what the system says
            raise OSError(str(error)) from error
        folder.replace(target)
    return target / name


def _write(model: PreTrainedModel, folder: Path, source: Path, form: str) -> str:
    """Writes a folder, and says which file of it holds the weights."""
    save_model(as_stock(model) if form == "hf" else model, folder, source)
    if form == "hf":
        return "model.safetensors"
    remove(folder / "model.safetensors", folder)
    if form == "onnx":
        write_onnx(model, folder / GRAPH)
        return GRAPH
    if form == "onnx-int8":
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            write_onnx(model, Path(temporary) / GRAPH)
            write_int8(Path(temporary) / GRAPH, folder / GRAPH)
        return GRAPH
    tensors, metadata = compact_state(model)
    with atomic_path(folder / COMPACT) as temporary:  # others may read it; safetensors writes 0600
        save_file(tensors, temporary, metadata)
    return COMPACT


def as_stock(model: PreTrainedModel) -> PreTrainedModel:
    """A cut classifier as a stock one that predicts the same, padded with zeros.

    All layers get as many neurons as the largest has, and as many heads as before the cut: the size
    of a head follows from their number. A model that is stock already is returned as it is.

    Raises:
        BenchError: Hidden dimensions were cut, or layers have mask attention.
    """
    if mask_attentions(model):
        raise BenchError(
            "no stock configuration knows mask attention: take --format sparse or onnx."
        )
    return _padded(model) if _is_cut(model) else model


def _is_cut(model: PreTrainedModel) -> bool:
    return str(model.config.model_type).startswith(CUT_PREFIX)


@torch.no_grad()
def _padded(model: PreTrainedModel) -> PreTrainedModel:
    """A cut model in a stock shape that has more heads and neurons, which are zero."""
    larger: PreTrainedModel = automatic(model).from_config(
        _stock_config(model), trust_remote_code=False
    )
    state = model.state_dict()
    for name, tensor in larger.state_dict().items():
        tensor.zero_()
        tensor[tuple(map(slice, state[name].shape))] = state[name]
    larger.eval()
    return larger


def _stock_config(model: PreTrainedModel) -> PretrainedConfig:
    known = model.config.to_dict()
    family = family_of(model)
    neurons = known.pop("layer_neurons")
    if (width := known.pop("cut_width")) is not None:
        raise BenchError(
            f"no stock configuration knows a width of {width} with heads and a classifier made for "
            f"{model.config.hidden_size}: take --format sparse or onnx."
        )
    for name in ("model_type", "architectures", "layer_heads"):
        known.pop(name)
    config: PretrainedConfig = AutoConfig.for_model(
        family.model_type, **{**known, family.neurons: max(1, *neurons)}
    )
    return config


def _without_empty_blocks(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in which attention without heads, and feed-forward without neurons, is its bias.

    The reshapes of attention cannot be written as a graph for no heads at all.
    """
    changed, family = copy.deepcopy(model), family_of(model)
    for module, layer in zip(layer_modules(changed), layers(changed), strict=True):
        if not layer.heads:
            bias = layer.attention_output.bias
            module.set_submodule(family.attention_output, _Constant(bias))
            module.set_submodule(family.attention, _Constant((bias, None)))
        if not layer.output.in_features:
            bias = layer.output.bias
            module.set_submodule(family.output, _Constant(bias))
            module.set_submodule(family.intermediate.rpartition(".")[0], _Constant(bias))
    return changed


class _Constant(nn.Module):
    """Gives the same whatever it is given."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def forward(self, *_: Any, **__: Any) -> Any:
        return self._value


def inputs_of(model: PreTrainedModel, rows: int, pieces: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of random word pieces without padding, each `[rows, pieces]`."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(model.config.vocab_size - 1, (rows, pieces), generator=generator)
    ids += ids >= (model.config.pad_token_id or 0)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if has_segments(model.config):
        inputs["token_type_ids"] = torch.zeros_like(ids)
    return inputs


def write_onnx(model: PreTrainedModel, path: Path) -> None:
    """Writes a model with a head as an ONNX graph from inputs `[rows, pieces]`.

    Its outputs are `logits`, or `start_logits` and `end_logits` where it marks spans.

    Raises:
        BenchError: What writes graphs is not installed, or cannot write this model.
    """
    require("onnx", "onnxscript")
    if _is_cut(model):
        model = _without_empty_blocks(model)
    example = inputs_of(model, 2, min(16, max_text_positions(model.config)))
    rows, pieces = torch.export.Dim("rows"), torch.export.Dim("pieces", min=2)
    with _silence():
        try:
            torch.onnx.export(
                model,
                kwargs=example,
                f=path,
                input_names=list(example),
                output_names=["start_logits", "end_logits"] if marks_spans(model) else ["logits"],
                dynamic_shapes={name: {0: rows, 1: pieces} for name in example},
                dynamo=True,
                external_data=False,
            )
            _leave_out_traces(path)
        except OSError:
            raise
        except Exception as error:  # the exporter has many
            raise BenchError(
                f"no ONNX graph can be made of this model: {first_line(error)}"
            ) from error


def _leave_out_traces(path: Path) -> None:
    """Takes off an ONNX file what it says of the code, and of this machine's folders."""
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")
    onnx.save(model, path)


def write_int8(graph: Path, path: Path) -> None:
    """Writes an ONNX graph again with int8 matrices: ONNX Runtime's dynamic quantisation.

    Weights are rounded once, a scale a column; embeddings, a scale a table. Activations are rounded
    as they come, a scale a tensor, and products add up in 32 bits. This is what makes a processor
    faster; the control `int8` rounds weights alone.

    Raises:
        BenchError: What writes it is not installed.
    """
    require("onnx", "onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # its advice would give the root logger a handler that stays
    try:
        quantize_dynamic(graph, path, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps the exporter's reports to itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
