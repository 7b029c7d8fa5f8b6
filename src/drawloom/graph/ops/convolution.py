"""Convolutions: windows as a strided view, one matrix product per group."""

from __future__ import annotations

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.gemm import sum_fits
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    FLOATS,
    Arrays,
    Operator,
    Types,
    given,
    maybe,
    need_dtype,
    need_same_dtype,
    optional,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.ops.matrix import BYTES8, centred, need_zero, requantize, spread
from drawloom.graph.rounding import narrow, wide
from drawloom.graph.window import Window

_COLUMNS_BYTES = 64 << 20
_GEOMETRY = {
    "strides": "ints",
    "pads": "ints",
    "dilations": "ints",
    "group": "int",
    "kernel_shape": "ints",
}


def conv_shape(node: Node, types: Types, i: int = 0, j: int = 1) -> tuple[int, ...]:
    """Return the output's shape for data operand ``i`` and weights operand ``j``."""
    x, w = given(types, i).shape, given(types, j).shape
    group = node.int("group", 1)
    if len(x) < 3 or len(w) != len(x):
        refuse(node, types, "x and w must have one rank, 3 or more")
    if group < 1 or w[0] % group or x[1] != w[1] * group:
        refuse(
            node,
            types,
            f"x has {x[1]} channels; w takes {w[1]} in each of {group} groups and gives {w[0]}",
        )
    if node.ints("kernel_shape", w[2:]) != w[2:]:
        refuse_attr(node, types, "kernel_shape", f"w's last dims {list(w[2:])}")
    return (x[0], w[0], *Window.of(node, x[2:], w[2:]).out)


def _need_bias(node: Node, types: Types, i: int, channels: int) -> None:
    bias = optional(types, i)
    if bias is not None and bias.shape != (channels,):
        refuse(node, types, f"the bias must have shape ({channels},)")


def _conv_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_dtype(node, types, 0, FLOATS)
    dtype = need_same_dtype(node, types, (0, 1, 2))
    shape = conv_shape(node, types)
    _need_bias(node, types, 2, shape[1])
    return (TensorType(dtype, shape),)


def convolve(node: Node, x: Array, w: Array) -> Array:
    """Return the convolution summed in float64 (exact for integers that fit, see gemm)."""
    group = node.int("group", 1)
    window = Window.of(node, x.shape[2:], w.shape[2:])
    windows = window.view(window.pad(wide(x), 0.0))
    out = np.empty((x.shape[0], w.shape[0], *window.out), np.float64)
    weights = wide(w).reshape(group, w.shape[0] // group, -1)
    per_row = windows.size // max(x.shape[0] * window.out[0], 1) * 8
    rows = max(1, _COLUMNS_BYTES // max(per_row, 1))
    for n in range(x.shape[0]):
        for top in range(0, window.out[0], rows):
            piece = windows[n, :, top : top + rows]
            out[n, :, top : top + rows] = _columns_product(weights, piece, out.ndim - 2)
    return out


def _columns_product(weights: Array, windows: Array, rank: int) -> Array:
    """Multiply (group, out, in*kernel) weights with windows (channel, *out, *kernel)."""
    group = weights.shape[0]
    dims = windows.shape[1 : 1 + rank]
    kernel = tuple(range(1 + rank, 1 + 2 * rank))
    order = (0, *kernel, *range(1, 1 + rank))
    columns = windows.transpose(order).reshape(group, weights.shape[2], -1)
    return np.matmul(weights, columns).reshape(-1, *dims)


def _conv(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    total = convolve(node, x, tensor(arrays, 1))
    return (narrow(_add_bias(total, maybe(arrays, 2)), x.dtype),)


def _add_bias(total: Array, bias: Array | None) -> Array:
    if bias is not None:
        total += spread_channels(wide(bias), total.ndim)
    return total


def spread_channels(per: Array, rank: int) -> Array:
    """Return a per-channel vector shaped to broadcast along axis 1."""
    return per.reshape((1, -1, *(1,) * (rank - 2)))


def _transpose_shape(node: Node, types: Types) -> tuple[int, ...]:
    x, w = given(types, 0).shape, given(types, 1).shape
    group = node.int("group", 1)
    if len(x) < 3 or len(w) != len(x):
        refuse(node, types, "x and w must have one rank, 3 or more")
    if group < 1 or x[1] != w[0] or x[1] % group:
        refuse(node, types, f"x has {x[1]} channels; w takes {w[0]} in {group} groups")
    dims = transposed_dims(node, x[2:], w[2:])
    if any(d < 1 for d in dims):
        refuse_attr(node, types, "pads", f"pads leave nothing: output dims {list(dims)}")
    return (x[0], w[1] * group, *dims)


def transposed_dims(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return ConvTranspose's output dims."""
    rank = len(sizes)
    full = _full_dims(node, sizes, kernel)
    pads = node.ints("pads", (0,) * 2 * rank)
    extra = node.ints("output_padding", (0,) * rank)
    rows = zip(full, pads[:rank], pads[rank:], extra, strict=True)
    return tuple(f - before - after + e for f, before, after, e in rows)


def _full_dims(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    strides = node.ints("strides", (1,) * len(sizes))
    dilations = node.ints("dilations", (1,) * len(sizes))
    rows = zip(sizes, kernel, strides, dilations, strict=True)
    return tuple((n - 1) * s + (k - 1) * d + 1 for n, k, s, d in rows)


def _transpose_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_dtype(node, types, 0, FLOATS)
    dtype = need_same_dtype(node, types, (0, 1, 2))
    rank = len(given(types, 0).shape) - 2
    for key, length in (("strides", rank), ("dilations", rank), ("output_padding", rank)):
        if len(node.ints(key, (0,) * length)) != length:
            refuse_attr(node, types, key, f"{length} numbers")
    if len(node.ints("pads", (0,) * 2 * rank)) != 2 * rank:
        refuse_attr(node, types, "pads", f"{2 * rank} numbers")
    shape = _transpose_shape(node, types)
    _need_bias(node, types, 2, shape[1])
    return (TensorType(dtype, shape),)


def scatter_taps(node: Node, x: Array, w: Array) -> Array:
    """Return ConvTranspose summed in float64: each tap adds a strided copy of x times w."""
    group = node.int("group", 1)
    sizes, kernel = x.shape[2:], w.shape[2:]
    rank = len(sizes)
    dims = transposed_dims(node, sizes, kernel)
    full = tuple(map(max, _full_dims(node, sizes, kernel), _padded_end(node, dims)))
    strides = node.ints("strides", (1,) * rank)
    dilations = node.ints("dilations", (1,) * rank)
    out = np.zeros((x.shape[0], w.shape[1] * group, *full), np.float64)
    data = wide(x).reshape(x.shape[0], group, x.shape[1] // group, -1)
    weights = wide(w).reshape(group, w.shape[0] // group, w.shape[1], *kernel)
    for tap in np.ndindex(*kernel):
        matrix = np.swapaxes(weights[(..., *tap)], 1, 2)
        part = np.matmul(matrix, data).reshape(x.shape[0], -1, *sizes)
        where = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilations, sizes, strides, strict=True)
        )
        out[(slice(None), slice(None), *where)] += part
    before = node.ints("pads", (0,) * 2 * rank)[:rank]
    cut = tuple(slice(b, b + d) for b, d in zip(before, dims, strict=True))
    return out[(slice(None), slice(None), *cut)]


def _padded_end(node: Node, dims: tuple[int, ...]) -> tuple[int, ...]:
    before = node.ints("pads", (0,) * 2 * len(dims))
    return tuple(b + d for b, d in zip(before, dims, strict=False))


def _conv_transpose(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    total = scatter_taps(node, x, tensor(arrays, 1))
    return (narrow(_add_bias(total, maybe(arrays, 2)), x.dtype),)


def _integer_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_dtype(node, types, 0, BYTES8)
    need_dtype(node, types, 1, BYTES8)
    need_zero(node, types, 2, 0)
    need_zero(node, types, 3, 1)
    return (TensorType(DType.I32, conv_shape(node, types)),)


def _whole_convolve(node: Node, x: Array, w: Array) -> Array:
    assert sum_fits(x, w, w[0].size), "8-bit sums always fit"
    return convolve(node, x, w).astype(np.int64)


def _conv_integer(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = centred(tensor(arrays, 0), maybe(arrays, 2), 1)
    w = centred(tensor(arrays, 1), maybe(arrays, 3), 0)
    return (_whole_convolve(node, x, w).astype(np.int32),)


def _qlinear_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Operands: x, scale, zero; w, scale, zero; y's scale, zero; int32 bias."""
    need_dtype(node, types, 0, BYTES8)
    w = need_dtype(node, types, 3, BYTES8)
    need_zero(node, types, 2, 0)
    need_zero(node, types, 5, 3)
    out = need_dtype(node, types, 7, BYTES8)
    for i in (1, 2, 6, 7):
        if given(types, i).size != 1:
            refuse(node, types, f"operand {i} must be one value")
    for i in (4, 5):
        if given(types, i).shape not in ((), (1,), w.shape[:1]):
            refuse(node, types, f"operand {i} must be one value, or one for each of w's outputs")
    shape = conv_shape(node, types, 0, 3)
    if optional(types, 8) is not None:
        need_dtype(node, types, 8, frozenset({DType.I32}))
        _need_bias(node, types, 8, shape[1])
    return (TensorType(out.dtype, shape),)


def _qlinear(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = centred(tensor(arrays, 0), maybe(arrays, 2), 1)
    w = centred(tensor(arrays, 3), maybe(arrays, 5), 0)
    total = _whole_convolve(node, x, w)
    bias = maybe(arrays, 8)
    if bias is not None:
        total += spread_channels(bias.astype(np.int64), total.ndim)
    one = wide(tensor(arrays, 1)).reshape(()) / wide(tensor(arrays, 6)).reshape(())
    scale = one * spread(wide(tensor(arrays, 4)), total.ndim, 1)
    return (requantize(total, scale, tensor(arrays, 7).reshape(())),)


OPERATORS = {
    "Conv": Operator("Conv", "x w b?", _conv_rule, _conv, _GEOMETRY),
    "ConvTranspose": Operator(
        "ConvTranspose",
        "x w b?",
        _transpose_rule,
        _conv_transpose,
        {**_GEOMETRY, "output_padding": "ints"},
    ),
    "ConvInteger": Operator(
        "ConvInteger", "x w x_zero? w_zero?", _integer_rule, _conv_integer, _GEOMETRY
    ),
    "QLinearConv": Operator(
        "QLinearConv",
        "x x_scale x_zero w w_scale w_zero y_scale y_zero b?",
        _qlinear_rule,
        _qlinear,
        _GEOMETRY,
    ),
}
