"""Reductions: axes are attributes, or operands in later versions."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.frontends.onnx.call import Call, Rule
from drawloom.frontends.onnx.rules.movement import from_front, listed_axes

# ReduceSum took axes as an operand from version 13, the others from 18.
_SINCE = {"ReduceSum": 13}

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
    return [call.emit(call.op, (x,), axes=fronts, keepdims=call.get("keepdims", 1))]


def _alone(call: Call, x: str) -> str:
    """Reducing no axis still applies the function to each element."""
    for op in _ALONE.get(call.op, ()):
        return call.emit(op, (x, x) if op == "Mul" else (x,))
    return x


_OPS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

RULES: dict[str, Rule] = {f"Reduce{word}": _reduce for word in _OPS.split()}
