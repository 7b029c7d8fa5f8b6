"""Reductions: axes are attributes, or operands in later versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from drawloom.frontends.onnx.call import Call, Rule
from drawloom.frontends.onnx.rules.movement import from_front, listed_axes
from drawloom.graph.dtypes import DType
from drawloom.graph.rounding import integer_range

# ReduceSum took axes as an operand from version 13, the others from 18.
_SINCE = {"ReduceSum": 13}

_EXTREMES = ("ReduceMax", "ReduceMin")

# What each reduction does to a single element, for noop_with_empty_axes.
_ALONE = {
    "ReduceL1": ("Abs",),
    "ReduceL2": ("Abs",),
    "ReduceLogSum": ("Log",),
    "ReduceSumSquare": ("Mul",),
}


def _reduce(call: Call) -> Sequence[str]:
    x, rank = call.x(0), len(call.shape())
    axes = listed_axes(call, _SINCE.get(call.op, 18))
    if not axes:
        if call.get("noop_with_empty_axes", 0):
            return [_alone(call, x)]
        axes = tuple(range(rank))
    fronts = tuple(sorted(from_front(axes, rank)))
    attrs: dict[str, Any] = {"axes": fronts, "keepdims": call.get("keepdims", 1)}
    if call.op in _EXTREMES and any(call.shape()[a] == 0 for a in fronts):
        return [_of_nothing(call, fronts)]
    if call.type().dtype is DType.BOOL:
        whole = call.emit(call.op, (call.emit("Cast", (x,), to="u8"),), **attrs)
        return [call.emit("Cast", (whole,), to="bool")]
    return [call.emit(call.op, (x,), **attrs)]


def _of_nothing(call: Call, axes: Sequence[int]) -> str:
    """The extreme of no elements is the type's other end."""
    kind = call.type()
    low = call.op == "ReduceMax"
    if kind.dtype.is_float:
        end = -np.inf if low else np.inf
    elif kind.dtype is DType.BOOL:
        end = 0 if low else 1
    else:
        end = integer_range(kind.dtype.numpy)[0 if low else 1]
    keep = call.get("keepdims", 1)
    shape = [1 if i in axes else d for i, d in enumerate(kind.shape) if keep or i not in axes]
    return call.draft.constant("nothing", np.full(shape, end, kind.dtype.numpy))


def _alone(call: Call, x: str) -> str:
    """Reducing no axis still applies the function to each element."""
    for op in _ALONE.get(call.op, ()):
        return call.emit(op, (x, x) if op == "Mul" else (x,))
    return x


_OPS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

RULES: dict[str, Rule] = {f"Reduce{word}": _reduce for word in _OPS.split()}
