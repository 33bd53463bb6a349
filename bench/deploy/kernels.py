"""Compiled kernels for encoders whose activations lie feature-major.

A *block* is the values of one feature for 16, 32 or 64 consecutive tokens, side by side in memory;
activations are numpy arrays `[blocks, features]` of them (`block_type`). So a weight meets all
tokens of a block at once, every step of an encoder (products, softmax, LayerNorm, GELU) is plain
arithmetic on blocks, and nothing is ever transposed. In the kernels a block is one value, a vector
in LLVM, which keeps it in as many registers as the processor needs: of 64 tokens, in four of
AVX-512. That is what loops over arrays do not reach: their sums go through memory.

Needs numba (`pip install 'prunebench[engines]'`). Kernels are compiled when first called and kept
in numba's cache on disk: beside this file or, where that folder is read-only, in the user's cache
folder. Numba keeps them apart by processor, and compiles anew when this file has changed; no other
is looked at, so all that the kernels are made of stays in it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, overload, register_model

NO_ACTIVATION, GELU, GELU_TANH, RELU = range(4)
"""What `sparse_product` can apply to its result."""

# Numba's OpenMP threads are torch's own, where torch was imported first: one pool, not two that
# get in each other's way.
config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

_kernel = njit(parallel=True, cache=True, error_model="numpy")
_inlined = njit(forceinline=True, error_model="numpy")


def block_type(lanes: int) -> np.dtype[Any]:
    """The element of an array of activations: one feature's values for `lanes` tokens."""
    return np.dtype([("tokens", np.float32, (lanes,))])


# ---- A block as a value: what numba is told so that LLVM sees vectors ----------------------------


class Block(types.Type):
    """Numba's type of a block that was loaded."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Block({lanes})")


@register_model(Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager: Any, block: Block) -> None:
        super().__init__(manager, block, ir.VectorType(ir.FloatType(), block.lanes))


def _address(context: Any, builder: Any, signature: Any, arguments: Any, as_type: ir.Type) -> Any:
    """Where `array[block, row]` lies; indices are trusted."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    place = cgutils.get_item_pointer(
        context, builder, signature.args[0], array, arguments[1:3], wraparound=False
    )
    return builder.bitcast(place, as_type.as_pointer())


@intrinsic
def _load(typing_context: Any, array: Any, block: Any, row: Any) -> Any:
    result = Block(array.dtype.size // 4)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(result)
        place = _address(context, builder, signature, arguments, vector)
        return builder.load(place, align=4)

    return result(array, types.intp, types.intp), emit


@intrinsic
def _store(typing_context: Any, array: Any, block: Any, row: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _address(context, builder, signature, arguments, arguments[3].type)
        builder.store(arguments[3], place, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, value), emit


@intrinsic
def _token(typing_context: Any, array: Any, block: Any, row: Any, lane: Any) -> Any:
    """One token's value."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _address(context, builder, signature, arguments, ir.FloatType())
        return builder.load(builder.gep(place, [arguments[3]]), align=4)

    return types.float32(array, types.intp, types.intp, types.intp), emit


@intrinsic
def _same(typing_context: Any, value: Any, array: Any) -> Any:
    """A number in every lane of a block as `array` has them."""
    result = Block(array.dtype.size // 4)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0], result.lanes)

    return result(types.float32, array), emit


def _spread(builder: Any, number: Any, lanes: int) -> Any:
    vector = ir.VectorType(number.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), places)


def _in_every_lane(builder: Any, kinds: Any, values: Any, lanes: int) -> list[Any]:
    return [
        value if isinstance(kind, Block) else _spread(builder, value, lanes)
        for kind, value in zip(kinds, values, strict=True)
    ]


def _signature(*operands: Any) -> Any:
    """Of an operation on blocks, where an operand may also be a number that all lanes share."""
    block = next(operand for operand in operands if isinstance(operand, Block))
    return block(*(o if isinstance(o, Block) else types.float32 for o in operands))


def _unary(instruction: Callable[[Any, Any], Any]) -> Any:
    @intrinsic
    def operation(typing_context: Any, block: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return instruction(builder, *arguments)

        return block(block), emit

    return operation


def _binary(instruction: Callable[[Any, Any, Any], Any]) -> Any:
    @intrinsic
    def operation(typing_context: Any, left: Any, right: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            lanes = signature.return_type.lanes
            return instruction(builder, *_in_every_lane(builder, signature.args, arguments, lanes))

        return _signature(left, right), emit

    return operation


@intrinsic
def _multiply_add(typing_context: Any, left: Any, right: Any, summand: Any) -> Any:
    """Left · right + summand, in one instruction where the processor has it."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = _in_every_lane(builder, signature.args, arguments, signature.return_type.lanes)
        return _call(builder, "llvm.fmuladd", *vectors)

    return _signature(left, right, summand), emit


def _call(builder: Any, name: str, *vectors: Any) -> Any:
    vector = vectors[0].type
    function_type = ir.FunctionType(vector, [vector] * len(vectors))
    full_name = f"{name}.v{vector.count}f32"
    function = cgutils.get_or_insert_function(builder.module, function_type, full_name)
    return builder.call(function, vectors)


def _two_to_the(builder: Any, exponent: Any) -> Any:
    """2 to a whole number from -127 to 127, by writing a float's exponent."""
    whole = ir.VectorType(ir.IntType(32), exponent.type.count)
    shifted = builder.add(builder.fptosi(exponent, whole), ir.Constant(whole, [127] * whole.count))
    bits = builder.shl(shifted, ir.Constant(whole, [23] * whole.count))
    return builder.bitcast(bits, exponent.type)


def _either(comparison: str) -> Any:
    return _binary(
        lambda builder, left, right: builder.select(
            builder.fcmp_ordered(comparison, left, right), left, right
        )
    )


_maximum = _either(">")
_minimum = _either("<")
_round = _unary(lambda builder, block: _call(builder, "llvm.rint", block))
_root = _unary(lambda builder, block: _call(builder, "llvm.sqrt", block))
_power_of_two = _unary(_two_to_the)


def _overload_operator(function: Any, method: str) -> None:
    operation = _binary(lambda builder, left, right: getattr(builder, method)(left, right))

    @overload(function)
    def typed(left: Any, right: Any) -> Any:
        def combined(left: Any, right: Any) -> Any:
            return operation(left, right)

        return combined if isinstance(left, Block) or isinstance(right, Block) else None


_overload_operator(operator.add, "fadd")
_overload_operator(operator.sub, "fsub")
_overload_operator(operator.mul, "fmul")
_overload_operator(operator.truediv, "fdiv")


# ---- Functions of a block ------------------------------------------------------------------------


@_inlined
def _exp(x: Any) -> Any:
    """e^x with a relative error near 1e-7; beyond ±87 as there."""
    x = _minimum(_maximum(x, -87.0), 87.0)
    n = _round(x * 1.4426950408889634)
    r = _multiply_add(n, -0.693359375, x)
    r = _multiply_add(n, 2.12194440e-4, r)
    p = _multiply_add(r, 1.9875691500e-4, 1.3981999507e-3)
    p = _multiply_add(p, r, 8.3334519073e-3)
    p = _multiply_add(p, r, 4.1665795894e-2)
    p = _multiply_add(p, r, 1.6666665459e-1)
    p = _multiply_add(p, r, 5.0000001201e-1)
    p = _multiply_add(p, r * r, r + 1.0)
    return p * _power_of_two(n)


@_inlined
def _gelu(x: Any) -> Any:
    """Exact GELU, x · Φ(x); Φ's smaller tail by Abramowitz and Stegun 7.1.26, within 1e-7."""
    size = _maximum(x, 0.0 - x)
    t = 1.0 / _multiply_add(size, 0.3275911 * 0.7071067811865476, 1.0)
    p = _multiply_add(t, 0.5 * 1.061405429, 0.5 * -1.453152027)
    p = _multiply_add(p, t, 0.5 * 1.421413741)
    p = _multiply_add(p, t, 0.5 * -0.284496736)
    p = _multiply_add(p, t, 0.5 * 0.254829592)
    tail = p * t * _exp(x * x * -0.5)
    return _maximum(x, 0.0) - size * tail


@_inlined
def _gelu_tanh(x: Any) -> Any:
    """GELU's older approximation, 0.5x(1 + tanh u) = x / (1 + e^-2u)."""
    u = x * _multiply_add(x * x, 0.044715, 1.0) * 0.7978845608028654
    return x / (_exp(u * -2.0) + 1.0)


# ---- Kernels -------------------------------------------------------------------------------------


@_kernel
def sparse_product(
    x: Any,
    values: Any,
    columns: Any,
    starts: Any,
    bias: Any,
    residual: Any,
    add_residual: bool,
    activation: int,
    shares: Any,
    out: Any,
) -> None:
    """out[row] = activation(bias[row] + residual[row] + Σ value · x[column]).

    Args:
        x: Activations `[blocks, columns]`.
        values: The matrix's non-zero weights, row by row, float32 `[non-zeros]`.
        columns: Their columns, uint16 or int32 `[non-zeros]`.
        starts: Where each row starts among them, and their number, int32 `[rows + 1]`.
        bias: float32 `[rows]`.
        residual: Activations `[blocks, rows]`; anything of that type where none are added.
        add_residual: Whether they are added.
        activation: `NO_ACTIVATION`, `GELU`, `GELU_TANH` or `RELU`.
        shares: The first row of each thread's share, and the number of rows, int32 `[threads + 1]`.
        out: Activations `[blocks, rows]`, written.
    """
    for share in prange(len(shares) - 1):
        for block in range(len(x)):
            for row in range(shares[share], shares[share + 1]):
                total = _same(bias[row], x)
                if add_residual:
                    total = total + _load(residual, block, row)
                # Two sums, since each addition waits for the one before it.
                other = _same(0.0, x)
                end = starts[row + 1]
                place = starts[row]
                while place < end - 1:
                    total = _multiply_add(_load(x, block, columns[place]), values[place], total)
                    place += 1
                    other = _multiply_add(_load(x, block, columns[place]), values[place], other)
                    place += 1
                if place < end:
                    total = _multiply_add(_load(x, block, columns[place]), values[place], total)
                total = total + other
                if activation == GELU:
                    total = _gelu(total)
                elif activation == GELU_TANH:
                    total = _gelu_tanh(total)
                elif activation == RELU:
                    total = _maximum(total, 0.0)
                _store(out, block, row, total)


@_kernel
def layer_norm(x: Any, weight: Any, bias: Any, epsilon: float, out: Any) -> None:
    """Normalises over the features of each token.

    Args:
        x: Activations `[blocks, features]`.
        weight: float32 `[features]`.
        bias: float32 `[features]`.
        epsilon: What is added to the variance.
        out: Activations `[blocks, features]`, written; may be `x`.
    """
    features = x.shape[1]
    for block in prange(len(x)):
        mean = _same(0.0, x)
        for row in range(features):
            mean = mean + _load(x, block, row)
        mean = mean / features
        variance = _same(0.0, x)
        for row in range(features):
            distance = _load(x, block, row) - mean
            variance = _multiply_add(distance, distance, variance)
        scale = 1.0 / _root(variance / features + epsilon)
        for row in range(features):
            normal = (_load(x, block, row) - mean) * scale
            _store(out, block, row, _multiply_add(normal, weight[row], _same(bias[row], x)))


@_kernel
def attention(
    query: Any, key: Any, value: Any, mask: Any, head_size: int, scores: Any, out: Any
) -> None:
    """Each head's softmax(query · key / √head_size + mask) · value.

    Args:
        query: Activations `[blocks, heads · head_size]`; each example fills as many blocks as the
            others, and a token that only pads is one like any other, but for the mask.
        key: The same.
        value: The same.
        mask: What is added to the scores of a token as key, float32 `[examples, tokens]`.
        head_size: Features of a head.
        scores: Room to work in, blocks `[threads, tokens]`.
        out: Activations `[blocks, heads · head_size]`, written.
    """
    lanes = mask.shape[1] * len(mask) // len(query)
    each = len(query) // len(mask)
    heads = query.shape[1] // head_size
    tasks = len(query) * heads
    threads = len(scores)
    scale = head_size**-0.5
    for thread in prange(threads):
        for task in range(thread * tasks // threads, (thread + 1) * tasks // threads):
            block, first = task // heads, task % heads * head_size
            example = block // each
            # Scores lie keys × queries, so that the queries of a block share every step.
            largest = _same(-np.inf, query)
            for token in range(0, mask.shape[1], 4):
                other, lane = example * each + token // lanes, token % lanes
                score0 = score1 = score2 = score3 = _same(0.0, query)
                for row in range(first, first + head_size):
                    asked = _load(query, block, row)
                    score0 = _multiply_add(asked, _token(key, other, row, lane), score0)
                    score1 = _multiply_add(asked, _token(key, other, row, lane + 1), score1)
                    score2 = _multiply_add(asked, _token(key, other, row, lane + 2), score2)
                    score3 = _multiply_add(asked, _token(key, other, row, lane + 3), score3)
                score0 = _multiply_add(score0, scale, _same(mask[example, token], query))
                score1 = _multiply_add(score1, scale, _same(mask[example, token + 1], query))
                score2 = _multiply_add(score2, scale, _same(mask[example, token + 2], query))
                score3 = _multiply_add(score3, scale, _same(mask[example, token + 3], query))
                largest = _maximum(largest, _maximum(score0, score1))
                largest = _maximum(largest, _maximum(score2, score3))
                _store(scores, thread, token, score0)
                _store(scores, thread, token + 1, score1)
                _store(scores, thread, token + 2, score2)
                _store(scores, thread, token + 3, score3)
            total = _same(0.0, query)
            for token in range(mask.shape[1]):
                weight = _exp(_load(scores, thread, token) - largest)
                total = total + weight
                _store(scores, thread, token, weight)
            share = 1.0 / total
            last = first + head_size - 1
            for row0 in range(first, first + head_size, 4):
                # Where four do not divide a head, its last row is computed more than once.
                row1, row2, row3 = min(row0 + 1, last), min(row0 + 2, last), min(row0 + 3, last)
                sum0 = sum1 = sum2 = sum3 = _same(0.0, query)
                for token in range(mask.shape[1]):
                    other, lane = example * each + token // lanes, token % lanes
                    weight = _load(scores, thread, token)
                    sum0 = _multiply_add(weight, _token(value, other, row0, lane), sum0)
                    sum1 = _multiply_add(weight, _token(value, other, row1, lane), sum1)
                    sum2 = _multiply_add(weight, _token(value, other, row2, lane), sum2)
                    sum3 = _multiply_add(weight, _token(value, other, row3, lane), sum3)
                _store(out, block, row0, sum0 * share)
                _store(out, block, row1, sum1 * share)
                _store(out, block, row2, sum2 * share)
                _store(out, block, row3, sum3 * share)
