"""Two or three operands, broadcast against each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    ANY,
    BOOLS,
    FLOATS,
    INTS,
    NUMBERS,
    Arrays,
    DType,
    Operator,
    Rule,
    Types,
    broadcast,
    need_dtype,
    need_same_dtype,
    need_word,
    refuse,
    tensor,
)
from drawloom.graph.rounding import is_float, narrow, wide, working

Pair = Callable[[Array, Array], Array]


def _rule(allowed: frozenset[DType], result: DType | None = None) -> Rule:
    """One dtype in both operands; the same, or ``result``, comes out."""

    def rule(node: Node, types: Types) -> tuple[TensorType, ...]:
        need_dtype(node, types, 0, allowed)
        dtype = need_same_dtype(node, types, (0, 1))
        return (TensorType(result or dtype, broadcast(node, types, (0, 1))),)

    return rule


def _arithmetic(name: str, function: Pair) -> Operator:
    """One rounding of one exact arithmetic step; integers wrap."""

    def evaluate(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
        a, b = tensor(arrays, 0), tensor(arrays, 1)
        return (function(working(a), working(b)).astype(a.dtype, copy=False),)

    return Operator(name, "a b", _rule(NUMBERS), evaluate)


def _compare(name: str, allowed: frozenset[DType], function: Pair) -> Operator:
    def evaluate(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
        return (function(working(tensor(arrays, 0)), working(tensor(arrays, 1))),)

    return Operator(name, "a b", _rule(allowed, DType.BOOL), evaluate)


def _logic(name: str, allowed: frozenset[DType], function: Pair) -> Operator:
    def evaluate(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
        return (function(tensor(arrays, 0), tensor(arrays, 1)),)

    return Operator(name, "a b", _rule(allowed), evaluate)


def _divide(a: Array, b: Array) -> Array:
    """Integers truncate towards zero; an integer divided by 0 is 0."""
    if is_float(a.dtype):
        return np.divide(a, b)
    return _truncated(a, b)


def _truncated(a: Array, b: Array) -> Array:
    down, rest = np.divmod(a, b)
    toward_zero = (rest != 0) & ((a < 0) != (b < 0))
    return np.where(b == 0, 0, down + toward_zero.astype(a.dtype)).astype(a.dtype)


def _mod(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """fmod=0 takes the divisor's sign, fmod=1 the dividend's; always exact."""
    a, b = tensor(arrays, 0), tensor(arrays, 1)
    function = np.fmod if node.int("fmod") else np.mod
    return (function(working(a), working(b)).astype(a.dtype, copy=False),)


def _pow_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    base = need_dtype(node, types, 0, NUMBERS)
    need_dtype(node, types, 1, NUMBERS)
    return (TensorType(base.dtype, broadcast(node, types, (0, 1))),)


def _pow(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The result has the base's dtype; integer powers wrap, a negative one truncates."""
    base, exponent = tensor(arrays, 0), tensor(arrays, 1)
    if is_float(base.dtype):
        return (narrow(np.power(wide(base), wide(exponent)), base.dtype),)
    if is_float(exponent.dtype) or bool(np.any(exponent < 0)):
        return (np.power(wide(base), wide(exponent)).astype(base.dtype),)
    return (np.power(base, exponent.astype(base.dtype)),)


def _shift_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_word(node, types, "direction", ("LEFT", "RIGHT"))
    return _rule(INTS)(node, types)


def _shift(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    left = node.str("direction", "LEFT") == "LEFT"
    function = np.left_shift if left else np.right_shift
    return (function(tensor(arrays, 0), tensor(arrays, 1)),)


def _where_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_dtype(node, types, 0, BOOLS)
    dtype = need_same_dtype(node, types, (1, 2))
    return (TensorType(dtype, broadcast(node, types, (0, 1, 2))),)


def _where(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.where(tensor(arrays, 0), tensor(arrays, 1), tensor(arrays, 2)),)


def _prelu_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """The slope broadcasts to x, never the other way."""
    x = need_dtype(node, types, 0, FLOATS)
    need_same_dtype(node, types, (0, 1))
    if broadcast(node, types, (0, 1)) != x.shape:
        refuse(node, types, "the slope must broadcast to x's shape")
    return (x,)


def _prelu(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, slope = tensor(arrays, 0), tensor(arrays, 1)
    a, b = working(x), working(slope)
    return (np.where(a < 0, a * b, a).astype(x.dtype, copy=False),)


OPERATORS = {
    "Add": _arithmetic("Add", np.add),
    "Sub": _arithmetic("Sub", np.subtract),
    "Mul": _arithmetic("Mul", np.multiply),
    "Div": _arithmetic("Div", _divide),
    "Min": _arithmetic("Min", np.minimum),
    "Max": _arithmetic("Max", np.maximum),
    "Pow": Operator("Pow", "base exponent", _pow_rule, _pow),
    "Mod": Operator("Mod", "a b", _rule(NUMBERS), _mod, {"fmod": "int"}),
    "PRelu": Operator("PRelu", "x slope", _prelu_rule, _prelu),
    "Equal": _compare("Equal", ANY, np.equal),
    "Greater": _compare("Greater", NUMBERS, np.greater),
    "GreaterOrEqual": _compare("GreaterOrEqual", NUMBERS, np.greater_equal),
    "Less": _compare("Less", NUMBERS, np.less),
    "LessOrEqual": _compare("LessOrEqual", NUMBERS, np.less_equal),
    "And": _logic("And", BOOLS, np.logical_and),
    "Or": _logic("Or", BOOLS, np.logical_or),
    "Xor": _logic("Xor", BOOLS, np.logical_xor),
    "BitShift": Operator("BitShift", "a b", _shift_rule, _shift, {"direction": "str!"}),
    "BitwiseAnd": _logic("BitwiseAnd", INTS, np.bitwise_and),
    "BitwiseOr": _logic("BitwiseOr", INTS, np.bitwise_or),
    "BitwiseXor": _logic("BitwiseXor", INTS, np.bitwise_xor),
    "Where": Operator("Where", "condition a b", _where_rule, _where),
}
