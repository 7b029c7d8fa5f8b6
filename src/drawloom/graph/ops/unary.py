"""One operand in, the same shape out: activations and elementary functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from drawloom.graph.codes import ROUND_MODES, of_code, to_code
from drawloom.graph.erf import erf
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    ANY,
    BOOLS,
    FLOATS,
    INTS,
    NUMBERS,
    Arrays,
    DType,
    Meaning,
    Operator,
    Rule,
    Types,
    dtype_attr,
    need_dtype,
    need_word,
    tensor,
)
from drawloom.graph.rounding import Wide, integer_range, is_float, narrow, wide, working


def _same(allowed: frozenset[DType]) -> Rule:
    """Output type = input type, for the dtypes allowed."""

    def rule(node: Node, types: Types) -> tuple[TensorType, ...]:
        return (need_dtype(node, types, 0, allowed),)

    return rule


def _bool_out(allowed: frozenset[DType]) -> Rule:
    def rule(node: Node, types: Types) -> tuple[TensorType, ...]:
        return (TensorType(DType.BOOL, need_dtype(node, types, 0, allowed).shape),)

    return rule


def _rounded(function: Callable[[Node, Wide], Wide]) -> Meaning:
    """Compute in float64, round once to the operand's format."""

    def evaluate(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
        x = tensor(arrays, 0)
        return (narrow(function(_node, wide(x)), x.dtype),)

    return evaluate


def _exact(function: Callable[[Node, Array], Array]) -> Meaning:
    """Compute natively: the result is always representable."""

    def evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
        x = tensor(arrays, 0)
        return (function(node, working(x)).astype(x.dtype, copy=False),)

    return evaluate


def _smooth(name: str, function: Callable[[Wide], Wide]) -> Operator:
    """An attribute-free float function."""
    return Operator(name, "x", _same(FLOATS), _rounded(lambda _, x: function(x)))


def _shaped(name: str, function: Callable[[Node, Wide], Wide], **attrs: str) -> Operator:
    """A float function with attributes."""
    return Operator(name, "x", _same(FLOATS), _rounded(function), attrs)


def _plain(name: str, allowed: frozenset[DType], function: Callable[[Array], Array]) -> Operator:
    """A function whose result needs no rounding."""
    return Operator(name, "x", _same(allowed), _exact(lambda _, x: function(x)))


def sigmoid(x: Wide) -> Wide:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softplus(x: Wide) -> Wide:
    """Return log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def gelu(x: Wide, approximate: str) -> Wide:
    """Return x times the normal distribution's mass below x, or its tanh form."""
    if approximate == "tanh":
        return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def _elu(node: Node, x: Wide) -> Wide:
    return np.where(x > 0, x, node.float("alpha", 1.0) * np.expm1(np.minimum(x, 0.0)))


def _celu(node: Node, x: Wide) -> Wide:
    alpha = node.float("alpha", 1.0)
    return np.maximum(x, 0.0) + np.minimum(0.0, alpha * np.expm1(np.minimum(x, 0.0) / alpha))


def _selu(node: Node, x: Wide) -> Wide:
    alpha = node.float("alpha", 1.6732632423543772)
    gamma = node.float("gamma", 1.0507009873554805)
    return gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _hard_sigmoid(node: Node, x: Wide) -> Wide:
    return np.clip(node.float("alpha", 0.2) * x + node.float("beta", 0.5), 0.0, 1.0)


def _leaky_relu(node: Node, x: Wide) -> Wide:
    return np.where(x < 0, node.float("alpha", 0.01) * x, x)


def _thresholded_relu(node: Node, x: Wide) -> Wide:
    return np.where(x > node.float("alpha", 1.0), x, 0.0)


def _silu(node: Node, x: Wide) -> Wide:
    return x * sigmoid(node.float("alpha", 1.0) * x)


def _gelu_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_word(node, types, "approximate", ("none", "tanh"))
    return (need_dtype(node, types, 0, FLOATS),)


def _relu(x: Array) -> Array:
    return np.maximum(x, np.zeros((), x.dtype))


def _clip(node: Node, x: Array) -> Array:
    """Clip to bounds that are first rounded into the operand's own format."""
    if "min" in node.attrs:
        x = np.maximum(x, _bound(node.float("min"), x.dtype))
    if "max" in node.attrs:
        x = np.minimum(x, _bound(node.float("max"), x.dtype))
    return x


def _bound(value: float, dtype: np.dtype[Any]) -> Array:
    if not is_float(dtype):
        low, high = integer_range(dtype)
        value = int(min(max(value, low), high))
    return np.asarray(value, dtype=dtype)


def _clip_evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    return (narrow(_clip(node, working(x)), x.dtype),) if is_float(x.dtype) else (_clip(node, x),)


def _is_inf(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = working(tensor(arrays, 0))
    above = (x == np.inf) & bool(node.int("detect_positive", 1))
    return (above | ((x == -np.inf) & bool(node.int("detect_negative", 1))),)


def _cast_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    kind = need_dtype(node, types, 0, ANY)
    need_word(node, types, "round_mode", ROUND_MODES)
    return (TensorType(dtype_attr(node, types, "to"), kind.shape),)


def cast(x: Array, to: np.dtype[Any]) -> Array:
    """Convert values to another dtype.

    Float to integer truncates; ONNX leaves values beyond the target open, here
    they saturate and NaN gives 0. Integer to integer keeps the low bits. Any
    to bool is ``x != 0``. A code is widened first; see ``graph/codes`` for what becomes one.
    """
    x = of_code(x)
    if to == np.bool_:
        return x.astype(np.bool_)
    if is_float(to):
        return narrow(wide(x), to) if is_float(x.dtype) else narrow(_int_to_wide(x, to), to)
    if not is_float(x.dtype):
        return x.astype(to)
    low, high = integer_range(to)
    whole = np.nan_to_num(np.trunc(wide(x)), nan=0.0, posinf=np.inf, neginf=-np.inf)
    inside = np.clip(whole, float(low), np.nextafter(float(high) + 1.0, 0.0))
    return np.where(whole >= float(high), high, inside.astype(to)).astype(to)


def _int_to_wide(x: Array, to: np.dtype[Any]) -> Array:
    """64-bit integers go to f32 and f64 directly, so that they round once."""
    return x if to.kind == "f" and to.itemsize >= 4 else x.astype(np.float64)


def _cast(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, to = tensor(arrays, 0), DType(node.str("to"))
    if not to.is_code:
        return (cast(x, to.numpy),)
    saturate, mode = bool(node.int("saturate", 1)), node.str("round_mode", ROUND_MODES[0])
    return (to_code(x, to, saturate=saturate, round_mode=mode),)


OPERATORS = {
    "Relu": _plain("Relu", NUMBERS, _relu),
    "LeakyRelu": _shaped("LeakyRelu", _leaky_relu, alpha="float"),
    "Elu": _shaped("Elu", _elu, alpha="float"),
    "Selu": _shaped("Selu", _selu, alpha="float", gamma="float"),
    "Celu": _shaped("Celu", _celu, alpha="float"),
    "ThresholdedRelu": _shaped("ThresholdedRelu", _thresholded_relu, alpha="float"),
    "Sigmoid": _smooth("Sigmoid", sigmoid),
    "HardSigmoid": _shaped("HardSigmoid", _hard_sigmoid, alpha="float", beta="float"),
    "HardSwish": _smooth("HardSwish", lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "Silu": _shaped("Silu", _silu, alpha="float"),
    "Swish": _shaped("Swish", _silu, alpha="float"),
    "Mish": _smooth("Mish", lambda x: x * np.tanh(softplus(x))),
    "Tanh": _smooth("Tanh", np.tanh),
    "Softplus": _smooth("Softplus", softplus),
    "Softsign": _smooth("Softsign", lambda x: x / (1.0 + np.abs(x))),
    "Exp": _smooth("Exp", np.exp),
    "Log": _smooth("Log", np.log),
    "Sqrt": _smooth("Sqrt", np.sqrt),
    "Reciprocal": _smooth("Reciprocal", np.reciprocal),
    "Neg": _plain("Neg", NUMBERS, np.negative),
    "Abs": _plain("Abs", NUMBERS, np.abs),
    "Sign": _plain("Sign", NUMBERS, np.sign),
    "Floor": _plain("Floor", FLOATS, np.floor),
    "Ceil": _plain("Ceil", FLOATS, np.ceil),
    "Round": _plain("Round", FLOATS, np.rint),
    "Erf": _smooth("Erf", erf),
    "Gelu": Operator(
        "Gelu",
        "x",
        _gelu_rule,
        _rounded(lambda node, x: gelu(x, node.str("approximate", "none"))),
        {"approximate": "str"},
    ),
    "Sin": _smooth("Sin", np.sin),
    "Cos": _smooth("Cos", np.cos),
    "Tan": _smooth("Tan", np.tan),
    "Asin": _smooth("Asin", np.arcsin),
    "Acos": _smooth("Acos", np.arccos),
    "Atan": _smooth("Atan", np.arctan),
    "Sinh": _smooth("Sinh", np.sinh),
    "Cosh": _smooth("Cosh", np.cosh),
    "Asinh": _smooth("Asinh", np.arcsinh),
    "Acosh": _smooth("Acosh", np.arccosh),
    "Atanh": _smooth("Atanh", np.arctanh),
    "Not": _plain("Not", BOOLS, np.logical_not),
    "BitwiseNot": _plain("BitwiseNot", INTS, np.invert),
    "IsNaN": Operator(
        "IsNaN", "x", _bool_out(FLOATS), lambda _, a: (np.isnan(working(tensor(a, 0))),)
    ),
    "IsInf": Operator(
        "IsInf",
        "x",
        _bool_out(FLOATS),
        _is_inf,
        {"detect_positive": "int", "detect_negative": "int"},
    ),
    "Clip": Operator("Clip", "x", _same(NUMBERS), _clip_evaluate, {"min": "float", "max": "float"}),
    "Cast": Operator(
        "Cast", "x", _cast_rule, _cast, {"to": "str!", "saturate": "int", "round_mode": "str"}
    ),
    "Identity": _plain("Identity", ANY, lambda x: x),
}
