"""Array that come from attributes alone, or from a shape."""

from __future__ import annotations

import math

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    ANY,
    Arrays,
    Operator,
    Types,
    dtype_attr,
    need_dtype,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.rounding import is_float, narrow


def _range_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    if not node.float("delta"):
        refuse_attr(node, types, "delta", "a number other than 0")
    return (TensorType(dtype_attr(node, types, "dtype"), (_count(node),)),)


def _count(node: Node) -> int:
    span = (node.float("limit") - node.float("start")) / node.float("delta")
    return max(0, math.ceil(span))


def _range(node: Node, _arrays: Arrays) -> tuple[Array, ...]:
    """Count: start + i * delta, each rounded once."""
    dtype = DType(node.str("dtype")).numpy
    steps = np.arange(_count(node))
    if is_float(dtype):
        return (narrow(node.float("start") + steps * node.float("delta"), dtype),)
    return ((int(node.float("start")) + steps * int(node.float("delta"))).astype(dtype),)


def _eye_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    if len(x.shape) != 2:
        refuse(node, types, "x must have rank 2")
    return (TensorType(dtype_attr(node, types, "dtype", x.dtype), x.shape),)


def _eye(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    dtype = DType(node.str("dtype")).numpy if "dtype" in node.attrs else x.dtype
    return (np.eye(*x.shape, k=node.int("k")).astype(dtype),)


OPERATORS = {
    "Range": Operator(
        "Range",
        "",
        _range_rule,
        _range,
        {"start": "float!", "limit": "float!", "delta": "float!", "dtype": "str!"},
    ),
    "EyeLike": Operator("EyeLike", "x", _eye_rule, _eye, {"k": "int", "dtype": "str"}),
}
