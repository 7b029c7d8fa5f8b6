"""Many elements along axes become one: sums, extremes, positions, running sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    FLOATS,
    NUMBERS,
    Arrays,
    Operator,
    Types,
    axes_of,
    need_axis,
    need_dtype,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.rounding import is_float, narrow, wide, working

Axes = tuple[int, ...]
Total = Callable[[Array, Axes], Array]


def reduced_axes(node: Node, rank: int) -> Axes:
    """Return the axes a reduction node reduces, counted from the front."""
    return tuple(sorted(a % rank for a in node.ints("axes", tuple(range(rank)))))


def _rule_for(allowed: frozenset[DType], empty: bool) -> Callable[..., tuple[TensorType, ...]]:
    """Shape rule; ``empty`` says whether a reduction over nothing has a value."""

    def rule(node: Node, types: Types) -> tuple[TensorType, ...]:
        x = need_dtype(node, types, 0, allowed)
        axes = axes_of(node, types, len(x.shape))
        if not empty and any(x.shape[a] == 0 for a in axes):
            refuse(node, types, "the reduced axes must hold an element")
        if node.int("keepdims", 1):
            return (
                TensorType(x.dtype, tuple(1 if i in axes else d for i, d in enumerate(x.shape))),
            )
        return (TensorType(x.dtype, tuple(d for i, d in enumerate(x.shape) if i not in axes)),)

    return rule


def _reduction(
    name: str, total: Total, allowed: frozenset[DType] = NUMBERS, empty: bool = True
) -> Operator:
    """A float reduction runs in float64 and rounds once; integers stay integers."""

    def evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
        x = tensor(arrays, 0)
        axes = reduced_axes(node, x.ndim)
        result = total(wide(x) if is_float(x.dtype) else x, axes)
        if not node.int("keepdims", 1):
            result = result.reshape([d for i, d in enumerate(x.shape) if i not in axes])
        return (narrow(result, x.dtype) if is_float(x.dtype) else result.astype(x.dtype),)

    rule = _rule_for(allowed, empty)
    return Operator(name, "x", rule, evaluate, {"axes": "ints", "keepdims": "int"})


def _sum(x: Array, axes: Axes) -> Array:
    return np.sum(x, axis=axes, keepdims=True)


def _mean(x: Array, axes: Axes) -> Array:
    count = math.prod(x.shape[a] for a in axes)
    return _sum(x, axes) / count if x.dtype == np.float64 else np.trunc(_sum(x, axes) / count)


def _l2(x: Array, axes: Axes) -> Array:
    return np.sqrt(_sum(np.square(wide(x)), axes))


def _extreme(function: Any) -> Total:
    return lambda x, axes: function(x, axis=axes, keepdims=True)


def log_sum_exp(x: Array, axes: Axes) -> Array:
    """Return log(sum(exp(x))) along ``axes``, kept as 1, without overflow."""
    peak = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(peak), peak, 0.0)
    return np.log(_sum(np.exp(x - shift), axes)) + shift


def _arg_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, NUMBERS)
    axis = need_axis(node, types, len(x.shape))
    if not x.shape[axis]:
        refuse(node, types, f"axis {axis} must hold an element")
    middle = (1,) if node.int("keepdims", 1) else ()
    return (TensorType(DType.I64, x.shape[:axis] + middle + x.shape[axis + 1 :]),)


def _arg(name: str, find: Any) -> Operator:
    """The first position of the extreme, or the last with ``select_last_index``."""

    def evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
        x = working(tensor(arrays, 0))
        axis = node.int("axis")
        if node.int("select_last_index"):
            found = x.shape[axis] - 1 - find(np.flip(x, axis), axis=axis)
        else:
            found = find(x, axis=axis)
        result = np.asarray(found, dtype=np.int64)
        return (np.expand_dims(result, axis) if node.int("keepdims", 1) else result,)

    attrs = {"axis": "int", "keepdims": "int", "select_last_index": "int"}
    return Operator(name, "x", _arg_rule, evaluate, attrs)


def _cum_sum_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, NUMBERS)
    need_axis(node, types, len(x.shape))
    return (x,)


def _cum_sum(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axis = tensor(arrays, 0), node.int("axis")
    data = wide(x) if is_float(x.dtype) else x
    data = np.flip(data, axis) if node.int("reverse") else data
    total = np.cumsum(data, axis=axis, dtype=data.dtype)
    if node.int("exclusive"):
        total = np.roll(total, 1, axis)
        first = [slice(None)] * x.ndim
        first[axis] = slice(0, 1)
        total[tuple(first)] = 0
    total = np.flip(total, axis) if node.int("reverse") else total
    return (narrow(total, x.dtype) if is_float(x.dtype) else total,)


def _top_k_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, NUMBERS)
    axis = need_axis(node, types, len(x.shape), default=-1)
    k = node.int("k")
    if not 0 <= k <= x.shape[axis]:
        refuse_attr(node, types, "k", f"from 0 to {x.shape[axis]}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return (TensorType(x.dtype, shape), TensorType(DType.I64, shape))


def _top_k(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Sorted always; among equals the lower index comes first; NaN counts as largest."""
    x, axis = tensor(arrays, 0), node.int("axis", -1)
    keys = working(x)
    if node.int("largest", 1):
        flipped = np.flip(keys, axis)
        order = np.flip(np.argsort(flipped, axis=axis, kind="stable"), axis)
        order = x.shape[axis] - 1 - order
    else:
        order = np.argsort(keys, axis=axis, kind="stable")
    best = np.take(order, np.arange(node.int("k")), axis=axis)
    return (np.take_along_axis(x, best, axis=axis), best.astype(np.int64))


OPERATORS = {
    "ReduceSum": _reduction("ReduceSum", _sum),
    "ReduceMean": _reduction("ReduceMean", _mean, empty=False),
    "ReduceMax": _reduction("ReduceMax", _extreme(np.max), empty=False),
    "ReduceMin": _reduction("ReduceMin", _extreme(np.min), empty=False),
    "ReduceProd": _reduction("ReduceProd", lambda x, axes: np.prod(x, axis=axes, keepdims=True)),
    "ReduceL1": _reduction("ReduceL1", lambda x, axes: _sum(np.abs(x), axes)),
    "ReduceL2": _reduction("ReduceL2", _l2),
    "ReduceLogSum": _reduction("ReduceLogSum", lambda x, axes: np.log(_sum(x, axes)), FLOATS),
    "ReduceLogSumExp": _reduction("ReduceLogSumExp", log_sum_exp, FLOATS),
    "ReduceSumSquare": _reduction("ReduceSumSquare", lambda x, axes: _sum(np.square(x), axes)),
    "ArgMax": _arg("ArgMax", np.argmax),
    "ArgMin": _arg("ArgMin", np.argmin),
    "CumSum": Operator(
        "CumSum",
        "x",
        _cum_sum_rule,
        _cum_sum,
        {"axis": "int!", "exclusive": "int", "reverse": "int"},
    ),
    "TopK": Operator(
        "TopK",
        "x",
        _top_k_rule,
        _top_k,
        {"k": "int!", "axis": "int", "largest": "int", "sorted": "int"},
    ),
}
