"""Array scaled by statistics of their neighbours, computed in float64, rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    FLOATS,
    Arrays,
    Meaning,
    Operator,
    Types,
    given,
    maybe,
    need_axis,
    need_dtype,
    need_same_dtype,
    optional,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.ops.convolution import spread_channels
from drawloom.graph.ops.reduction import log_sum_exp
from drawloom.graph.rounding import Wide, narrow, wide


def _axis_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, FLOATS)
    need_axis(node, types, len(x.shape), default=-1)
    return (x,)


def _along(function: Callable[[Wide, int], Array]) -> Meaning:
    """A float64 function of x and the ``axis`` attribute."""

    def evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
        x = tensor(arrays, 0)
        return (narrow(function(wide(x), node.int("axis", -1)), x.dtype),)

    return evaluate


def softmax(x: Wide, axis: int) -> Wide:
    """Return exp(x) over its sum along ``axis``, without overflow."""
    if not x.size:
        return x
    grown = np.exp(x - x.max(axis=axis, keepdims=True))
    return grown / grown.sum(axis=axis, keepdims=True)


def _log_softmax(x: Wide, axis: int) -> Array:
    return x - log_sum_exp(x, (axis,))


def _hardmax(x: Wide, axis: int) -> Array:
    """1 at the first largest element along ``axis``, 0 elsewhere."""
    result = np.zeros_like(x)
    if x.size:
        first = np.expand_dims(x.argmax(axis=axis), axis)
        np.put_along_axis(result, first, 1.0, axis=axis)
    return result


def _lp_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    if node.int("p", 2) not in (1, 2):
        refuse_attr(node, types, "p", "1 or 2")
    return _axis_rule(node, types)


def _lp(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Divide x by its norm; a zero norm gives zeros."""
    x, axis = tensor(arrays, 0), node.int("axis", -1)
    size = np.abs(wide(x)) if node.int("p", 2) == 1 else np.square(wide(x))
    norm = size.sum(axis=axis, keepdims=True)
    norm = norm if node.int("p", 2) == 1 else np.sqrt(norm)
    return (narrow(np.where(norm == 0, 0.0, wide(x) / np.where(norm == 0, 1.0, norm)), x.dtype),)


def _need_fits(node: Node, types: Types, i: int, shape: tuple[int, ...]) -> None:
    """Operand ``i`` must broadcast to ``shape`` and never widen it."""
    kind = optional(types, i)
    if kind is None:
        return
    padded = (1,) * (len(shape) - len(kind.shape)) + kind.shape
    if len(padded) != len(shape) or any(
        p not in (1, d) for p, d in zip(padded, shape, strict=True)
    ):
        refuse(node, types, f"operand {i} must broadcast to {shape}")


def _layer_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, FLOATS)
    need_same_dtype(node, types, range(len(types)))
    axis = need_axis(node, types, len(x.shape), default=-1)
    for i in range(1, len(types)):
        _need_fits(node, types, i, x.shape[axis:])
    return (x,)


def tail_axes(node: Node, rank: int) -> tuple[int, ...]:
    """Return the axes from ``axis`` to the last."""
    return tuple(range(node.int("axis", -1) % rank, rank))


def standardized(x: Wide, axes: tuple[int, ...], epsilon: float) -> Wide:
    """Return (x - mean) / sqrt(variance + epsilon) over ``axes``."""
    middle = x - x.mean(axis=axes, keepdims=True)
    variance = np.square(middle).mean(axis=axes, keepdims=True)
    return middle / np.sqrt(variance + epsilon)


def _layer(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, bias = tensor(arrays, 0), maybe(arrays, 2)
    normal = standardized(wide(x), tail_axes(node, x.ndim), node.float("epsilon", 1e-5))
    scaled = normal * wide(tensor(arrays, 1))
    return (narrow(scaled if bias is None else scaled + wide(bias), x.dtype),)


def _rms(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    square = np.square(wide(x)).mean(axis=tail_axes(node, x.ndim), keepdims=True)
    normal = wide(x) / np.sqrt(square + node.float("epsilon", 1e-5))
    return (narrow(normal * wide(tensor(arrays, 1)), x.dtype),)


def _channel_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Every operand but x is one value for each channel."""
    x = need_dtype(node, types, 0, FLOATS)
    need_same_dtype(node, types, range(len(types)))
    if len(x.shape) < 2:
        refuse(node, types, "x must have rank 2 or more: batch, channel")
    if any(given(types, i).shape != x.shape[1:2] for i in range(1, len(types))):
        refuse(node, types, f"operands after x must have shape ({x.shape[1]},)")
    return (x,)


def _instance(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    normal = standardized(wide(x), tuple(range(2, x.ndim)), node.float("epsilon", 1e-5))
    return (narrow(_affine(normal, arrays), x.dtype),)


def _affine(normal: Array, arrays: Arrays) -> Array:
    scale = spread_channels(wide(tensor(arrays, 1)), normal.ndim)
    return normal * scale + spread_channels(wide(tensor(arrays, 2)), normal.ndim)


def _group_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    made = _channel_rule(node, types)
    channels, groups = given(types, 0).shape[1], node.int("num_groups")
    if groups < 1 or channels % groups:
        refuse_attr(node, types, "num_groups", f"a divisor of {channels} channels")
    return made


def _group(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    parts = wide(x).reshape(x.shape[0], node.int("num_groups"), -1)
    normal = standardized(parts, (2,), node.float("epsilon", 1e-5)).reshape(x.shape)
    return (narrow(_affine(normal, arrays), x.dtype),)


def _batch(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Inference form: (x - mean) / sqrt(var + epsilon) * scale + bias."""
    x = tensor(arrays, 0)
    mean, var = (spread_channels(wide(tensor(arrays, i)), x.ndim) for i in (3, 4))
    normal = (wide(x) - mean) / np.sqrt(var + node.float("epsilon", 1e-5))
    return (narrow(_affine(normal, arrays), x.dtype),)


def _lrn_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, FLOATS)
    if len(x.shape) < 2:
        refuse(node, types, "x must have rank 2 or more: batch, channel")
    if node.int("size") < 1:
        refuse_attr(node, types, "size", "at least 1")
    return (x,)


def lrn_sums(node: Node, x: Wide) -> Wide:
    """Return the sum over the ``size`` channels around each one, missing ones as 0."""
    size, channels = node.int("size"), x.shape[1]
    result = np.zeros_like(x)
    for shift in range(-math.floor((size - 1) / 2), math.ceil((size - 1) / 2) + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            result[:, low:high] += x[:, low + shift : high + shift]
    return result


def _lrn(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    around = lrn_sums(node, np.square(wide(x)))
    base = node.float("bias", 1.0) + node.float("alpha", 1e-4) / node.int("size") * around
    return (narrow(wide(x) / base ** node.float("beta", 0.75), x.dtype),)


_AXIS = {"axis": "int"}
_TAIL = {"axis": "int", "epsilon": "float"}
_EPSILON = {"epsilon": "float"}

OPERATORS = {
    "Softmax": Operator("Softmax", "x", _axis_rule, _along(softmax), _AXIS),
    "LogSoftmax": Operator("LogSoftmax", "x", _axis_rule, _along(_log_softmax), _AXIS),
    "Hardmax": Operator("Hardmax", "x", _axis_rule, _along(_hardmax), _AXIS),
    "LpNormalization": Operator("LpNormalization", "x", _lp_rule, _lp, {"axis": "int", "p": "int"}),
    "LayerNormalization": Operator(
        "LayerNormalization", "x scale bias?", _layer_rule, _layer, _TAIL
    ),
    "RMSNormalization": Operator("RMSNormalization", "x scale", _layer_rule, _rms, _TAIL),
    "InstanceNormalization": Operator(
        "InstanceNormalization", "x scale bias", _channel_rule, _instance, _EPSILON
    ),
    "GroupNormalization": Operator(
        "GroupNormalization",
        "x scale bias",
        _group_rule,
        _group,
        {"num_groups": "int!", "epsilon": "float"},
    ),
    "BatchNormalization": Operator(
        "BatchNormalization", "x scale bias mean var", _channel_rule, _batch, _EPSILON
    ),
    "LRN": Operator(
        "LRN",
        "x",
        _lrn_rule,
        _lrn,
        {"size": "int!", "alpha": "float", "beta": "float", "bias": "float"},
    ),
}
