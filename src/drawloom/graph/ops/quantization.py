"""Between floats and small integers: scale and zero point, per tensor, per axis or per block."""

from __future__ import annotations

import numpy as np

from drawloom.graph.codes import to_code
from drawloom.graph.dtypes import CODE_FLOATS, CODES, DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    FLOATS,
    Arrays,
    Operator,
    Types,
    dtype_attr,
    given,
    maybe,
    need_axis,
    need_dtype,
    optional,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.ops.matrix import spread
from drawloom.graph.rounding import integer_range, narrow, wide

TARGETS = CODES | {DType.I8, DType.U8, DType.I16, DType.U16}


def _need_scale(node: Node, types: Types) -> None:
    """Scale (and zero) hold one value, or one for each index along the axis."""
    x, scale, zero = given(types, 0), given(types, 1), optional(types, 2)
    if scale.dtype not in FLOATS:
        refuse(node, types, "the scale must be a float")
    if zero is not None and zero.shape != scale.shape:
        refuse(node, types, "scale and zero point must have one shape")
    if scale.shape in ((), (1,)):
        return
    axis = need_axis(node, types, len(x.shape), default=1)
    if scale.shape != (x.shape[axis],):
        refuse(
            node, types, f"the scale must have shape () or ({x.shape[axis]},), along axis {axis}"
        )


def _need_blocks(node: Node, types: Types) -> None:
    """Scale (and zero) hold one value for each block of indices along the axis."""
    x, scale, zero = given(types, 0), given(types, 1), optional(types, 2)
    axis, size = need_axis(node, types, len(x.shape), default=1), node.int("block_size")
    wanted = (*x.shape[:axis], -(-x.shape[axis] // size), *x.shape[axis + 1 :])
    if scale.dtype not in FLOATS:
        refuse(node, types, "the scale must be a float")
    if scale.shape != wanted or (zero is not None and zero.shape != wanted):
        refuse(node, types, f"scale and zero point must have shape {wanted}, for blocks of {size}")


def spread_scale(node: Node, per: Array, shape: tuple[int, ...]) -> Array:
    """Return scales or zero points of a node so that they broadcast to codes of ``shape``.

    They are one value, one for each index of the axis, or one for each block along it.
    """
    axis, size = node.int("axis", 1), node.int("block_size")
    if not size:
        return spread(per, len(shape), axis)
    front = axis % len(shape)
    each = np.repeat(per, size, axis=front)
    return each[(slice(None),) * front + (slice(shape[front]),)]


def _quantize_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, FLOATS | {DType.I32})
    _need_scale(node, types)
    if optional(types, 2) is not None:
        return (TensorType(need_dtype(node, types, 2, TARGETS).dtype, x.shape),)
    dtype = dtype_attr(node, types, "output_dtype", DType.U8)
    return (TensorType(dtype, x.shape),)


def _quantize(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """saturate(round_half_even(x / scale) + zero); NaN gives the zero point.

    Where codes are floats: their nearest to x / scale + zero, NaN for NaN.
    """
    x, zero = tensor(arrays, 0), maybe(arrays, 2)
    axis = node.int("axis", 1)
    scale = spread(wide(tensor(arrays, 1)), x.ndim, axis)
    dtype = DType(node.str("output_dtype", "u8")).numpy if zero is None else zero.dtype
    shift = 0.0 if zero is None else spread(wide(zero), x.ndim, axis)
    quotient = _quotient(x, tensor(arrays, 1), scale)
    word = DType.of(dtype)
    if word in CODE_FLOATS:
        return (to_code(quotient + shift, word, saturate=bool(node.int("saturate", 1))),)
    low, high = integer_range(dtype)
    codes = np.rint(quotient)
    codes = np.where(np.isnan(codes), 0.0, codes) + shift
    return (_whole(np.clip(codes, low, high), word),)


def _whole(codes: Array, dtype: DType) -> Array:
    return to_code(codes, dtype) if dtype.is_code else codes.astype(dtype.numpy)


def _quotient(x: Array, scale: Array, shaped: Array) -> Array:
    """Divide: x / scale rounded to the scale's precision, f32 at least, as ONNX does it."""
    quotient = wide(x) / shaped
    return quotient if scale.dtype == np.float64 else wide(narrow(quotient, np.dtype(np.float32)))


def _dequantize_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, TARGETS | {DType.I32})
    if node.int("block_size") < 0:
        refuse_attr(node, types, "block_size", "at least 0; 0 is none")
    if node.int("block_size"):
        _need_blocks(node, types)
    else:
        _need_scale(node, types)
    zero = optional(types, 2)
    if zero is not None and zero.dtype is not x.dtype:
        refuse(node, types, "the zero point must have x's dtype")
    made = dtype_attr(node, types, "output_dtype", given(types, 1).dtype)
    if made not in FLOATS:
        refuse_attr(node, types, "output_dtype", "a float")
    return (TensorType(made, x.shape),)


def _dequantize(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """(x - zero) * scale, rounded once to ``output_dtype``, which is the scale's unless told."""
    x, scale, zero = tensor(arrays, 0), tensor(arrays, 1), maybe(arrays, 2)
    shift = 0.0 if zero is None else spread_scale(node, wide(zero), x.shape)
    made = DType(node.str("output_dtype", DType.of(scale.dtype).value)).numpy
    return (narrow((wide(x) - shift) * spread_scale(node, wide(scale), x.shape), made),)


def _unpack_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, frozenset({DType.U8}))
    axis = need_axis(node, types, len(x.shape))
    shape = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return (TensorType(DType.I8, shape),)


def _unpack(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Row r of the first half is the low nibble of row r, of the second half the high one, less 8."""
    packed = tensor(arrays, 0)
    halves = (packed & 15, packed >> 4)
    return (np.concatenate(halves, axis=node.int("axis")).astype(np.int8) - np.int8(8),)


def _dynamic_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, FLOATS)
    if not x.size:
        refuse(node, types, "x must hold an element")
    return (TensorType(DType.U8, x.shape), TensorType(x.dtype, ()), TensorType(DType.U8, ()))


def _dynamic(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """u8 codes for the range of x widened to hold 0; also the scale and zero point."""
    x = tensor(arrays, 0)
    low = min(0.0, float(wide(x).min()))
    high = max(0.0, float(wide(x).max()))
    scale = narrow(np.asarray((high - low) / 255.0), x.dtype)
    step = float(scale) or 1.0
    zero = np.clip(np.rint(narrow(np.asarray(-low / step), np.dtype(np.float32))), 0, 255)
    codes = np.rint(_quotient(x, scale, np.asarray(step))) + zero
    return (np.clip(codes, 0, 255).astype(np.uint8), scale, np.asarray(zero, np.uint8))


OPERATORS = {
    "QuantizeLinear": Operator(
        "QuantizeLinear",
        "x scale zero?",
        _quantize_rule,
        _quantize,
        {"axis": "int", "saturate": "int", "output_dtype": "str"},
    ),
    "DequantizeLinear": Operator(
        "DequantizeLinear",
        "x scale zero?",
        _dequantize_rule,
        _dequantize,
        {"axis": "int", "block_size": "int", "output_dtype": "str"},
    ),
    "UnpackInt4": Operator("UnpackInt4", "x", _unpack_rule, _unpack, {"axis": "int"}),
    "DynamicQuantizeLinear": Operator("DynamicQuantizeLinear", "x", _dynamic_rule, _dynamic),
}
