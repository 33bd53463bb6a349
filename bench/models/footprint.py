"""The counter: weights, parameters, FLOPs and bytes of any model, dense, masked or cut.

A multiply-accumulate (MAC) is two FLOPs. For one example of S tokens without padding

    MACs = S · (non-zero prunable weights) + 2 · S² · (width of living heads, over all layers)
         + S · (embedding projection) + (pooler and classifier, on one token)
         + S · (head that marks spans, on each token)

so that five numbers of `Counts` say what a model costs at every S. A head is dead where its value
rows or its output columns are all zero (with a bias left, attention averages a constant, which is
that constant); zeros without structure leave the attention products as they are. Biases,
normalisations, activations and embedding look-ups count nothing, and zeros outside the prunable
matrices save nothing. Mask attention counts as attention does: its four matrices and the one row w
of its mask are prunable weights, its heads are among the living ones, and what the mask adds for
distance and head is a look-up and a bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.models import families
from bench.models.compact import bitmap_bytes, compact_state, file_bytes, plain_layout
from bench.models.heads import automatic, marks_spans
from bench.protocol import SEQUENCE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel


TRAINED_PASS = 3
"""Forward passes that a trained pass costs: one forward, two for the gradients."""

Footprint = dict[str, dict[str, float]]
"""By axis: `dense`, `actual` and their `ratio`."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a model holds, and with it what it costs on sequences of any length.

    Attributes:
        weights: Prunable weights: those of the six matrices of each layer, and of its mask
            attention's.
        matrices: Number of prunable matrices that hold anything at all.
        parameters: All parameters, embeddings included, tied ones once.
        embedding_parameters: Those of the embeddings.
        head_parameters: Those of pooler and classifier, or of what marks spans.
        attention_width: Heads that are alive × head size, summed over the layers.
        projection_weights: Size of the matrix from embedding to hidden size, on every token.
        head_weights: Size of the matrices of pooler and classifier, on one token.
        span_weights: Size of the matrix that marks spans, on every token.
        bytes: Size of the file with 16-bit values; of a sparse model, of its compact file.
        bitmap_bytes: What zeros in all prunable matrices add to it; see `compact.bitmap_bytes`.
    """

    weights: int
    matrices: int
    parameters: int
    embedding_parameters: int
    head_parameters: int
    attention_width: int
    projection_weights: int
    head_weights: int
    span_weights: int
    bytes: int
    bitmap_bytes: int

    def macs(self, sequence_length: int = SEQUENCE_LENGTH) -> dict[str, int]:
        """Multiply-accumulates of one example of `sequence_length` tokens, by part."""
        return self._macs(1, sequence_length, sequence_length**2)

    def flops(self, sequence_length: int = SEQUENCE_LENGTH) -> int:
        """FLOPs of one example of `sequence_length` tokens: 2 × MACs."""
        return 2 * sum(self.macs(sequence_length).values())

    def forward_flops(self, lengths: Sequence[int] | np.ndarray) -> int:
        """FLOPs of one forward pass over examples of these real token counts, without padding."""
        tokens = np.asarray(lengths, dtype=np.int64)
        macs = self._macs(len(tokens), int(tokens.sum()), int((tokens * tokens).sum()))
        return 2 * sum(macs.values())

    def _macs(self, examples: int, tokens: int, squared_tokens: int) -> dict[str, int]:
        return {
            "linear": tokens * self.weights,
            "attention": 2 * squared_tokens * self.attention_width,
            "embedding_projection": tokens * self.projection_weights,
            "head": examples * self.head_weights + tokens * self.span_weights,
        }


def count(model: PreTrainedModel) -> Counts:
    """Counts what is left of a model: zeros and dead heads are taken off.

    Args:
        model: A classifier, a bare encoder or a masked language model, whose own head is among the
            parameters but not among the MACs.
    """
    left = file_bytes(*compact_state(model))
    return _count(model, lambda tensor: int(torch.count_nonzero(tensor)), left)


_COUNTED: dict[str, Counts] = {}
"""By configuration: whoever looks for a shape that meets a target asks for the same ones again."""


def count_dense(model: PreTrainedModel | PretrainedConfig) -> Counts:
    """Counts a model's shapes, as if nothing in them were zero.

    Args:
        model: A model, or the configuration of one with a head, for which no weights are made.
    """
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return _count(model, torch.Tensor.numel, file_bytes(*plain_layout(model)))
    families.family_of(model)
    described = model.to_json_string(use_diff=False)
    if described not in _COUNTED:
        with torch.device("meta"):
            made: PreTrainedModel = automatic(model).from_config(model, trust_remote_code=False)
        _COUNTED[described] = count_dense(made)
    return _COUNTED[described]


def _count(model: PreTrainedModel, size: Callable[[Tensor], int], size_of_file: int) -> Counts:
    """Counts `model`, where `size` says how much of a tensor there is."""
    matrices = [matrix.weight for matrix in families.prunable(model).values()]
    head = families.head_modules(model).values()
    head_weights = sum(module.weight.numel() for module in head)
    spans = marks_spans(model)
    projection = families.embedding_projection(model)
    return Counts(
        weights=sum(size(matrix) for matrix in matrices),
        matrices=sum(matrix.numel() > 0 for matrix in matrices),
        parameters=sum(size(parameter) for parameter in model.parameters()),
        embedding_parameters=sum(size(p) for p in families.embeddings(model).parameters()),
        head_parameters=sum(size(p) for module in head for p in module.parameters()),
        attention_width=_alive_widths(model, size),
        projection_weights=0 if projection is None else projection.weight.numel(),
        head_weights=0 if spans else head_weights,
        span_weights=head_weights if spans else 0,
        bytes=size_of_file,
        bitmap_bytes=bitmap_bytes(model),
    )


def _alive_widths(model: PreTrainedModel, size: Callable[[Tensor], int]) -> int:
    """Width of all heads that have both value rows and output columns."""
    attentions = [
        *((one.value, one.attention_output, one.head_size) for one in families.layers(model)),
        *((m.value, m.output, m.attention_head_size) for m in families.mask_attentions(model)),
    ]
    width = 0
    for value, output, head_size in attentions:
        value_rows = torch.split(value.weight, head_size, dim=0)
        output_columns = torch.split(output.weight, head_size, dim=1)
        pairs = zip(value_rows, output_columns, strict=True)
        width += head_size * sum(bool(size(rows) and size(columns)) for rows, columns in pairs)
    return width


def compare(dense: Counts, actual: Counts, sequence_length: int = SEQUENCE_LENGTH) -> Footprint:
    """Sets a compressed model's counts against the reference's.

    Args:
        dense: Counts of the reference's shapes (`count_dense`).
        actual: Counts of the delivered model (`count`).
        sequence_length: Tokens of the one example that FLOPs are counted for.

    Returns:
        `weights`, `params`, `flops` and `bytes`, each with `dense`, `actual` and `ratio`; the
        bytes are those of files with 16-bit values.
    """
    return {
        "weights": _ratio(dense.weights, actual.weights),
        "params": _ratio(dense.parameters, actual.parameters),
        "flops": _ratio(dense.flops(sequence_length), actual.flops(sequence_length)),
        "bytes": _ratio(dense.bytes, actual.bytes),
    }


def footprint(
    model: PreTrainedModel,
    dense: PreTrainedModel,
    sequence_length: int = SEQUENCE_LENGTH,
    lengths: NDArray[np.int64] | None = None,
) -> Footprint:
    """Everything that a record says of a compressed model's size.

    Args:
        model: The delivered model.
        dense: The uncompressed model, of which only the shapes count; `model` itself gives the
            same shapes without zeros.
        sequence_length: Tokens of the one example that FLOPs are counted for.
        lengths: Tokens of a task's rows, if there is one.

    Returns:
        What `compare` returns; with the `bytes` also (`dense_fp32`, `actual_fp32`) those of files
        with 32-bit values as models are commonly saved, zeros and all.
        With `lengths` also `flops_task`: the mean over these rows, each without padding.
    """
    whole, left = count_dense(dense), count(model)
    found = compare(whole, left, sequence_length)
    found["bytes"] |= {
        f"{name}_fp32": file_bytes(*plain_layout(which, torch.float32))
        for name, which in (("dense", dense), ("actual", model))
    }
    if lengths is not None:
        both = (counts.forward_flops(lengths) / len(lengths) for counts in (whole, left))
        found["flops_task"] = _ratio(*both)
    return found


def _ratio(dense: float, actual: float) -> dict[str, float]:
    """Both numbers and their quotient, which nothing left at all would make infinite."""
    return {"dense": dense, "actual": actual, "ratio": dense / max(actual, 1)}
