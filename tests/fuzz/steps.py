"""One more node on a graph in the making: a step for each family of operators.

A step is given a value and returns what it made of it; None where the value does not suit it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.fuzz.maker import FLOATS, WHOLE, Maker

from drawloom.graph.dtypes import DType

Made = str | tuple[str, ...] | None
Step = Callable[[Maker, str], Made]

ANYWHERE = (
    "Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Gelu", "Silu", "Swish", "Erf", "HardSwish", "Exp",
    "HardSigmoid", "Softplus", "Softsign", "Elu", "Selu", "Celu", "LeakyRelu", "ThresholdedRelu",
    "Mish", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Atan", "Asinh", "Identity", "Sinh",
    "Cosh", "IsNaN", "IsInf",
)  # fmt: skip
POSITIVE = ("Log", "Sqrt", "Reciprocal", "Acosh")
WITHIN_ONE = ("Asin", "Acos", "Atanh", "Tan")
PARAMETERS = {
    "LeakyRelu": ("alpha",), "Elu": ("alpha",), "Selu": ("alpha", "gamma"), "Celu": ("alpha",),
    "ThresholdedRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "Silu": ("alpha",),
}  # fmt: skip
REDUCTIONS = (
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1", "ReduceL2",
    "ReduceProd", "ReduceLogSumExp", "ReduceMean", "ReduceSum",
)  # fmt: skip


def unary(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    if kind.dtype is DType.BOOL:
        return m.add("Not", [x])
    if not kind.dtype.is_float:
        signed = kind.dtype.value[0] == "i"
        words = ("Relu", "BitwiseNot", *(("Neg", "Abs", "Sign") if signed else ()))
        return m.add(m.pick(*words), [x])
    op = m.pick(*ANYWHERE)
    if m.chance(0.2):
        op = m.pick(*POSITIVE)
        low = m.put(np.asarray(1.25, kind.dtype.numpy), True)
        x = m.add("Add", [m.add("Abs", [x]), low])
    elif m.chance(0.1):
        op = m.pick(*WITHIN_ONE)
        x = m.add("Mul", [m.add("Tanh", [x]), m.put(np.asarray(0.75, kind.dtype.numpy), True)])
    attrs: dict[str, Any] = {}
    if m.chance(0.6):
        attrs = {key: round(float(m.rng.uniform(0.1, 1.5)), 3) for key in PARAMETERS.get(op, ())}
    if op == "Gelu" and m.chance(0.4):
        attrs["approximate"] = "tanh"
    return m.add(op, [x], attrs)


def clip(m: Maker, x: str) -> Made:
    if m.kind(x).dtype is DType.BOOL:
        return None
    ends = {"min": -1.0, "max": 1.5} if m.is_float(x) else {"min": 0, "max": 5}
    return m.add("Clip", [x], {k: v for k, v in ends.items() if m.chance(0.7)})


def _other(m: Maker, x: str) -> str:
    """An operand that broadcasts with x, or x itself."""
    kind = m.kind(x)
    if m.chance(0.1):
        return x
    shape = m.broadcast(kind.shape) if m.chance(0.6) else kind.shape
    if m.chance(0.1) and len(shape) < 4:
        shape = (m.pick(1, 2, 3), *(1,) * (len(kind.shape) - len(shape)), *shape)
    return m.operand(kind.dtype, shape)


def pair(m: Maker, x: str) -> Made:
    """Two operands, which broadcast in every way."""
    dtype, other = m.kind(x).dtype, _other(m, x)
    operands = m.order([x, other])
    if dtype is DType.BOOL:
        return m.add(m.pick("And", "Or", "Xor", "Equal"), operands)
    ops = ["Add", "Sub", "Mul", "Min", "Max", "Add", "Mul"]
    if dtype.is_float and m.chance(0.2):
        one = m.put(np.asarray(1.0, dtype.numpy), True)
        return m.add(m.pick("Div", "Pow"), [m.add("Add", [m.add("Abs", [x]), one]), _other(m, x)])
    if not dtype.is_float:
        ops += ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]
    return m.add(m.pick(*ops), operands)


def power(m: Maker, x: str) -> Made:
    """A constant power, also of negative numbers."""
    if not m.is_float(x):
        return None
    exponent = m.pick(2.0, 3.0, 4.0, 5.0, 9.0, 10.0, 1.0, 0.0, -1.0, -2.0, -3.0, 0.5, -0.5, 1.5)
    return m.add("Pow", [x, m.put(np.asarray(exponent, m.kind(x).dtype.numpy), True)])


def whole_pair(m: Maker, x: str) -> Made:
    """Quotients, remainders and shifts of whole numbers, by constants other than zero."""
    dtype = m.kind(x).dtype
    if dtype not in WHOLE:
        return None
    other = m.put(m.rng.integers(1, 5, m.broadcast(m.kind(x).shape)).astype(dtype.numpy))
    if dtype.value[0] == "u" and m.chance(0.4):
        return m.add("BitShift", [x, other], {"direction": m.pick("LEFT", "RIGHT")})
    return m.add(m.pick("Mod", "Div"), [x, other])


def prelu(m: Maker, x: str) -> Made:
    return m.add("PRelu", [x, m.operand(m.kind(x).dtype, m.broadcast(m.kind(x).shape))]) if (
        m.is_float(x)
    ) else None  # fmt: skip


def compare(m: Maker, x: str) -> Made:
    if m.kind(x).dtype is DType.BOOL:
        return None
    other = _other(m, x)
    mask = m.add(m.pick("Less", "Greater", "GreaterOrEqual", "LessOrEqual", "Equal"), [x, other])
    return m.add("Where", [mask, *m.order([x, other])]) if m.chance(0.5) else mask


def where(m: Maker, x: str) -> Made:
    mask = m.operand(DType.BOOL, m.broadcast(m.kind(x).shape))
    return m.add("Where", [mask, *m.order([x, _other(m, x)])])


def cast(m: Maker, x: str) -> Made:
    """To every format and, where it is a code, back again."""
    target = m.pick(*FLOATS, *FLOATS, *WHOLE, DType.BOOL, DType.I32, DType.F64)
    if m.chance(0.15):
        target = m.pick(DType.F8E4M3FN, DType.F8E5M2, DType.F4E2M1, DType.I4, DType.U4)
    made = m.add("Cast", [x], {"to": target.value})
    if not target.is_code:
        return made
    return m.add("Cast", [made], {"to": m.pick(*FLOATS, DType.I8).value})


def product(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    if not kind.shape or not kind.size:
        return None
    batch = m.broadcast(kind.shape[:-2]) if m.chance(0.5) else kind.shape[:-2]
    n, k = m.size(0.4), kind.shape[-1]
    if kind.dtype in (DType.I8, DType.U8):
        other = m.operand(m.pick(DType.I8, DType.I8, DType.U8), (*batch, k, n))
        zeros = [
            m.put(m.array(type(kind)(m.kind(v).dtype, ())), True) if m.chance(0.4) else ""
            for v in (x, other)
        ]
        return m.tried("MatMulInteger", [x, other, *zeros], {})
    if not m.is_float(x):
        return m.tried("MatMul", [x, m.operand(kind.dtype, (*batch, k, n))], {})
    if len(kind.shape) == 1 or m.chance(0.1):
        return m.tried("MatMul", [x, m.operand(kind.dtype, (k,) if m.chance(0.5) else (k, n))], {})
    turned_a, turned_b = m.pick((0, 0), (0, 0), (0, 1), (1, 0), (1, 1))
    k = kind.shape[-2] if turned_a else k
    other = m.operand(kind.dtype, (*batch, *((n, k) if turned_b else (k, n))))
    attrs = {"trans_a": turned_a, "trans_b": turned_b} if turned_a or turned_b else {}
    return m.tried("MatMul", [x, other], attrs)


def softmax(m: Maker, x: str) -> Made:
    rank = len(m.kind(x).shape)
    if not m.is_float(x) or not rank:
        return None
    op = m.pick("Softmax", "Softmax", "LogSoftmax", "Hardmax")
    return m.add(op, [x], {"axis": m.whole(-rank, rank - 1)})


def norm(m: Maker, x: str) -> Made:
    """Norms over the last axes, over images, over groups of channels."""
    kind = m.kind(x)
    rank = len(kind.shape)
    if not m.is_float(x) or not rank or not kind.size:
        return None
    if m.chance(0.2):
        return m.add("LpNormalization", [x], {"axis": m.whole(-rank, rank - 1), "p": m.pick(1, 2)})
    epsilon: dict[str, Any] = {"epsilon": 0.125}
    if rank >= 3 and m.chance(0.5):
        c = kind.shape[1]
        vectors = [m.operand(kind.dtype, (c,), m.pick(True, True, None)) for _ in range(2)]
        if m.chance(0.3):
            mean, var = (m.put(np.abs(m.array(type(kind)(kind.dtype, (c,)))), True) for _ in "mv")
            return m.add("BatchNormalization", [x, *vectors, mean, var], epsilon)
        if m.chance(0.5):
            return m.add("InstanceNormalization", [x, *vectors], epsilon)
        groups = m.pick(*(g for g in range(1, c + 1) if c % g == 0))
        return m.tried("GroupNormalization", [x, *vectors], epsilon | {"num_groups": groups})
    if rank >= 2 and m.chance(0.1):
        return m.tried("LRN", [x], {"size": m.pick(1, 3, 5), "alpha": 0.5, "bias": 1.0})
    axis = m.whole(0, rank - 1) if m.chance(0.3) else rank - 1
    tail = m.broadcast(kind.shape[axis:]) if m.chance(0.3) else kind.shape[axis:]
    operands = [m.operand(kind.dtype, tail, m.pick(True, None))]
    op = m.pick("LayerNormalization", "RMSNormalization")
    if op == "LayerNormalization" and m.chance(0.5):
        operands.append(m.operand(kind.dtype, tail, m.pick(True, None)))
    return m.tried(op, [x, *operands], epsilon | {"axis": axis - rank})


def reduction(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    if not kind.shape or kind.dtype is DType.BOOL:
        return None
    if m.is_float(x) and m.chance(0.05):
        x = m.add("Exp", [x])
        return m.tried("ReduceLogSum", [x], {"axes": m.axes(len(kind.shape))})
    op = m.pick(*REDUCTIONS) if m.is_float(x) else m.pick("ReduceMax", "ReduceSum", "ReduceMin")
    attrs: dict[str, Any] = {"keepdims": m.whole(0, 1)}
    if m.chance(0.9):
        attrs["axes"] = m.axes(len(kind.shape))
    return m.tried(op, [x], attrs)


def positions(m: Maker, x: str) -> Made:
    """Operators that look for places, or go along an axis."""
    kind = m.kind(x)
    if not kind.shape or not kind.size or kind.dtype is DType.BOOL:
        return None
    axis = m.whole(-len(kind.shape), len(kind.shape) - 1)
    op = m.pick("ArgMax", "ArgMin", "CumSum", "TopK")
    if op == "CumSum":
        return m.tried(
            op, [x], {"axis": axis, "exclusive": m.whole(0, 1), "reverse": m.whole(0, 1)}
        )
    if op == "TopK":
        k = m.whole(1, kind.shape[axis])
        attrs = {"k": k, "axis": axis, "largest": m.whole(0, 1)}
        try:
            return m.b.add_many(op, [x], attrs, outputs=("", ""))
        except ValueError:
            return None
    return m.tried(
        op, [x], {"axis": axis, "keepdims": m.whole(0, 1), "select_last_index": m.whole(0, 1)}
    )


def attention(m: Maker, x: str) -> Made:
    """Attention on four axes: grouped heads, masks of every shape, windows."""
    kind = m.kind(x)
    if not m.is_float(x) or len(kind.shape) != 4 or not kind.size:
        return None
    batch, heads, _, deep = kind.shape
    groups = m.pick(*(g for g in range(1, heads + 1) if heads % g == 0))
    keys, wide = m.size(), m.size()
    k = m.operand(kind.dtype, (batch, groups, keys, deep))
    v = m.operand(kind.dtype, (batch, groups, keys, wide))
    scores = (batch, heads, kind.shape[2], keys)
    attrs: dict[str, Any] = {}
    operands = [x, k, v]
    if m.chance(0.4):
        dtype = m.pick(DType.BOOL, kind.dtype)
        operands.append(m.operand(dtype, m.broadcast(scores)))
    if m.chance(0.3):
        attrs |= {"is_causal": 1, "offset": m.whole(0, keys)}
    if m.chance(0.2):
        attrs["left_window"] = m.whole(0, keys)
    if m.chance(0.2):
        attrs["softcap"] = 5.0
    if m.chance(0.3):
        attrs["scale"] = 0.5
    return m.tried("Attention", operands, attrs)


def generated(m: Maker, x: str) -> Made:
    """Trilu and EyeLike, on matrices; numbers counted."""
    rank = len(m.kind(x).shape)
    if rank and m.chance(0.2) and m.is_float(x):
        n, word = m.kind(x).shape[-1], m.kind(x).dtype.value
        attrs: dict[str, Any] = {"start": 1.0, "limit": 1.0 + 2 * n, "delta": 2.0, "dtype": word}
        return m.add("Add", [x, m.add("Range", [], attrs)])
    if rank == 2 and m.chance(0.5):
        return m.add("EyeLike", [x], {"k": m.whole(-1, 1), "dtype": m.float_type.value})
    return (
        m.tried("Trilu", [x], {"k": m.whole(-2, 2), "upper": m.whole(0, 1)}) if rank > 1 else None
    )


STEPS: tuple[tuple[Step, int], ...] = (
    (unary, 12),
    (clip, 1),
    (pair, 8),
    (power, 1),
    (whole_pair, 2),
    (prelu, 1),
    (compare, 2),
    (where, 1),
    (cast, 3),
    (product, 7),
    (softmax, 4),
    (norm, 6),
    (reduction, 4),
    (positions, 2),
    (attention, 6),
    (generated, 1),
)
