"""What the vector engine does for each operator: nodes to body steps.

A rule gets the slots of its operands and returns the slot of its result. Norms and softmax
work in f32 inside and round once at the end; the rest works in the tensor's own format.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from drawloom.graph.ir import Node
from drawloom.mapping.body import BodyBuilder

Operand = str | float  # a slot, or a scalar constant
Rule = Callable[[BodyBuilder, Node, list[Operand], str], str]  # body, node, operands, result format


def _slot(operand: Operand) -> str:
    assert isinstance(operand, str), operand
    return operand


def _unary(op: str) -> Rule:
    def rule(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
        return body.op(op, _slot(args[0]))

    return rule


FLIPPED = {
    "add": "add", "mul": "mul", "min": "min", "max": "max", "sub": "rsub", "div": "rdiv",
    "eq": "eq", "gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "and": "and", "or": "or", "xor": "xor",
}  # fmt: skip
_ORDER = ("full", "wide", "stat", "channel")


def combine(body: BodyBuilder, op: str, a: Operand, b: Operand, fmt: str = "") -> str:
    """Apply a two-operand step, with whichever operand is larger on the left."""
    if not isinstance(a, str):
        return body.op(FLIPPED[op], _slot(b), scalar=a, fmt=fmt)
    if not isinstance(b, str):
        return body.op(op, a, scalar=b, fmt=fmt)
    kinds = body.slots[a].kind, body.slots[b].kind
    if _ORDER.index(kinds[0]) > _ORDER.index(kinds[1]):
        a, b, op = b, a, FLIPPED[op]
        kinds = kinds[::-1]
    if kinds[1] == "stat" and kinds[0] in ("full", "wide"):
        b = body.spread(b)
    return body.op(op, a, b, fmt=fmt)


def _is_nan(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    return body.op("isnan", _slot(args[0]), fmt=fmt)


def _binary(op: str) -> Rule:
    def rule(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
        return combine(body, op, args[0], args[1])

    return rule


def _compare(op: str) -> Rule:
    def rule(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
        return combine(body, op, args[0], args[1], fmt)

    return rule


def _cast(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a = _slot(args[0])
    if fmt == "bool" and body.slots[a].fmt != "bool":
        return body.op("ne", a, scalar=0.0, fmt="bool")
    if body.slots[a].fmt in ("f16", "bf16", "f32") and fmt in ("i32", "i8", "u8"):
        a = body.op("trunc", a)  # the engine's conversion rounds to nearest
    return body.convert(a, fmt)


_EXACT_EXPONENT = 12  # of a power of two that every format holds, and its reciprocal
_MOST_SQUARED = 8  # a larger whole power by squaring rounds more often than exp(y log x)


def _pow(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a, y = _slot(args[0]), args[1]
    assert isinstance(y, float)
    simple = {1.0: "copy", 2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if y in simple:
        return body.op(simple[y], a)
    wide = body.convert(a, "f32")
    if y.is_integer() and abs(y) <= _MOST_SQUARED:
        made = _whole_power(body, wide, int(abs(y)))
        return body.convert(made if y > 0 else body.op("reciprocal", made), fmt)
    # There is no logarithm of a negative base, and only whole exponents have a power of one.
    size = body.op("abs", wide) if y.is_integer() else wide
    made = body.op("exp", body.op("mul", body.op("log", size), scalar=y))
    if y % 2.0 == 1.0:
        made = body.op("mul", made, body.op("sign", wide))
    return body.convert(made, fmt)


def _whole_power(body: BodyBuilder, base: str, exponent: int) -> str:
    """Return a power by squaring."""
    made = ""
    while exponent:
        if exponent % 2:
            made = body.op("mul", made, base) if made else base
        exponent //= 2
        if exponent:
            base = body.op("square", base)
    return made


def _clip(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a = _slot(args[0])
    if "min" in node.attrs:
        a = body.op("max", a, scalar=node.float("min"))
    if "max" in node.attrs:
        a = body.op("min", a, scalar=node.float("max"))
    return a if a != args[0] else body.op("copy", a)


def _silu(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a = _slot(args[0])
    alpha = node.float("alpha", 1.0)
    inner = a if alpha == 1.0 else body.op("mul", a, scalar=alpha)
    return body.op("mul", a, body.op("sigmoid", inner))


def _leaky(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a = _slot(args[0])
    alpha = node.float("alpha", 0.01)
    scaled = body.op("mul", body.op("min", a, scalar=0.0), scalar=alpha)
    return body.op("add", body.op("relu", a), scaled)


def _elu(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    x = body.convert(_slot(args[0]), "f32")
    low = body.op("sub", body.op("exp", body.op("min", x, scalar=0.0)), scalar=1.0)
    low = body.op("mul", low, scalar=node.float("alpha", 1.0))
    return body.convert(body.op("add", body.op("relu", x), low), fmt)


def _hard_sigmoid(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a = body.op("mul", _slot(args[0]), scalar=node.float("alpha", 0.2))
    a = body.op("add", a, scalar=node.float("beta", 0.5))
    return body.op("min", body.op("max", a, scalar=0.0), scalar=1.0)


def _hard_swish(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    x = _slot(args[0])
    gate = body.op("add", body.op("mul", x, scalar=1.0 / 6.0), scalar=0.5)
    return body.op("mul", x, body.op("min", body.op("max", gate, scalar=0.0), scalar=1.0))


# The normal distribution's Phi(x) is the logistic function of x (c0 + c1 x^2 + c2 x^4 + ...) within
# 1.5e-6 for 16 bits and 3e-8 for more, at every x: a fit by least squares, weighted until the largest
# error was least. `tests/mapping/test_curves.py` holds it to that.
PHI_16 = (1.59573942, 0.0727845728, -1.75653322e-4, -7.3386844e-5, 2.85000851e-6)
PHI_32 = (
    1.59576988, 0.0726661688, -6.51894981e-5, -1.10612629e-4, 7.92954536e-6, -2.64532473e-7,
    3.51255224e-9,
)  # fmt: skip


def _phi_terms(fmt: str) -> tuple[float, ...]:
    return PHI_32 if fmt == "f32" else PHI_16


def _odd(body: BodyBuilder, x: str, terms: tuple[float, ...]) -> str:
    """Return x (c0 + c1 x^2 + ...) of an f32 slot."""
    power = body.op("square", x)
    made = body.op("mul", power, scalar=terms[-1])
    for term in terms[-2:0:-1]:
        made = body.op("mul", body.op("add", made, scalar=term), power)
    return body.op("mul", body.op("add", made, scalar=terms[0]), x)


def _erf(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    """Return 2 Phi(sqrt(2) x) - 1, which is a tanh of half what Phi is the logistic function of."""
    terms = tuple(c * math.sqrt(2.0) ** (2 * k - 1) for k, c in enumerate(_phi_terms(fmt)))
    return body.convert(
        body.op("tanh", _odd(body, body.convert(_slot(args[0]), "f32"), terms)), fmt
    )


# Phi(x) is the logistic function of 2x + c x (s - a) (s - b), s = min(x^2, GATE_END), to what Gelu's
# bound leaves in 16 bits: three roundings, and 2e-6. 2x is exact and the rest is small where Phi is not,
# so that only their sum needs more than 16 bits. (a, b, c) by format, found by trying all its numbers,
# which `tests/mapping/test_curves.py` does again.
GATES = {
    "f16": (5.79084617, 89.5722467, -7.83181149e-4),
    "bf16": (5.82090872, 89.4629179, -7.8426619e-4),
}
GATE_END = 25.0


def _gelu(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    x = _slot(args[0])
    is_tanh = node.str("approximate", "none") == "tanh"
    # (1 + tanh y) / 2 is the logistic function of 2 y.
    slope = 2.0 * math.sqrt(2.0 / math.pi)
    terms = (slope, 0.044715 * slope) if is_tanh else _phi_terms(fmt)
    if fmt in GATES and body.slots[x].fmt == fmt:
        inner = _tanh_gate(body, x, *terms) if is_tanh else _narrow_gate(body, x, *GATES[fmt])
        return body.op("mul", x, body.op("sigmoid", inner, fmt=fmt))
    x = body.convert(x, "f32")
    return body.convert(body.op("mul", x, body.op("sigmoid", _odd(body, x, terms))), fmt)


def _narrow_gate(body: BodyBuilder, x: str, a: float, b: float, c: float) -> str:
    """Return 2x + c x (s - a) (s - b) in f32 of a slot of 16 bits, see ``GATES``."""
    s = body.op("min", body.op("square", x), scalar=GATE_END)
    rest = body.op("mul", body.op("sub", s, scalar=a), body.op("mul", x, scalar=c))
    rest = body.op("mul", rest, body.op("sub", s, scalar=b))
    return body.op("add", body.op("mul", x, scalar=2.0), rest, fmt="f32")


def _tanh_gate(body: BodyBuilder, x: str, c0: float, c1: float) -> str:
    """Return c0 x + c1 x^3 in f32 of a slot of 16 bits: of all that is made only x^2 has 16 bits."""
    inner = body.op("add", body.op("square", x), scalar=c0 / c1, fmt="f32")
    return body.op("mul", inner, body.op("mul", x, scalar=c1, fmt="f32"))


def _softmax(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    a = _slot(args[0])
    x = body.convert(a, "f32")
    top = body.reduce("max", x)
    shifted = combine(body, "sub", x, top)
    grown = body.op("exp", shifted)
    total = body.reduce("sum", grown)
    if node.op == "LogSoftmax":
        return body.convert(combine(body, "sub", shifted, body.op("log", total)), fmt)
    return body.convert(combine(body, "mul", grown, body.op("reciprocal", total)), fmt)


def _norm(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    """Layer and RMS normalization; the number of channels comes in as the last operand."""
    x = body.convert(_slot(args[0]), "f32")
    channels = args[-1]
    assert isinstance(channels, float)
    if node.op == "LayerNormalization":
        mean = body.op("div", body.reduce("sum", x), scalar=channels)
        x = combine(body, "sub", x, mean)
    power = body.op("div", body.reduce("sum", body.op("square", x)), scalar=channels)
    scale = body.op("rsqrt", body.op("add", power, scalar=node.float("epsilon", 1e-5)))
    y = combine(body, "mul", x, scale)
    if len(args) > 2:
        y = combine(body, "mul", y, _wide_channel(body, args[1]))
    if len(args) > 3:
        y = combine(body, "add", y, _wide_channel(body, args[2]))
    return body.convert(y, fmt)


def _wide_channel(body: BodyBuilder, operand: Operand) -> Operand:
    """Return a channel operand in f32 (a conversion of the whole, loaded once per chunk)."""
    return body.convert(operand, "f32") if isinstance(operand, str) else operand


def _reduce(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    x = body.convert(_slot(args[0]), "f32") if fmt in ("f16", "bf16", "f32") else _slot(args[0])
    channels = args[-1]
    assert isinstance(channels, float)
    kind = node.op.removeprefix("Reduce")
    if kind in ("SumSquare", "L2"):
        x = body.op("square", x)
    if kind == "L1":
        x = body.op("abs", x)
    y = body.reduce(kind.lower() if kind in ("Max", "Min") else "sum", x)
    if kind == "Mean":
        y = body.op("div", y, scalar=channels)
    if kind == "L2":
        y = body.op("sqrt", y)
    return body.convert(y, fmt)


def _turned(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    """Exchange the halves of each row: the only gather that is work for a body."""
    return body.turn(_slot(args[0]))


def _where(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    return body.select(_slot(args[0]), _slot(args[1]), _slot(args[2]))


def _quantized(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    """Divide by the scale in f32 and round to a code; by a power of two that is one exact product."""
    x, scale = _slot(args[0]), args[1]
    assert isinstance(scale, float)
    if scale == 1.0:
        return body.convert(x, fmt)
    if _is_power(scale):
        return body.op("mul", x, scalar=1.0 / scale, fmt=fmt)
    return body.convert(body.op("div", body.convert(x, "f32"), scalar=scale), fmt)


def _is_power(scale: float) -> bool:
    """Whether a product with a scale, or its reciprocal, is exact in every format."""
    fraction, exponent = math.frexp(scale)
    return fraction == 0.5 and abs(exponent) <= _EXACT_EXPONENT


def _numbers(body: BodyBuilder, node: Node, args: list[Operand], fmt: str) -> str:
    """Make numbers of codes, or of sums that f32 holds: one product, rounded once."""
    x, scale = _slot(args[0]), args[1]
    if body.slots[x].fmt == "i8" and isinstance(scale, float) and _is_power(scale):
        made = body.convert(x, fmt)
        return made if scale == 1.0 else body.op("mul", made, scalar=scale)
    return combine(body, "mul", body.convert(_slot(args[0]), "f32"), args[1], fmt)


RULES: dict[str, Rule] = {
    "QuantizeLinear": _quantized, "DequantizeLinear": _numbers,
    "Relu": _unary("relu"), "Sigmoid": _unary("sigmoid"), "Tanh": _unary("tanh"), "Exp": _unary("exp"),
    "Log": _unary("log"), "Sqrt": _unary("sqrt"), "Reciprocal": _unary("reciprocal"), "Neg": _unary("neg"),
    "Abs": _unary("abs"), "Sign": _unary("sign"), "Floor": _unary("floor"), "Ceil": _unary("ceil"),
    "Round": _unary("round"), "Sin": _unary("sin"), "Cos": _unary("cos"), "Softplus": _unary("softplus"),
    "Not": _unary("not"), "IsNaN": _is_nan, "Cast": _cast, "Pow": _pow, "Clip": _clip, "Silu": _silu, "Swish": _silu,
    "LeakyRelu": _leaky, "Elu": _elu, "HardSigmoid": _hard_sigmoid, "HardSwish": _hard_swish,
    "Gather": _turned, "Erf": _erf, "Gelu": _gelu, "Softmax": _softmax, "LogSoftmax": _softmax,
    "LayerNormalization": _norm, "RMSNormalization": _norm,
    "Add": _binary("add"), "Sub": _binary("sub"), "Mul": _binary("mul"), "Div": _binary("div"),
    "Min": _binary("min"), "Max": _binary("max"), "And": _binary("and"), "Or": _binary("or"), "Xor": _binary("xor"),
    "Equal": _compare("eq"), "Greater": _compare("gt"), "GreaterOrEqual": _compare("ge"),
    "Less": _compare("lt"), "LessOrEqual": _compare("le"), "Where": _where,
    **{f"Reduce{kind}": _reduce for kind in ("Mean", "Sum", "Max", "Min", "SumSquare", "L1", "L2")},
}  # fmt: skip
ROW_OPS = frozenset(
    {"Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization", "Gather"}
    | {f"Reduce{kind}" for kind in ("Mean", "Sum", "Max", "Min", "SumSquare", "L1", "L2")}
)
