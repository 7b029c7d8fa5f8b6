"""Steps that spell one thing with several nodes, as exporters do: what rewrites look for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tests.fuzz.maker import Maker
from tests.fuzz.steps import Made, Step

from drawloom.graph.dtypes import DType


def _number(m: Maker, x: str, value: float) -> str:
    return m.b.constant("n", np.asarray(value, m.kind(x).dtype.numpy))


def _is_float(m: Maker, x: str) -> bool:
    return m.is_float(x) and m.kind(x).dtype is not DType.F64


def activation(m: Maker, x: str) -> Made:
    """Gelu, Silu, HardSwish, Mish and LeakyRelu, spelled out, products in any order."""
    if not _is_float(m, x):
        return None
    way = m.pick("erf", "tanh", "silu", "swish", "hard", "clip", "mish")
    if way == "erf":
        inner = m.add("Erf", [m.add("Div", [x, _number(m, x, math.sqrt(2.0))])])
        half = m.add("Mul", m.order([x, _number(m, x, 0.5)]))
        return m.add("Mul", m.order([half, m.add("Add", m.order([inner, _number(m, x, 1.0)]))]))
    if way == "tanh":
        cube = m.add("Mul", [m.add("Mul", [x, x]), x])
        bent = m.add("Add", [x, m.add("Mul", [cube, _number(m, x, 0.044715)])])
        inner = m.add("Tanh", [m.add("Mul", [bent, _number(m, x, math.sqrt(2 / math.pi))])])
        half = m.add("Mul", [x, _number(m, x, 0.5)])
        return m.add("Mul", [half, m.add("Add", [inner, _number(m, x, 1.0)])])
    if way == "clip":
        three = m.add("Add", [x, _number(m, x, 3.0)])
        six = m.add("Clip", [three], {"min": 0.0, "max": 6.0})
        return m.add("Div", [m.add("Mul", m.order([x, six])), _number(m, x, 6.0)])
    inner = {
        "silu": lambda: m.add("Sigmoid", [x]),
        "swish": lambda: m.add("Sigmoid", [m.add("Mul", [x, _number(m, x, 1.5)])]),
        "hard": lambda: m.add("HardSigmoid", [x], {"alpha": 1 / 6, "beta": 0.5}),
        "mish": lambda: m.add("Tanh", [m.add("Softplus", [x])]),
    }[way]()
    return m.add("Mul", m.order([x, inner]))


def spelled_norm(m: Maker, x: str) -> Made:
    """Layer and RMS norms over the last axes, with or without weights."""
    kind = m.kind(x)
    if not _is_float(m, x) or not kind.shape or not kind.size:
        return None
    mean: dict[str, Any] = {"axes": (m.pick(-1, len(kind.shape) - 1),), "keepdims": 1}
    if m.chance(0.5):
        x = m.add("Sub", [x, m.add("ReduceMean", [x], mean)])
    square = m.add("Pow", [x, _number(m, x, 2.0)]) if m.chance(0.5) else m.add("Mul", [x, x])
    spread = m.add("Add", [m.add("ReduceMean", [square], mean), _number(m, x, 0.125)])
    root = m.add("Sqrt", [spread])
    made = m.add("Div", [x, root])
    if m.chance(0.3):
        made = m.add("Mul", [x, m.add("Reciprocal", [root])])
    for op in ("Mul", "Add"):
        if m.chance(0.5):
            weight = m.put(m.array(type(kind)(kind.dtype, kind.shape[-1:])), m.pick(True, None))
            made = m.add(op, m.order([made, weight]))
    return made


def scaled_product(m: Maker, x: str) -> Made:
    """A product between scales, biases and transposes, all of which may be folded into it."""
    kind = m.kind(x)
    if not _is_float(m, x) or len(kind.shape) < 2 or not kind.size:
        return None
    made = m.add("Mul", [x, m.put(m.array(type(kind)(kind.dtype, ())), True)])
    if m.chance(0.5):
        rank = len(kind.shape)
        made = m.add("Transpose", [made], {"perm": (*range(rank - 2), rank - 1, rank - 2)})
    w = m.put(m.array(type(kind)(kind.dtype, (m.kind(made).shape[-1], m.size()))), True)
    made = m.add("MatMul", [made, w])
    for op in m.order(["Mul", "Add", "Div"])[: m.whole(0, 3)]:
        shape = m.pick((), m.kind(made).shape[-1:])
        value = np.abs(m.array(type(kind)(kind.dtype, shape))) + np.asarray(0.5, kind.dtype.numpy)
        made = m.add(op, [made, m.put(value.astype(kind.dtype.numpy), True)])
    return made


def normed_image(m: Maker, x: str) -> Made:
    """Pad, convolution, batch norm, activation."""
    kind = m.kind(x)
    if not _is_float(m, x) or len(kind.shape) not in (3, 4) or not kind.size:
        return None
    n = len(kind.shape) - 2
    pads = [0, 0, *(m.whole(0, 2) for _ in range(n))] * 2
    made = m.add("Pad", [x], {"pads": tuple(pads), "mode": "constant"}) if m.chance(0.6) else x
    kernel = [min(m.pick(1, 2, 3), d) for d in m.kind(made).shape[2:]]
    outs, c = m.size(), kind.shape[1]
    w = m.put(m.array(type(kind)(kind.dtype, (outs, c, *kernel))), True)
    more = [m.put(m.array(type(kind)(kind.dtype, (outs,))), True)] if m.chance(0.5) else []
    made = m.add("Conv", [made, w, *more], {"kernel_shape": tuple(kernel)})
    if m.chance(0.7):
        four = [np.abs(m.array(type(kind)(kind.dtype, (outs,)))) for _ in range(4)]
        held = [m.put(a.astype(kind.dtype.numpy), True) for a in four]
        made = m.add("BatchNormalization", [made, *held], {"epsilon": 0.125})
    return m.add(m.pick("Relu", "Sigmoid", "HardSwish"), [made]) if m.chance(0.6) else made


def there_and_back(m: Maker, x: str) -> Made:
    """Moves in a row, some of which undo others."""
    kind = m.kind(x)
    rank = len(kind.shape)
    if not rank or not kind.size:
        return None
    perm = m.order(range(rank))
    made = m.add("Transpose", [x], {"perm": tuple(perm)})
    if m.chance(0.5):
        made = m.add("Identity", [made])
    if m.chance(0.6):
        back = perm if m.chance(0.3) else [perm.index(i) for i in range(rank)]
        made = m.add("Transpose", [made], {"perm": tuple(back)})
    flat = m.add("Reshape", [made], {"shape": (kind.size,)})
    made = m.add("Reshape", [flat], {"shape": (*m.kind(made).shape, 1)})
    return m.add("Reshape", [made], {"shape": m.pick((kind.size, 1), (1, kind.size), kind.shape)})


def safe_softmax(m: Maker, x: str) -> Made:
    """Scores, a mask of very low numbers, a softmax whose empty rows become zero."""
    kind = m.kind(x)
    if not _is_float(m, x) or not kind.shape or not kind.size:
        return None
    mask = m.operand(DType.BOOL, m.broadcast(kind.shape))
    low = _number(m, x, -1e4)
    masked = m.add("Where", [mask, x, low])
    if m.chance(0.5):
        masked = m.add("Add", [x, m.add("Where", [mask, _number(m, x, 0.0), low])])
    made = m.add("Softmax", [masked], {"axis": -1})
    if m.chance(0.4):
        made = m.add("Where", [m.add("IsNaN", [made]), _number(m, x, 0.0), made])
    return made


IDIOMS: tuple[tuple[Step, int], ...] = (
    (activation, 4),
    (spelled_norm, 4),
    (scaled_product, 4),
    (normed_image, 3),
    (there_and_back, 2),
    (safe_softmax, 3),
)
