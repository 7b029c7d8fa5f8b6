"""Two or three operands, tensors or numbers, promoted to one element type and broadcast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule
from drawloom.frontends.torch.rules.elementwise import truncated
from drawloom.graph.dtypes import DType

Pair = tuple[str, str]


def pair(call: Call, a: str = "self", b: str = "other") -> Pair:
    """Return both operands in the element type to compute in."""
    dtype = call.inner(call.out(), a, b)
    return call.operand(a, dtype), call.operand(b, dtype)


def binary(op: str) -> Rule:
    """One operator of ours on both operands."""

    def rule(call: Call) -> Sequence[str]:
        return [call.cast(call.emit(op, pair(call)), call.out())]

    return rule


def _sum(op: str, first: str = "self", second: str = "other") -> Rule:
    """first + alpha * second, or minus."""

    def rule(call: Call) -> Sequence[str]:
        if call.out() is DType.BOOL:
            return [call.emit("Or", pair(call))]
        a, b = pair(call, first, second)
        alpha = call.get("alpha", 1)
        if alpha != 1:
            b = call.emit("Mul", (b, call.number(alpha, b)))
        return [call.cast(call.emit(op, (a, b)), call.out())]

    return rule


def _mul(call: Call) -> Sequence[str]:
    if call.out() is DType.BOOL:
        return [call.emit("And", pair(call))]
    return binary("Mul")(call)


def _div(call: Call) -> Sequence[str]:
    mode = call.get("rounding_mode")
    if call.op == "aten.floor_divide" or mode == "floor":
        return [_floor_divided(call, *pair(call))]
    a, b = pair(call)
    y = call.emit("Div", (a, b))
    if mode == "trunc" and call.draft.type(y).dtype.is_float:
        y = truncated(call, y)
    return [call.cast(y, call.out())]


def _floor_divided(call: Call, a: str, b: str) -> str:
    """Return (a - a mod b) / b, a whole number; a float by 0 is a / 0."""
    whole = call.emit("Sub", (a, call.emit("Mod", (a, b))))
    y = call.emit("Div", (whole, b))
    if call.draft.type(y).dtype.is_float:
        y = call.emit("Round", (y,))
        known = call.draft.array(b)
        if known is None or bool(np.any(known == 0)):
            none = call.emit("Equal", (b, call.number(0.0, b)))
            y = call.emit("Where", (none, call.emit("Div", (a, b)), y))
    return call.cast(y, call.out())


def _mod(fmod: int) -> Rule:
    """The remainder with the divisor's sign, or (fmod) the dividend's."""

    def rule(call: Call) -> Sequence[str]:
        return [call.cast(call.emit("Mod", pair(call), fmod=fmod), call.out())]

    return rule


def _pow(call: Call) -> Sequence[str]:
    """Small whole powers are products, halves are roots."""
    exponent = call.arguments["exponent"]
    if isinstance(exponent, str):
        dtype = call.inner(call.out(), "self", "exponent")
        base = call.operand("self", dtype)
        return [call.cast(call.emit("Pow", (base, call.cast(exponent, dtype))), call.out())]
    x = call.cast(call.x(), call.inner(call.out(), "self", "exponent"))
    return [call.cast(_power(call, x, exponent), call.out())]


def _power(call: Call, x: str, exponent: float) -> str:
    if exponent == 1:
        return x
    if exponent in (2, 3):
        square = call.emit("Mul", (x, x))
        return square if exponent == 2 else call.emit("Mul", (square, x))
    if call.draft.type(x).dtype.is_float and exponent in (0.5, -0.5, -1):
        y = call.emit("Sqrt", (x,)) if exponent != -1 else x
        return y if exponent > 0 else call.emit("Reciprocal", (y,))
    return call.emit("Pow", (x, call.number(exponent, x)))


def _compare(op: str, *, negate: bool = False) -> Rule:
    """Both operands in the element type that PyTorch compares in; truth values as numbers."""

    def rule(call: Call) -> Sequence[str]:
        dtype = call.promoted("self", "other")
        if dtype is DType.BOOL and op != "Equal":
            dtype = DType.I32
        dtype = call.inner(dtype, "self", "other")
        a, b = call.operand("self", dtype), call.operand("other", dtype)
        answer = call.emit(op, (a, b))
        return [call.emit("Not", (answer,)) if negate else answer]

    return rule


def _logic(op: str) -> Rule:
    def rule(call: Call) -> Sequence[str]:
        a, b = (call.operand(key, DType.BOOL) for key in ("self", "other"))
        return [call.emit(op, (a, b))]

    return rule


def _bitwise(op: str) -> Rule:
    """On truth values the bits are the values."""

    def rule(call: Call) -> Sequence[str]:
        name = op if call.out() is DType.BOOL else f"Bitwise{op}"
        return [call.emit(name, pair(call))]

    return rule


def _shift(direction: str) -> Rule:
    def rule(call: Call) -> Sequence[str]:
        return [call.emit("BitShift", pair(call), direction=direction)]

    return rule


def _where(call: Call) -> Sequence[str]:
    condition = call.cast(call.x("condition"), DType.BOOL)
    a, b = (call.operand(key, call.out()) for key in ("self", "other"))
    return [call.emit("Where", (condition, a, b))]


def _masked_fill(call: Call) -> Sequence[str]:
    mask = call.cast(call.x("mask"), DType.BOOL)
    x, value = call.x(), call.operand("value", call.out())
    return [call.emit("Where", (mask, value, x))]


def _atan2(call: Call) -> Sequence[str]:
    """atan(y / x), moved by half a turn where x is negative, a quarter turn where x is 0."""
    y, x = pair(call)
    zero, half = call.number(0.0, x), call.number(np.pi, x)
    base = call.emit("Atan", (call.emit("Div", (y, x)),))
    minus = call.emit("Sub", (base, half))
    moved = call.emit(
        "Where", (call.emit("Less", (y, zero)), minus, call.emit("Add", (base, half)))
    )
    turned = call.emit("Where", (call.emit("Less", (x, zero)), moved, base))
    aside = call.emit("Mul", (call.emit("Sign", (y,)), call.number(np.pi / 2, x)))
    return [call.emit("Where", (call.emit("Equal", (x, zero)), aside, turned))]


def _hypot(call: Call) -> Sequence[str]:
    squares = [call.emit("Mul", (v, v)) for v in pair(call)]
    return [call.emit("Sqrt", (call.emit("Add", squares),))]


def _addcmul(op: str) -> Rule:
    """self + value * tensor1 * tensor2, or over it."""

    def rule(call: Call) -> Sequence[str]:
        dtype = call.out()
        a, b = call.operand("tensor1", dtype), call.operand("tensor2", dtype)
        y = call.emit(op, (a, b))
        if call.get("value", 1) != 1:
            y = call.emit("Mul", (y, call.number(call.get("value"), y)))
        return [call.emit("Add", (call.operand("self", dtype), y))]

    return rule


def _lerp(call: Call) -> Sequence[str]:
    """self + weight * (end - self)."""
    dtype = call.out()
    a, b, w = (call.operand(key, dtype) for key in ("self", "end", "weight"))
    return [call.emit("Add", (a, call.emit("Mul", (w, call.emit("Sub", (b, a))))))]


def _isin(call: Call) -> Sequence[str]:
    """Each element against each of the others."""
    dtype = call.promoted("elements", "test_elements")
    a, b = (call.operand(key, dtype) for key in ("elements", "test_elements"))
    shape, count = call.draft.type(a).shape, call.draft.type(b).size
    if not count:
        raise Refused("no elements to test", "at least one")
    column = call.reshape(a, (*shape, 1))
    equal = call.emit("Equal", (column, call.reshape(b, (count,))))
    most = call.emit("ReduceMax", (call.cast(equal, DType.I32),), axes=(len(shape),), keepdims=0)
    found = call.cast(most, DType.BOOL)
    return [call.emit("Not", (found,)) if call.get("invert") else found]


RULES: dict[str, Rule] = {
    "aten.add": _sum("Add"),
    "aten.sub": _sum("Sub"),
    "aten.rsub": _sum("Sub", "other", "self"),
    "aten.mul": _mul,
    "aten.div": _div,
    "aten.true_divide": _div,
    "aten.floor_divide": _div,
    "aten.remainder": _mod(0),
    "aten.fmod": _mod(1),
    "aten.maximum": binary("Max"),
    "aten.minimum": binary("Min"),
    "aten.pow": _pow,
    "aten.hypot": _hypot,
    "aten.atan2": _atan2,
    "aten.eq": _compare("Equal"),
    "aten.ne": _compare("Equal", negate=True),
    "aten.gt": _compare("Greater"),
    "aten.ge": _compare("GreaterOrEqual"),
    "aten.lt": _compare("Less"),
    "aten.le": _compare("LessOrEqual"),
    "aten.logical_and": _logic("And"),
    "aten.logical_or": _logic("Or"),
    "aten.logical_xor": _logic("Xor"),
    "aten.__and__": _bitwise("And"),
    "aten.__or__": _bitwise("Or"),
    "aten.__xor__": _bitwise("Xor"),
    "aten.bitwise_and": _bitwise("And"),
    "aten.bitwise_or": _bitwise("Or"),
    "aten.bitwise_xor": _bitwise("Xor"),
    "aten.__lshift__": _shift("LEFT"),
    "aten.__rshift__": _shift("RIGHT"),
    "aten.bitwise_left_shift": _shift("LEFT"),
    "aten.bitwise_right_shift": _shift("RIGHT"),
    "aten.where": _where,
    "aten.masked_fill": _masked_fill,
    "aten.addcmul": _addcmul("Mul"),
    "aten.addcdiv": _addcmul("Div"),
    "aten.lerp": _lerp,
    "aten.isin": _isin,
}
