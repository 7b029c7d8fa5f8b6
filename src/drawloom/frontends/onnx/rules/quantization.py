"""Between floats and small integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.elementwise import dtype_word
from drawloom.frontends.onnx.rules.movement import cut, from_front
from drawloom.graph.dtypes import CODE_FLOATS, DType
from drawloom.graph.rounding import integer_range


def _quantize(call: Call) -> Sequence[str]:
    attrs = _axis(call) | {key: call.get(key) for key in ("saturate",) if key in call.attributes}
    if call.get("output_dtype", 0) and not call.has(2):
        attrs["output_dtype"] = dtype_word(call.get("output_dtype"))
    if call.get("block_size", 0):
        return [_quantize_blocks(call, attrs.get("output_dtype", "u8"))]
    return [call.emit("QuantizeLinear", _operands(call), **attrs)]


def _dequantize(call: Call) -> Sequence[str]:
    if call.get("block_size", 0):
        return [_by_blocks(call)]
    made = call.emit("DequantizeLinear", _operands(call), **_axis(call))
    wanted = call.get("output_dtype", 0)
    if wanted and dtype_word(wanted) != call.draft.type(made).dtype.value:
        made = call.emit("Cast", (made,), to=dtype_word(wanted))
    return [made]


def _by_blocks(call: Call) -> str:
    """(x - zero) * scale where a scale serves a block of indices along the axis."""
    x, scale, shape = call.x(0), call.x(1), call.shape(0)
    (axis,) = from_front((call.get("axis", 1),), len(shape))
    block = call.get("block_size")
    wanted = (*shape[:axis], -(-shape[axis] // block), *shape[axis + 1 :])
    if call.shape(1) != wanted or block < 1:
        allowed = f"{list(wanted)}, a scale for each {block} indices of axis {axis}"
        raise Refused(f"scale of shape {list(call.shape(1))}", allowed, sound=False)
    word = call.type(1).dtype.value
    codes = call.emit("Cast", (x,), to=word)
    if call.has(2):
        zero = call.emit("Cast", (call.x(2),), to=word)
        codes = call.emit("Sub", (codes, _spread(call, zero, axis, block, shape[axis])))
    return call.emit("Mul", (codes, _spread(call, scale, axis, block, shape[axis])))


def _quantize_blocks(call: Call, word: str) -> str:
    """saturate(round(x / scale) + zero) where a scale serves a block of indices along the axis."""
    shape = call.shape(0)
    (axis,) = from_front((call.get("axis", 1),), len(shape))
    block = call.get("block_size")
    wanted = (*shape[:axis], -(-shape[axis] // max(1, block)), *shape[axis + 1 :])
    if call.shape(1) != wanted or block < 1:
        allowed = f"{list(wanted)}, a scale for each {block} indices of axis {axis}"
        raise Refused(f"scale of shape {list(call.shape(1))}", allowed, sound=False)
    target = call.type(2).dtype if call.has(2) else DType(word)
    if target in CODE_FLOATS:
        call.refuse("block_size", f"0 where results are {target.value}")
    scale = _spread(call, call.x(1), axis, block, shape[axis])
    codes = call.emit("Round", (call.emit("Div", (call.x(0), scale)),))
    if call.has(2):
        zero = call.emit("Cast", (call.x(2),), to=call.type(0).dtype.value)
        codes = call.emit("Add", (codes, _spread(call, zero, axis, block, shape[axis])))
    low, high = integer_range(target.numpy)
    bounded = call.emit("Clip", (codes,), min=float(low), max=float(high))
    return call.emit("Cast", (bounded,), to=target.value)


def _spread(call: Call, value: str, axis: int, block: int, size: int) -> str:
    """Repeat each index of an axis ``block`` times; the last block may be cut short."""
    dims = call.draft.type(value).shape
    lone = call.reshape(value, (*dims[: axis + 1], 1, *dims[axis + 1 :]))
    each = call.emit("Expand", (lone,), shape=(*dims[: axis + 1], block, *dims[axis + 1 :]))
    flat = call.reshape(each, (*dims[:axis], dims[axis] * block, *dims[axis + 1 :]))
    return cut(call, flat, axis, 0, size)


def _axis(call: Call) -> dict[str, Any]:
    """Return the axis where scales lie along one."""
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
