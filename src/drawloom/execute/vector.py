"""The vector engine's elementwise commands.

    f16 bf16    computed in float32 and rounded once to the result's format; one float32
                sum, product, quotient or root rounded again to 11 bits or fewer equals one
                direct rounding (24 >= 2 * 11 + 2)
    f32 tf32    computed in float32 where the result is f32, else in float64
    integers    exact: 64 bits wide, then wrapped to the result; a quotient truncates, and
                is 0 where the divisor is 0
    transcendental functions of any format: in float64, rounded once

A scalar is first rounded to the operands' format. ``max`` and ``min`` hand on NaN.
``and``, ``or``, ``xor`` and ``not`` act on bits of integers, and on ``x != 0`` of bool and
floats, where they give 1 or 0. ``copy`` keeps bits where the formats agree and is
``convert`` where not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from drawloom.errors import nearest
from drawloom.execute.faults import Index, Refused
from drawloom.execute.memory import Tile, at
from drawloom.execute.numbers import (
    FLOATS,
    HALVES,
    Values,
    is_watched,
    narrow,
    rounded,
    stored,
    widen,
)
from drawloom.program.commands import Vector
from drawloom.program.vector_ops import BINARY_OPS, VECTOR_OPS

One = Callable[[Values], Values]
Two = Callable[[Values, Values], Values]


def vector(tile: Tile, command: Vector, index: Index) -> None:
    """Run one elementwise command."""
    op, fmt, out_fmt = command.op, command.fmt, command.out_fmt
    if op not in VECTOR_OPS:
        raise Refused(f"there is no vector op '{op}': {nearest(op, VECTOR_OPS)}")
    a = tile.spm.array(at(command.a, index), command.count, stored(fmt))
    dst = tile.spm.array(at(command.dst, index), command.count, stored(out_fmt))
    if op not in BINARY_OPS:
        dst[:] = _unary(op, a, fmt, out_fmt)
    elif command.b is None:
        if command.scalar is None:
            raise Refused(f"vector op '{op}' needs an operand b or a scalar")
        dst[:] = _binary(op, a, _scalar(command.scalar, fmt), fmt, out_fmt)
    else:
        b = tile.spm.array(at(command.b, index), command.unit or command.count, stored(fmt))
        dst[:] = _binary(op, *_paired(a, b), fmt, out_fmt).reshape(-1)


def _paired(a: Values, b: Values) -> tuple[Values, Values]:
    """Return ``a`` with ``b`` used over and over, to be broadcast."""
    if a.size == b.size:
        return a, b
    if a.size % b.size == 0:
        return a.reshape(-1, b.size), b
    return a, np.resize(b, a.size)


@lru_cache(maxsize=4096)
def _scalar(value: float, fmt: str) -> Values:
    return rounded(np.asarray([value], np.float64), fmt)


def _unary(op: str, a: Values, fmt: str, out_fmt: str) -> Values:
    if op == "copy" and fmt == out_fmt:
        return a
    if a.dtype.itemsize <= 2 and not is_watched():
        # Every function of at most 16 bits is a table.
        return _table(op, fmt, out_fmt).take(a.view(f"u{a.dtype.itemsize}"))
    return _function(op, a, fmt, out_fmt)


@lru_cache(maxsize=256)
def _table(op: str, fmt: str, out_fmt: str) -> Values:
    """Return the result for every bit pattern of an 8-bit or 16-bit format."""
    dtype = stored(fmt)
    patterns = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}")
    return _function(op, patterns.view(dtype), fmt, out_fmt)


def _function(op: str, a: Values, fmt: str, out_fmt: str) -> Values:
    x = widen(a, fmt)
    if op in SMOOTH:
        return narrow(SMOOTH[op](x.astype(np.float64)), out_fmt)
    if op == "not" and fmt not in FLOATS and fmt != "bool":
        return narrow(~x, out_fmt)
    return narrow(EXACT[op](_carried(x, fmt, out_fmt)), out_fmt)


def _binary(op: str, a: Values, b: Values, fmt: str, out_fmt: str) -> Values:
    x, y = widen(a, fmt), widen(b, fmt)
    if op in COMPARE:
        return narrow(COMPARE[op](x, y), out_fmt)
    if op in LOGIC:
        return narrow(LOGIC[op](x != 0, y != 0) if fmt in FLOATS else LOGIC[op](x, y), out_fmt)
    function = ARITHMETIC[op] if fmt in FLOATS else WHOLE.get(op, ARITHMETIC.get(op))
    assert function is not None, op
    return narrow(function(_carried(x, fmt, out_fmt), _carried(y, fmt, out_fmt)), out_fmt)


def _carried(x: Values, fmt: str, out_fmt: str) -> Values:
    """Return float operands in the format that keeps the result one rounding away."""
    if fmt not in FLOATS:
        return x
    plain = out_fmt == "f32" or (fmt in HALVES and out_fmt in HALVES)
    return x if plain else x.astype(np.float64, copy=False)


def _sigmoid(x: Values) -> Values:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _softplus(x: Values) -> Values:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _quotient(a: Values, b: Values) -> Values:
    down, rest = np.divmod(a, b)
    whole = down + ((rest != 0) & ((a < 0) != (b < 0)))
    return np.where(b == 0, 0, whole).astype(a.dtype)


def _reciprocal(x: Values) -> Values:
    return np.divide(np.ones((), x.dtype), x) if x.dtype.kind == "f" else _quotient(x**0, x)


def _same(x: Values) -> Values:
    return x


def _swapped(function: Two) -> Two:
    return lambda a, b: function(b, a)


def _whole(function: Any) -> One:
    """Rounding to a whole number leaves integers as they are."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


EXACT: dict[str, One] = {
    "copy": _same,
    "convert": _same,
    "abs": np.abs,
    "neg": np.negative,
    "sqrt": np.sqrt,
    "reciprocal": _reciprocal,
    "square": np.square,
    "relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "floor": _whole(np.floor),
    "ceil": _whole(np.ceil),
    "round": _whole(np.rint),
    "trunc": _whole(np.trunc),
    "sign": np.sign,
    "isnan": np.isnan,
    "not": lambda x: x == 0,
}
"""One correctly rounded step at most, in the format the operand is carried in."""

SMOOTH: dict[str, One] = {
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log2": np.log2,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
}
"""Functions computed in float64."""

ARITHMETIC: dict[str, Two] = {
    "add": np.add,
    "sub": np.subtract,
    "rsub": _swapped(np.subtract),
    "mul": np.multiply,
    "div": np.divide,
    "rdiv": _swapped(np.divide),
    "max": np.maximum,
    "min": np.minimum,
}
WHOLE: dict[str, Two] = {"div": _quotient, "rdiv": _swapped(_quotient)}
"""Where integers differ from floats."""

COMPARE: dict[str, Two] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}
LOGIC: dict[str, Two] = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
