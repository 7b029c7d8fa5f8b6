"""Element by element, one operand: functions, activations, conversions."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule
from drawloom.graph.dtypes import DType

_LINEAR_FROM = 15.0
"""Beyond this softplus and the identity differ by less than half a unit of f32."""


def unary(op: str) -> Rule:
    """A function of one float; whole numbers become floats first, as PyTorch has it."""

    def rule(call: Call) -> Sequence[str]:
        return [call.emit(op, (call.cast(call.x(), call.out()),))]

    return rule


def rounding(op: str) -> Rule:
    """Whole numbers stay as they are."""

    def rule(call: Call) -> Sequence[str]:
        if not call.type().dtype.is_float:
            return [call.x()]
        if call.get("decimals", 0):
            raise Refused(f"decimals={call.get('decimals')}", "0")
        return [call.emit(op, (call.x(),))]

    return rule


def _same(call: Call) -> Sequence[str]:
    """A copy, or a change of the element type."""
    if call.op == "aten.view" and call.get("dtype") is not None:
        raise Refused("a view of the bits as another element type", "a cast")
    return [call.cast(call.x(), call.out())]


def _dropout(call: Call) -> Sequence[str]:
    """In inference nothing is dropped."""
    if call.get("train") and call.get("p"):
        raise Refused(f"train=True with p={call.get('p')}", "model.eval() before export")
    return [call.x("input")]


def _copy(call: Call) -> Sequence[str]:
    return [call.expand(call.cast(call.x("src"), call.out()), call.shape())]


def _rsqrt(call: Call) -> Sequence[str]:
    root = call.emit("Sqrt", (call.cast(call.x(), call.out()),))
    return [call.emit("Reciprocal", (root,))]


def _after_one(op: str) -> Rule:
    """log1p and expm1: the absolute error is that of the plain function near 1."""

    def rule(call: Call) -> Sequence[str]:
        x = call.cast(call.x(), call.out())
        one = call.number(1.0, x)
        if op == "Log":
            return [call.emit("Log", (call.emit("Add", (x, one)),))]
        return [call.emit("Sub", (call.emit(op, (x,)), one))]

    return rule


def _exp2(call: Call) -> Sequence[str]:
    x = call.cast(call.x(), call.out())
    return [call.emit("Pow", (call.number(2.0, x), x))]


def _logarithm(base: float) -> Rule:
    """The quotient of two natural logarithms."""

    def rule(call: Call) -> Sequence[str]:
        x = call.cast(call.x(), call.out())
        bottom = call.emit("Log", (call.number(base, x),))
        return [call.emit("Div", (call.emit("Log", (x,)), bottom))]

    return rule


def truncated(call: Call, x: str) -> str:
    """Return a float rounded towards zero."""
    size = call.emit("Floor", (call.emit("Abs", (x,)),))
    return call.emit("Mul", (call.emit("Sign", (x,)), size))


def _trunc(call: Call) -> Sequence[str]:
    return [truncated(call, call.x()) if call.type().dtype.is_float else call.x()]


def _frac(call: Call) -> Sequence[str]:
    return [call.emit("Sub", (call.x(), truncated(call, call.x())))]


def _erfc(call: Call) -> Sequence[str]:
    x = call.cast(call.x(), call.out())
    return [call.emit("Sub", (call.number(1.0, x), call.emit("Erf", (x,))))]


def _abs(call: Call) -> Sequence[str]:
    if call.type().dtype is DType.BOOL:
        return [call.x()]
    return [call.emit("Abs", (call.x(),))]


def _not(call: Call) -> Sequence[str]:
    if call.op == "aten.bitwise_not" and call.type().dtype is not DType.BOOL:
        return [call.emit("BitwiseNot", (call.x(),))]
    return [call.emit("Not", (call.cast(call.x(), DType.BOOL),))]


def _question(op: str) -> Rule:
    """A question that only a float can answer with yes."""

    def rule(call: Call) -> Sequence[str]:
        kind = call.type()
        if kind.dtype.is_float:
            return [call.emit(op, (call.x(),))]
        return [call.expand(call.scalar(False, DType.BOOL), kind.shape)]

    return rule


def _gelu(call: Call) -> Sequence[str]:
    return [call.emit("Gelu", (call.x(),), approximate=call.get("approximate", "none"))]


def _leaky(call: Call) -> Sequence[str]:
    return [call.emit("LeakyRelu", (call.x(),), alpha=float(call.get("negative_slope", 0.01)))]


def _hard_sigmoid(call: Call) -> Sequence[str]:
    return [call.emit("HardSigmoid", (call.x(),), alpha=1.0 / 6.0, beta=0.5)]


def _elu(call: Call) -> Sequence[str]:
    """scale * (x > 0 ? x : alpha * (exp(x * input_scale) - 1))."""
    alpha, scale = float(call.get("alpha", 1.0)), float(call.get("scale", 1.0))
    inside = float(call.get("input_scale", 1.0))
    if inside == 1.0:
        y = call.emit("Elu", (call.x(),), alpha=alpha)
    elif alpha * inside == 1.0:
        y = call.emit("Celu", (call.x(),), alpha=alpha)
    else:
        raise Refused(f"input_scale={inside}", "1, or 1 / alpha")
    return [y if scale == 1.0 else call.emit("Mul", (y, call.number(scale, y)))]


def _celu(call: Call) -> Sequence[str]:
    return [call.emit("Celu", (call.x(),), alpha=float(call.get("alpha", 1.0)))]


def _softplus(call: Call) -> Sequence[str]:
    """log(1 + exp(beta x)) / beta."""
    beta, threshold = float(call.get("beta", 1.0)), float(call.get("threshold", 20.0))
    if threshold < _LINEAR_FROM:
        raise Refused(f"threshold={threshold}", f"at least {_LINEAR_FROM}")
    x = call.x()
    if beta == 1.0:
        return [call.emit("Softplus", (x,))]
    factor = call.number(beta, x)
    y = call.emit("Softplus", (call.emit("Mul", (x, factor)),))
    return [call.emit("Div", (y, factor))]


def _threshold(call: Call) -> Sequence[str]:
    x = call.x()
    above = call.emit("Greater", (x, call.number(call.get("threshold", 0.0), x)))
    return [call.emit("Where", (above, x, call.number(call.get("value", 0.0), x)))]


def _prelu(call: Call) -> Sequence[str]:
    """The slope is one number, or one for each channel (axis 1)."""
    x, slope = call.x(), call.x("weight")
    shape = call.draft.type(slope).shape
    if len(shape) == 1 and call.op == "aten.prelu":
        rank = len(call.shape())
        slope = call.reshape(slope, (*shape, *(1,) * max(rank - 2, 0)))
    return [call.emit("PRelu", (x, slope))]


def _clamp(call: Call) -> Sequence[str]:
    """Bounds are numbers or tensors; numbers become attributes."""
    x = call.cast(call.x(), call.out())
    known: dict[str, float] = {}
    for key, op in (("min", "Max"), ("max", "Min")):
        bound = call.get(key)
        if isinstance(bound, str):
            x = call.emit(op, (x, call.cast(bound, call.out())))
        elif bound is not None:
            known[key] = float(bound)
    return [call.emit("Clip", (x,), **known) if known else x]


_FUNCTIONS = {
    "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan",
    "atanh": "Atanh", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "log": "Log",
    "mish": "Mish", "neg": "Neg", "reciprocal": "Reciprocal", "relu": "Relu", "hardswish": "HardSwish",
    "sgn": "Sign", "sigmoid": "Sigmoid", "sign": "Sign", "silu": "Silu", "sin": "Sin",
    "sinh": "Sinh", "softsign": "Softsign", "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh",
}  # fmt: skip
_COPIES = "_to_copy alias clone contiguous detach lift_fresh_copy to"

RULES: dict[str, Rule] = {
    **{f"aten.{word}": unary(op) for word, op in _FUNCTIONS.items()},
    **{f"aten.{word}": _same for word in _COPIES.split()},
    "prims.convert_element_type": _same,
    "aten.floor": rounding("Floor"),
    "aten.ceil": rounding("Ceil"),
    "aten.round": rounding("Round"),
    "aten.trunc": _trunc,
    "aten.frac": _frac,
    "aten.copy": _copy,
    "aten.dropout": _dropout,
    "aten.abs": _abs,
    "aten.rsqrt": _rsqrt,
    "aten.log1p": _after_one("Log"),
    "aten.expm1": _after_one("Exp"),
    "aten.exp2": _exp2,
    "aten.log2": _logarithm(2.0),
    "aten.log10": _logarithm(10.0),
    "aten.erfc": _erfc,
    "aten.logical_not": _not,
    "aten.bitwise_not": _not,
    "aten.isnan": _question("IsNaN"),
    "aten.isinf": _question("IsInf"),
    "aten.gelu": _gelu,
    "aten.leaky_relu": _leaky,
    "aten.hardsigmoid": _hard_sigmoid,
    "aten.elu": _elu,
    "aten.celu": _celu,
    "aten.softplus": _softplus,
    "aten.threshold": _threshold,
    "aten.prelu": _prelu,
    "aten._prelu_kernel": _prelu,
    "aten.clamp": _clamp,
    "aten.clamp_min": _clamp,
    "aten.clamp_max": _clamp,
    "aten.hardtanh": lambda call: [
        call.emit(
            "Clip",
            (call.x(),),
            min=float(call.get("min_val", -1.0)),
            max=float(call.get("max_val", 1.0)),
        )
    ],
}
