"""Windows over the spatial axes become one element each."""

from __future__ import annotations

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    FLOATS,
    NUMBERS,
    Arrays,
    Operator,
    Types,
    need_dtype,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.rounding import integer_range, is_float, narrow, wide, working
from drawloom.graph.window import Window

_GEOMETRY = {
    "kernel_shape": "ints!",
    "strides": "ints",
    "pads": "ints",
    "dilations": "ints",
    "ceil_mode": "int",
}


def pool_window(node: Node, shape: tuple[int, ...]) -> Window:
    """Return a pool's window over an input of ``shape`` (batch, channel, spatial)."""
    return Window.of(node, shape[2:], node.ints("kernel_shape"))


def _pool_type(node: Node, types: Types, allowed: frozenset[DType]) -> TensorType:
    x = need_dtype(node, types, 0, allowed)
    if len(x.shape) < 3:
        refuse(node, types, "x must have rank 3 or more: batch, channel, spatial")
    return TensorType(x.dtype, (*x.shape[:2], *pool_window(node, x.shape).out))


def _max_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    if node.int("storage_order"):
        refuse_attr(node, types, "storage_order", "0, row-major")
    out = _pool_type(node, types, NUMBERS)
    return (out, TensorType(DType.I64, out.shape))


def _max(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Second output: the flat index into x of each maximum, the first one found."""
    x = tensor(arrays, 0)
    window = pool_window(node, x.shape)
    data = working(x)
    lowest = -np.inf if is_float(x.dtype) else integer_range(x.dtype)[0]
    windows = window.view(window.pad(data, lowest))
    rank = len(window.sizes)
    best = windows.max(axis=tuple(range(-rank, 0))).astype(x.dtype, copy=False)
    if len(node.outputs) < 2:
        return (best,)
    return (best, _max_positions(window, windows, x.shape))


def _max_positions(window: Window, windows: Array, shape: tuple[int, ...]) -> Array:
    rank = len(window.sizes)
    flat = windows.reshape(*windows.shape[:-rank], -1).argmax(axis=-1).astype(np.int64)
    planes = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape[:2] + (1,) * rank)
    index = np.zeros((1,), dtype=np.int64)
    pitch = 1
    for i in reversed(range(rank)):
        start = np.arange(window.out[i], dtype=np.int64) * window.strides[i]
        start = start.reshape((-1,) + (1,) * (rank - 1 - i)) - window.pads_before[i]
        index = index + (start + flat % window.kernel[i] * window.dilations[i]) * pitch
        flat = flat // window.kernel[i]
        pitch *= window.sizes[i]
    return index + planes * pitch


def _average_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    return (_pool_type(node, types, FLOATS),)


def pool_counts(node: Node, shape: tuple[int, ...]) -> Array:
    """Return how many cells each window of an AveragePool averages, in the output's dims.

    With ``count_include_pad`` the stated padding counts, cells that only
    ``ceil_mode`` reaches do not.
    """
    window = pool_window(node, shape)
    ones = np.ones(window.sizes)
    if node.int("count_include_pad"):
        pads = zip(window.pads_before, window.pads_after, strict=True)
        ones = np.ones(window.padded)
        beyond = [(0, max(0, r - after)) for r, (_, after) in zip(window.reach, pads, strict=True)]
        padded = np.pad(ones, beyond)
    else:
        padded = window.pad(ones, 0.0)
    rank = len(window.sizes)
    return window.view(padded).sum(axis=tuple(range(-rank, 0)))


def window_sums(window: Window, x: Array) -> Array:
    """Return each window's sum, padding as 0, in x's dtype."""
    rank = len(window.sizes)
    return window.view(window.pad(x, 0.0)).sum(axis=tuple(range(-rank, 0)))


def _average(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    total = window_sums(pool_window(node, x.shape), wide(x))
    return (narrow(total / pool_counts(node, x.shape), x.dtype),)


def _lp_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    if node.int("p", 2) < 1:
        refuse_attr(node, types, "p", "at least 1")
    return (_pool_type(node, types, FLOATS),)


def _lp(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, p = tensor(arrays, 0), node.int("p", 2)
    total = window_sums(pool_window(node, x.shape), np.abs(wide(x)) ** p)
    return (narrow(total ** (1.0 / p), x.dtype),)


OPERATORS = {
    "MaxPool": Operator("MaxPool", "x", _max_rule, _max, {**_GEOMETRY, "storage_order": "int"}),
    "AveragePool": Operator(
        "AveragePool", "x", _average_rule, _average, {**_GEOMETRY, "count_include_pad": "int"}
    ),
    "LpPool": Operator("LpPool", "x", _lp_rule, _lp, {**_GEOMETRY, "p": "int"}),
}
