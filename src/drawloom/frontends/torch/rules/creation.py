"""Tensors that come from numbers alone: they become constants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule
from drawloom.graph.ir import Array
from drawloom.graph.rounding import is_float, narrow


def _filled(call: Call, shape: Sequence[int], value: float) -> Sequence[str]:
    one = np.asarray(value).astype(call.out().numpy)
    return [call.constant(np.broadcast_to(one, tuple(shape)), "fill")]


def filled(value: float | None = None) -> Rule:
    """A tensor of one number; a memory that is not filled gets zeros."""

    def rule(call: Call) -> Sequence[str]:
        number = call.get("fill_value", call.get("value")) if value is None else value
        shape = call.ints("size") if "size" in call.arguments else call.shape()
        if isinstance(number, str):
            scalar = call.cast(call.reshape(number, ()), call.out())
            return [call.expand(scalar, shape)]
        return _filled(call, shape, number)

    return rule


def _scalar(call: Call) -> Sequence[str]:
    return _filled(call, (), call.get("s"))


def _arange(call: Call) -> Sequence[str]:
    start, step = call.get("start", 0), call.get("step", 1)
    count = max(0, math.ceil((call.get("end") - start) / step))
    values = start + np.arange(count) * step
    dtype = call.out().numpy
    return [call.constant(_fitted(values, dtype), "range")]


def _fitted(values: Array, dtype: np.dtype[np.generic]) -> Array:
    return narrow(values.astype(np.float64), dtype) if is_float(dtype) else values.astype(dtype)


def _linspace(call: Call) -> Sequence[str]:
    start, end = call.get("start"), call.get("end")
    if isinstance(start, str) or isinstance(end, str):
        raise Refused("ends that are tensors", "numbers")
    values: Array = np.linspace(float(start), float(end), int(call.get("steps")))
    return [call.constant(_fitted(values, call.out().numpy), "range")]


def _eye(call: Call) -> Sequence[str]:
    n = int(call.get("n"))
    array = np.eye(n, int(call.get("m", n))).astype(call.out().numpy)
    return [call.constant(array, "eye")]


_EMPTY = "empty empty_like empty_permuted empty_strided new_empty new_empty_strided"

RULES: dict[str, Rule] = {
    **{f"aten.{word}": filled(0.0) for word in _EMPTY.split()},
    "aten.zeros": filled(0.0),
    "aten.zeros_like": filled(0.0),
    "aten.new_zeros": filled(0.0),
    "aten.ones": filled(1.0),
    "aten.ones_like": filled(1.0),
    "aten.new_ones": filled(1.0),
    "aten.full": filled(),
    "aten.full_like": filled(),
    "aten.new_full": filled(),
    "aten.fill": filled(),
    "aten.scalar_tensor": _scalar,
    "aten.arange": _arange,
    "aten.linspace": _linspace,
    "aten.eye": _eye,
}
