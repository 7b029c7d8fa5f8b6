"""Matrix products on the last two axes, NumPy's rules for the others."""

from __future__ import annotations

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.gemm import matmul
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    NUMBERS,
    Arrays,
    Operator,
    Types,
    given,
    maybe,
    need_dtype,
    need_same_dtype,
    optional,
    refuse,
    tensor,
)
from drawloom.graph.rounding import integer_range, wide

BYTES8 = frozenset({DType.I8, DType.U8})


def matmul_shape(node: Node, types: Types, i: int = 0, j: int = 1) -> tuple[int, ...]:
    """Return the shape of operand ``i`` times operand ``j``, or refuse."""
    a, b = _oriented(node, types, i, "trans_a"), _oriented(node, types, j, "trans_b")
    rows, cols = a[-2:-1], b[1:][-1:]
    inner = b[-2:][0]
    if a[-1] != inner:
        refuse(node, types, f"inner dims must agree, {a[-1]} is not {inner}")
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        refuse(node, types, "leading dims must broadcast: equal, or 1, from the right")
    return (*batch, *rows, *cols)


def _oriented(node: Node, types: Types, i: int, key: str) -> tuple[int, ...]:
    shape = given(types, i).shape
    if not shape:
        refuse(node, types, "a scalar has no rows or columns; use Mul")
    if not node.int(key):
        return shape
    if len(shape) < 2:
        refuse(node, types, f"{key} needs an operand of rank 2 or more")
    return (*shape[:-2], shape[-1], shape[-2])


def _matmul_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    need_dtype(node, types, 0, NUMBERS)
    dtype = need_same_dtype(node, types, (0, 1))
    return (TensorType(dtype, matmul_shape(node, types)),)


def _turn(node: Node, key: str, array: Array) -> Array:
    return np.swapaxes(array, -1, -2) if node.int(key) else array


def _matmul(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a = _turn(node, "trans_a", tensor(arrays, 0))
    b = _turn(node, "trans_b", tensor(arrays, 1))
    return (matmul(a, b, a.dtype),)


def need_zero(node: Node, types: Types, i: int, of: int) -> None:
    """Refuse a zero point whose dtype is not that of operand ``of``."""
    zero = optional(types, i)
    if zero is not None and zero.dtype is not given(types, of).dtype:
        refuse(node, types, f"zero point {i} must have the dtype of operand {of}")


def _integer_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    a = need_dtype(node, types, 0, BYTES8)
    b = need_dtype(node, types, 1, BYTES8)
    need_zero(node, types, 2, 0)
    need_zero(node, types, 3, 1)
    _need_spread(node, types, 2, a.shape[-2:-1])
    _need_spread(node, types, 3, b.shape[-1:])
    return (TensorType(DType.I32, matmul_shape(node, types)),)


def _need_spread(node: Node, types: Types, i: int, length: tuple[int, ...]) -> None:
    """A zero point is one value, or one for each row of a (column of b)."""
    zero = optional(types, i)
    if zero is not None and zero.shape not in ((), (1,), length):
        refuse(node, types, f"zero point {i} must have shape () or {length}")


def centred(x: Array, zero: Array | None, axis: int) -> Array:
    """Return ``x`` minus its zero point (one value, or one along ``axis``), in int32."""
    if zero is None:
        return x.astype(np.int32)
    return x.astype(np.int32) - spread(zero, x.ndim, axis).astype(np.int32)


def spread(per: Array, rank: int, axis: int) -> Array:
    """Return a scalar or per-axis vector shaped to broadcast along ``axis`` of ``rank``."""
    if per.size == 1:
        return per.reshape(())
    shape = [1] * rank
    shape[axis] = per.size
    return per.reshape(shape)


def _matmul_integer(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a = centred(tensor(arrays, 0), maybe(arrays, 2), -2)
    b = centred(tensor(arrays, 1), maybe(arrays, 3), -1)
    return (matmul(a, b, np.dtype(np.int32)),)


def requantize(total: Array, scale: Array, zero: Array) -> Array:
    """Return ``saturate(round_half_even(total * scale) + zero)`` in zero's dtype."""
    low, high = integer_range(zero.dtype)
    scaled = np.rint(wide(total) * scale) + wide(zero)
    return np.clip(scaled, low, high).astype(zero.dtype)


def _qlinear_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Operands: a, scale, zero; b, scale, zero; the output's scale, zero."""
    need_dtype(node, types, 0, BYTES8)
    b = need_dtype(node, types, 3, BYTES8)
    need_zero(node, types, 2, 0)
    need_zero(node, types, 5, 3)
    out = need_dtype(node, types, 7, BYTES8)
    for i in (4, 5):
        _need_spread(node, types, i, b.shape[-1:])
    for i in (1, 2, 6, 7):
        if given(types, i).size != 1:
            refuse(node, types, f"operand {i} must be one value")
    return (TensorType(out.dtype, matmul_shape(node, types, 0, 3)),)


def _qlinear(_node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a = centred(tensor(arrays, 0), maybe(arrays, 2), -2)
    b = centred(tensor(arrays, 3), maybe(arrays, 5), -1)
    total = matmul(a, b, np.dtype(np.int64))
    b_scale = spread(wide(tensor(arrays, 4)), max(total.ndim, 1), -1)
    one = wide(tensor(arrays, 1)).reshape(()) / wide(tensor(arrays, 6)).reshape(())
    return (requantize(total, one * b_scale, tensor(arrays, 7).reshape(())),)


OPERATORS = {
    "MatMul": Operator(
        "MatMul", "a b", _matmul_rule, _matmul, {"trans_a": "int", "trans_b": "int"}
    ),
    "MatMulInteger": Operator(
        "MatMulInteger", "a b a_zero? b_zero?", _integer_rule, _matmul_integer
    ),
    "QLinearMatMul": Operator(
        "QLinearMatMul",
        "a a_scale a_zero b b_scale b_zero y_scale y_zero",
        _qlinear_rule,
        _qlinear,
    ),
}
