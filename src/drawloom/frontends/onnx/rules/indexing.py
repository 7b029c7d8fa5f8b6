"""Elements picked or placed by index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drawloom.frontends.onnx.call import Call, Rule
from drawloom.frontends.onnx.rules.elementwise import copied, same


def _scatter(call: Call) -> Sequence[str]:
    return [call.emit("ScatterElements", call.inputs, axis=call.get("axis", 0))]


def _one_hot(call: Call) -> Sequence[str]:
    indices = call.x(0)
    if call.type(0).dtype.is_float:
        indices = call.emit("Cast", (indices,), to="i64")
    depth, axis = call.whole(1, "depth"), call.get("axis", -1)
    return [call.emit("OneHot", (indices, call.x(2)), depth=depth, axis=axis)]


def _compress(call: Call) -> Sequence[str]:
    """A known condition is a list of positions."""
    places = np.flatnonzero(call.array(1, "condition"))
    x, axis = call.x(0), call.get("axis")
    if axis is None:
        x, axis = call.reshape(x, (call.type().size,)), 0
    indices = call.constant(places.astype(np.int64), "places")
    return [call.emit("Gather", (x, indices), axis=axis)]


def _trilu(call: Call) -> Sequence[str]:
    k = call.whole(1, "k") if call.has(1) else 0
    return [call.emit("Trilu", (call.x(0),), k=k, upper=call.get("upper", 1))]


def _top_k(call: Call) -> Sequence[str]:
    k = call.whole(1, "k") if call.opset >= 10 else call.need("k")
    attrs = {key: value for key, value in copied(call).items() if key != "k"}
    return call.emit_many("TopK", (call.x(0),), 2, k=k, **attrs)


def _cum_sum(call: Call) -> Sequence[str]:
    axis = call.whole(1, "axis")
    return [call.emit("CumSum", (call.x(0),), axis=axis, **copied(call))]


RULES: dict[str, Rule] = {
    "ArgMax": same,
    "ArgMin": same,
    "Compress": _compress,
    "CumSum": _cum_sum,
    "Gather": same,
    "GatherElements": same,
    "GatherND": same,
    "OneHot": _one_hot,
    "ReverseSequence": same,
    "Scatter": _scatter,
    "ScatterElements": same,
    "ScatterND": same,
    "TensorScatter": same,
    "TopK": _top_k,
    "Trilu": _trilu,
}
