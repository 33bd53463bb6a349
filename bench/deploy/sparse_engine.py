"""An engine that skips zeros: a classifier whose layers run on our own kernels.

It runs the model's own code and replaces the stack of layers in a copy of it, within which
activations lie feature-major (`bench.deploy.kernels`); embeddings, position numbers, masks and head
stay those of the family. Needs numba.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from bench.deploy import kernels
from bench.errors import BenchError
from bench.models.families import family_of, layer_modules, layers, mask_attentions, prunable
from bench.models.heads import logits_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.models.families import Layer

LANE_COST = {16: 1.6, 32: 1.15, 64: 1.0}
"""What a token costs in blocks of so many: each block looks up the matrix's non-zeros anew.

Without AVX-512 the two sums of 64 tokens would fill all registers, so there blocks end at 32.
"""

ROW_COST = 8
"""What starting a row costs, in non-zeros; for sharing rows among threads."""

TIMINGS = 4
"""How often each way of multiplying by a matrix is timed at load; the first one warms up."""

_FUSED = {
    "gelu": kernels.GELU,
    "gelu_new": kernels.GELU_TANH,
    "gelu_pytorch_tanh": kernels.GELU_TANH,
    "relu": kernels.RELU,
}


class SparseEncoder:
    """A sequence classifier that skips the zeros of its layers' matrices.

    Each matrix is multiplied by the faster of the sparse kernel and torch's dense product, for its
    density and the given shape of input, as measured when the engine is made. Threads of torch
    itself are left as they are; for dense products they should be as many. Where others want the
    cores too, threads must not spin (`OMP_WAIT_POLICY=PASSIVE`). One call at a time.

    Attributes:
        choices: Which of `sparse` and `dense` each matrix of `prunable` uses.
    """

    def __init__(
        self, model: PreTrainedModel, *, batch: int, sequence_length: int, threads: int
    ) -> None:
        """Packs the weights and measures.

        Args:
            model: A classifier, stock or cut; it is neither changed nor copied whole.
            batch: Examples of a call to tune for.
            sequence_length: Their length to tune for.
            threads: Number of threads.

        Raises:
            BenchError: It has layers of another kind than the kernels compute.
        """
        if mask_attentions(model):
            raise BenchError("its kernels do not compute mask attention")
        self._threads = min(threads, numba.config.NUMBA_NUM_THREADS)
        numba.set_num_threads(self._threads)
        stack: nn.Module = model.base_model.get_submodule(
            family_of(model).layers.rpartition(".")[0]
        )
        with torch.no_grad():
            encoder = _Encoder(model, batch, sequence_length, self._threads)
        # What the memo knows is not copied: the copy gets our encoder in place of the stack.
        self._model = copy.deepcopy(model, {id(stack): encoder}).eval().float()
        self._model.config._attn_implementation = "eager"  # masks are summands, or none
        chosen = [
            "sparse" if isinstance(product, _SparseProduct) else "dense"
            for layer in encoder.layers
            for product in layer.products.values()
        ]
        self.choices: dict[str, str] = dict(zip(prunable(model), chosen, strict=True))

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The logits, see `bench.models.heads.logits_of`.

        Args:
            inputs: `input_ids`, and `attention_mask` and `token_type_ids` where the model takes
                them, each `[rows, tokens]`; as many of both as the model takes.
        """
        numba.set_num_threads(self._threads)
        return logits_of(self._model(**inputs))


class _Room:
    """Arrays of activations that are used again by every layer and call, while shapes last."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Tensor] = {}
        self._shape = (0, 0)

    def reshape(self, blocks: int, lanes: int) -> None:
        if self._shape != (blocks, lanes):
            self._kept.clear()
            self._shape = (blocks, lanes)

    def __call__(self, name: str, features: int) -> Tensor:
        """Activations `[blocks, features, lanes]` that nothing else of that name uses now."""
        kept = self._kept.get((name, features))
        if kept is None:
            blocks, lanes = self._shape
            kept = self._kept[name, features] = torch.empty(blocks, features, lanes)
        return kept


class _Encoder(nn.Module):
    """The stack of layers, feature-major inside; takes and returns what the model's own does."""

    def __init__(
        self, model: PreTrainedModel, batch: int, sequence_length: int, threads: int
    ) -> None:
        super().__init__()
        self._threads = threads
        self._room = _Room()
        lanes, each = _layout(sequence_length)
        self._room.reshape(batch * each, lanes)
        self.layers = [
            _EncoderLayer(layer, module, model.config, self._room, threads)
            for layer, module in zip(layers(model), layer_modules(model), strict=True)
        ]

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **unused: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """From embeddings `[rows, tokens, width]` to hidden states of that shape.

        Args:
            hidden_states: The embeddings.
            attention_mask: What is added to scores `[rows, 1, 1 or tokens, tokens]`.
            unused: What a stack of layers may be told and this one has no use for.
        """
        rows, length, width = hidden_states.shape
        lanes, each = _layout(length)
        padded = lanes * each
        self._room.reshape(rows * each, lanes)

        mask = hidden_states.new_full((rows, padded), -torch.inf)
        mask[:, :length] = 0.0 if attention_mask is None else attention_mask[:, 0, 0]
        x = self._room("hidden", width)
        tokens = x.view(rows, each, width, lanes).transpose(2, 3)  # rows, blocks, lanes, width
        if padded > length:
            hidden_states = F.pad(hidden_states, (0, 0, 0, padded - length))
        tokens.copy_(hidden_states.view(rows, each, lanes, width))
        scores = torch.empty(self._threads, padded, lanes)
        for layer in self.layers:
            x = layer(x, mask, scores)
        tokens = x.view(rows, each, width, lanes).transpose(2, 3)
        states = tokens.reshape(rows, padded, width)[:, :length]
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)


class _EncoderLayer:
    """One layer on activations `[blocks, width, lanes]`."""

    def __init__(
        self, layer: Layer, module: nn.Module, config: Any, room: _Room, threads: int
    ) -> None:
        self._room = room
        self._head_size = layer.head_size
        activation = getattr(config, "hidden_act", None) or config.activation
        self.products = {
            name: _faster_product(
                matrix, activation if name == "intermediate" else None, room, threads
            )
            for name, matrix in layer.matrices.items()
        }
        self._norms = [
            _LayerNorm(norm) for norm in module.modules() if isinstance(norm, nn.LayerNorm)
        ]

    def __call__(self, x: Tensor, mask: Tensor, scores: Tensor) -> Tensor:
        """The layer's output, in the place of `x`.

        Args:
            x: Activations `[blocks, width, lanes]`.
            mask: What is added to each key's scores, `[rows, padded tokens]`.
            scores: Room for a block's scores, `[threads, padded tokens, lanes]`.
        """
        products, room = self.products, self._room
        width = x.shape[1]
        query, key, value = (
            products[name](x, room(name, products[name].features))
            for name in ("query", "key", "value")
        )
        context = query  # each query is read before its context is written
        kernels.attention(
            *map(_blocks, (query, key, value)),
            mask.numpy(),
            self._head_size,
            _blocks(scores),
            _blocks(context),
        )
        attended = products["attention_output"](context, room("attended", width), residual=x)
        self._norms[0](attended)
        neurons = products["intermediate"](
            attended, room("neurons", products["intermediate"].features)
        )
        x = products["output"](neurons, room("hidden", width), residual=attended)
        self._norms[1](x)
        return x


class _SparseProduct:
    """A matrix as its non-zeros."""

    def __init__(self, linear: nn.Linear, activation: str | None, threads: int) -> None:
        weight = linear.weight.detach().float().numpy()
        self.features, columns = weight.shape
        counts = np.count_nonzero(weight, axis=1)
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = np.nonzero(weight)
        self._matrix = (
            np.ascontiguousarray(weight[places]),
            places[1].astype(np.uint16 if columns <= 1 << 16 else np.int32),
            starts.astype(np.int32),
            _numpy(linear.bias),
        )
        work = starts + ROW_COST * np.arange(len(starts))
        shares = np.searchsorted(work, np.linspace(0, work[-1], threads + 1))
        self._shares = shares.astype(np.int32)
        self._fused = _FUSED.get(activation, kernels.NO_ACTIVATION) if activation else 0
        self._activation = ACT2FN[activation] if activation and not self._fused else None

    def __call__(self, x: Tensor, out: Tensor, residual: Tensor | None = None) -> Tensor:
        """activation(matrix · x + bias + residual), in the place of `out`."""
        added = residual is not None
        target = _blocks(out)
        summand = target if residual is None else _blocks(residual)
        kernels.sparse_product(
            _blocks(x), *self._matrix, summand, added, self._fused, self._shares, target
        )
        return out if self._activation is None else self._activation(out)


class _DenseProduct:
    """A matrix with its zeros.

    As a convolution of width 1, which takes activations as they lie; oneDNN computes it, on many
    processors faster than the library behind torch's matrix products.
    """

    def __init__(self, linear: nn.Linear, activation: str | None) -> None:
        self.features = linear.out_features
        self._weight = linear.weight.detach().float().unsqueeze(2)
        self._bias = linear.bias.detach().float()
        self._activation = ACT2FN[activation] if activation else None

    def __call__(self, x: Tensor, out: Tensor, residual: Tensor | None = None) -> Tensor:
        """activation(matrix · x + bias + residual); `out` is left alone."""
        product = F.conv1d(x, self._weight, self._bias).contiguous()
        if residual is not None:
            product += residual
        return product if self._activation is None else self._activation(product)


def _faster_product(
    linear: nn.Linear, activation: str | None, room: _Room, threads: int
) -> _SparseProduct | _DenseProduct:
    """The one that takes less time on activations of the shape that the room has now."""
    sparse = _SparseProduct(linear, activation, threads)
    if not linear.weight.any():
        return sparse
    dense = _DenseProduct(linear, activation)
    x, out = room("input", linear.in_features).normal_(), room("output", linear.out_features)
    # By turns and by the least time, so that whatever else runs here does not choose.
    least = {sparse: float("inf"), dense: float("inf")}
    for product in (sparse, dense) * TIMINGS:
        start = time.perf_counter()
        product(x, out)
        least[product] = min(least[product], time.perf_counter() - start)
    return sparse if least[sparse] <= least[dense] else dense


class _LayerNorm:
    """Normalises the features of each token, in place."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self._weights = _numpy(norm.weight), _numpy(norm.bias), norm.eps

    def __call__(self, x: Tensor) -> None:
        kernels.layer_norm(_blocks(x), *self._weights, _blocks(x))


def _layout(length: int) -> tuple[int, int]:
    """Tokens of a block, and blocks of an example, for examples of so many tokens."""

    def cost(lanes: int) -> float:
        return -(-length // lanes) * lanes * LANE_COST[lanes]

    widest = 64 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 32
    lanes = min((lanes for lanes in LANE_COST if lanes <= widest), key=cost)
    return lanes, -(-length // lanes)


def _blocks(x: Tensor) -> np.ndarray[Any, Any]:
    """Activations `[blocks, features, lanes]` as the kernels take them, `[blocks, features]`."""
    blocks: np.ndarray[Any, Any] = x.numpy().view(kernels.block_type(x.shape[2]))[..., 0]
    return blocks


def _numpy(parameter: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = parameter.detach().float().numpy()
    return array
