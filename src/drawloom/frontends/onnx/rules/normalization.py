"""Values scaled by their neighbours' statistics: inference forms only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drawloom.frontends.onnx.call import Call, Expand, Refused, Rule
from drawloom.frontends.onnx.rules.elementwise import same


def _softmax(call: Call) -> Sequence[str]:
    """Before version 13 all axes from ``axis`` on were one."""
    shape, x = call.shape(), call.x(0)
    axis = call.get("axis", -1 if call.opset >= 13 else 1)
    rank = len(shape)
    if not -rank <= axis < max(rank, 1) and not (call.opset < 13 and axis == rank):
        call.refuse("axis", f"from {-rank} to {rank - 1}", sound=False)
    axis = axis + rank if axis < 0 else axis
    if call.opset >= 13 or (axis < rank and math.prod(shape[axis + 1 :]) == 1):
        return [call.emit(call.op, (x,), axis=axis)]
    flat = call.reshape(x, (*shape[:axis], math.prod(shape[axis:])))
    return [call.reshape(call.emit(call.op, (flat,), axis=axis), shape)]


def _batch(call: Call) -> Sequence[str]:
    if call.get("training_mode", 0):
        call.refuse("training_mode", "0; export the model for inference")
    if not call.get("spatial", 1):
        call.refuse("spatial", "1: one scale for each channel")
    return [call.emit("BatchNormalization", call.inputs[:5], epsilon=call.get("epsilon", 1e-5))]


def _layer(call: Call) -> Sequence[str]:
    """Mean and deviation, where a model asks for them, come from the standard's own body."""
    if any(call.used[1:]):
        raise Expand
    attrs = {"axis": call.get("axis", -1), "epsilon": call.get("epsilon", 1e-5)}
    return [call.emit(call.op, call.inputs, **attrs)]


def _instance(call: Call) -> Sequence[str]:
    attrs = {"epsilon": call.get("epsilon", 1e-5)}
    return [call.emit("InstanceNormalization", call.inputs, **attrs)]


def _group(call: Call) -> Sequence[str]:
    """Before version 21 scale and bias were one number for each group."""
    groups, shape = call.need("num_groups"), call.shape()
    scale, bias = call.x(1), call.x(2)
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        call.refuse("num_groups", "a divisor of the channels", sound=False)
    if call.opset < 21 and groups != shape[1]:
        index = np.repeat(np.arange(groups, dtype=np.int64), shape[1] // groups)
        table = call.constant(index, "group")
        scale, bias = (call.emit("Gather", (v, table), axis=0) for v in (scale, bias))
    attrs = {"num_groups": groups, "epsilon": call.get("epsilon", 1e-5)}
    return [call.emit("GroupNormalization", (call.x(0), scale, bias), **attrs)]


def _lp(call: Call) -> Sequence[str]:
    if call.get("p", 2) not in (1, 2):
        raise Refused(f"attribute p={call.get('p')}", "1 or 2", sound=False)
    return same(call)


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch,
    "GroupNormalization": _group,
    "Hardmax": _softmax,
    "InstanceNormalization": _instance,
    "LRN": same,
    "LayerNormalization": _layer,
    "LogSoftmax": _softmax,
    "LpNormalization": _lp,
    "RMSNormalization": _layer,
    "Softmax": _softmax,
}
