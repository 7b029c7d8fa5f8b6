"""Element by element: functions of one value, arithmetic with broadcasting, conversions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.tensors import BadTensor, dtype_of
from drawloom.graph.dtypes import DType
from drawloom.graph.ops import OPS
from drawloom.graph.rounding import is_float

# Attributes of early versions that never changed what a node means.
_DEAD = frozenset({"consumed_inputs"})


def copied(call: Call) -> dict[str, Any]:
    """Return the attributes the graph's operator of the same name takes; refuse others."""
    legal = OPS[call.op].attrs
    attrs: dict[str, Any] = {}
    for key in call.attributes:
        if key in legal:
            attrs[key] = call.get(key)
        elif key not in _DEAD:
            call.refuse(key, f"{call.op} takes " + (", ".join(legal) or "no attributes"))
    return attrs


def same(call: Call) -> Sequence[str]:
    """The operator means the same in a graph."""
    return [call.emit(call.op, call.inputs, **copied(call))]


def aligned(call: Call) -> tuple[str, str]:
    """Return two operands that broadcast by position from the right.

    Before version 7 the second was broadcast on request, from a given axis.
    """
    a, b = call.x(0), call.x(1)
    if call.opset >= 7 or not call.get("broadcast", 0):
        return a, b
    rank, inner = len(call.shape(0)), call.shape(1)
    axis = call.get("axis", rank - len(inner))
    trailing = rank - axis % rank - len(inner) if rank else 0
    return a, call.reshape(b, (*inner, *(1,) * trailing))


def binary(call: Call) -> Sequence[str]:
    """Two operands, broadcast."""
    attrs = {k: call.get(k) for k in call.attributes if k in OPS[call.op].attrs}
    return [call.emit(call.op, aligned(call), **attrs)]


def chain(op: str) -> Rule:
    """Any number of operands, two at a time."""

    def rule(call: Call) -> Sequence[str]:
        total = call.x(0)
        for i in range(1, len(call.inputs)):
            total = call.emit(op, (total, call.x(i)))
        return [total]

    return rule


def _mean(call: Call) -> Sequence[str]:
    (total,) = chain("Add")(call)
    if len(call.inputs) == 1:
        return [total]
    return [call.emit("Div", (total, call.number(len(call.inputs), total)))]


def _prelu(call: Call) -> Sequence[str]:
    """Before version 7 a slope for each channel stood along axis 1."""
    x, slope = call.x(0), call.x(1)
    rank, inner = len(call.shape(0)), call.shape(1)
    if call.opset < 7 and len(inner) == 1 and inner != (1,) and rank > 1:
        slope = call.reshape(slope, (*inner, *(1,) * (rank - 2)))
    return [call.emit("PRelu", (x, slope))]


def _selu(call: Call) -> Sequence[str]:
    attrs = copied(call)
    if call.opset < 6:
        attrs = {"alpha": 1.6732, "gamma": 1.0507} | attrs
    return [call.emit("Selu", call.inputs, **attrs)]


def _swish(call: Call) -> Sequence[str]:
    alpha = call.get("alpha", 1.0)
    return [call.emit("Silu", call.inputs, **({} if alpha == 1.0 else {"alpha": alpha}))]


def _clip(call: Call) -> Sequence[str]:
    """Bounds are attributes before version 11, then operands; unknown ones become Max and Min."""
    x = call.x(0)
    if call.opset < 11:
        limit = float(np.finfo(np.float32).max)
        found = {key: call.get(key) for key in ("min", "max") if key in call.attributes}
        bounds = {key: v for key, v in found.items() if abs(v) < limit}
        return [call.emit("Clip", (x,), **bounds) if bounds else x]
    known: dict[str, Any] = {}
    for i, (key, op) in enumerate((("min", "Max"), ("max", "Min")), start=1):
        if not call.has(i):
            continue
        if call.draft.array(call.x(i)) is None:
            x = call.emit("Clip", (x,), **known) if known else x
            known = {}
            x = call.emit(op, (x, call.x(i)))
        else:
            known[key] = call.scalar(i, key)
    return [call.emit("Clip", (x,), **known) if known else x]


def dtype_word(code: int | str) -> str:
    """Return our word for ONNX's element type, or refuse the node."""
    try:
        # the first versions wrote the type as text
        number = TensorProto.DataType.Value(code) if isinstance(code, str) else code
        return dtype_of(number).value
    except BadTensor as bad:
        raise Refused(bad.found, bad.allowed) from None
    except ValueError:
        raise Refused(f"element type '{code}'", "a type of ONNX", sound=False) from None


def _cast(call: Call) -> Sequence[str]:
    word = dtype_word(call.need("to"))
    if call.type().dtype.value == word:
        return [call.x(0)]
    array = call.draft.array(call.x(0))
    is_whole = not DType(word).is_float and word != "bool"
    if array is not None and is_whole and is_float(array.dtype) and np.isnan(array).any():
        raise Refused("NaN among constants", f"numbers, where they become {word}", sound=False)
    return [call.emit("Cast", (call.x(0),), to=word, **_coding(call, word))]


def _coding(call: Call, word: str) -> dict[str, Any]:
    """Return the attributes that say how numbers become codes; elsewhere they mean nothing."""
    keys = ("saturate", "round_mode") if DType(word).is_code else ()
    return {key: call.get(key) for key in keys if key in call.attributes}


def _cast_like(call: Call) -> Sequence[str]:
    word = call.type(1).dtype.value
    if call.type().dtype.value == word:
        return [call.x(0)]
    return [call.emit("Cast", (call.x(0),), to=word, **_coding(call, word))]


def _identity(call: Call) -> Sequence[str]:
    return [call.x(0)]


_UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Sigmoid "
    "Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
)
_BINARY = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less "
    "LessOrEqual Mod Mul Or Pow Sub Xor"
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY.split(), same),
    **dict.fromkeys(_BINARY.split(), binary),
    "Sum": chain("Add"),
    "Max": chain("Max"),
    "Min": chain("Min"),
    "Mean": _mean,
    "Where": same,
    "PRelu": _prelu,
    "Selu": _selu,
    "Swish": _swish,
    "Clip": _clip,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": _identity,
}
