"""Between floats and small integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.onnx.call import Call, Rule
from drawloom.frontends.onnx.rules.elementwise import dtype_word


def _quantize(call: Call) -> Sequence[str]:
    attrs = _axis(call)
    if call.get("output_dtype", 0) and not call.has(2):
        attrs["output_dtype"] = dtype_word(call.get("output_dtype"))
    return [call.emit("QuantizeLinear", _operands(call), **attrs)]


def _dequantize(call: Call) -> Sequence[str]:
    made = call.emit("DequantizeLinear", _operands(call), **_axis(call))
    wanted = call.get("output_dtype", 0)
    if wanted and dtype_word(wanted) != call.draft.type(made).dtype.value:
        made = call.emit("Cast", (made,), to=dtype_word(wanted))
    return [made]


def _axis(call: Call) -> dict[str, Any]:
    """Return the axis where scales lie along one; a block of scales is spelled out."""
    per_tensor = call.type(1).size == 1
    return {} if per_tensor else {"axis": call.get("axis", 1)}


def _operands(call: Call) -> Sequence[str]:
    """Return x, scale and zero point as a graph takes them."""
    if call.get("block_size", 0):
        call.refuse("block_size", "0: one scale for the tensor, or one for each index of an axis")
    operands = [call.x(0), call.x(1)]
    if call.has(2) and call.draft.type(call.x(2)) != call.type(1):
        zero = call.reshape(call.x(2), call.shape(1))
        return [*operands, zero]
    return [*operands, *call.inputs[2:3]] if call.has(2) else operands


def _dynamic(call: Call) -> Sequence[str]:
    return call.emit_many("DynamicQuantizeLinear", (call.x(0),), 3)


RULES: dict[str, Rule] = {
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "QuantizeLinear": _quantize,
}
