"""Elements picked or placed by index; indices may be negative, counted from the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    ANY,
    INTS,
    Arrays,
    Operator,
    Types,
    given,
    label,
    maybe,
    need_axis,
    need_dtype,
    need_same_dtype,
    need_word,
    optional,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.rounding import is_float, narrow, working

_INDEX = frozenset({DType.I32, DType.I64})
_REDUCTIONS = ("none", "add", "mul", "max", "min")


def checked(node: Node, indices: Array, dim: int) -> NDArray[np.int64]:
    """Return indices from the front.

    Raises:
        InputError: an index lies outside ``dim`` (kind ``graph.index``).
    """
    whole = indices.astype(np.int64)
    bad = whole[(whole < -dim) | (whole >= dim)]
    if bad.size:
        fault = Fault("indices", str(int(bad.flat[0])), f"from {-dim} to {dim - 1}")
        raise InputError("graph.index", f"{label(node)} is given an index outside", [fault])
    return np.where(whole < 0, whole + dim, whole)


def _gather_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    indices = need_dtype(node, types, 1, _INDEX)
    axis = need_axis(node, types, len(x.shape))
    return (TensorType(x.dtype, x.shape[:axis] + indices.shape + x.shape[axis + 1 :]),)


def _gather(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axis = tensor(arrays, 0), node.int("axis")
    indices = checked(node, tensor(arrays, 1), x.shape[axis])
    return (np.take(x, indices, axis=axis),)


def _elements_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    indices = need_dtype(node, types, 1, _INDEX)
    axis = need_axis(node, types, len(x.shape))
    _need_inside(node, types, indices.shape, x.shape, axis)
    return (TensorType(x.dtype, indices.shape),)


def _need_inside(
    node: Node, types: Types, inner: tuple[int, ...], outer: tuple[int, ...], axis: int
) -> None:
    if len(inner) != len(outer) or any(
        i > o for k, (i, o) in enumerate(zip(inner, outer, strict=True)) if k != axis
    ):
        refuse(node, types, f"indices must have x's rank and fit in x but for axis {axis}")


def _place(indices: NDArray[np.int64], axis: int) -> tuple[NDArray[np.int64], ...]:
    """Return open-mesh indices with ``indices`` along ``axis``."""
    grid: list[Any] = list(np.ogrid[tuple(slice(d) for d in indices.shape)])
    grid[axis] = indices
    return tuple(grid)


def _gather_elements(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axis = tensor(arrays, 0), node.int("axis")
    indices = checked(node, tensor(arrays, 1), x.shape[axis])
    return (x[_place(indices, axis)],)


def _gather_nd_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    indices = need_dtype(node, types, 1, frozenset({DType.I64}))
    batch = node.int("batch_dims")
    rank, depth = len(x.shape), indices.shape[-1] if indices.shape else -1
    if not 0 <= batch < max(min(rank, len(indices.shape)), 1):
        refuse_attr(node, types, "batch_dims", "at least 0 and less than both ranks")
    if not 1 <= depth <= rank - batch or x.shape[:batch] != indices.shape[:batch]:
        refuse(
            node, types, f"indices end in 1 to {rank - batch} coordinates, after equal batch dims"
        )
    return (TensorType(x.dtype, indices.shape[:-1] + x.shape[batch + depth :]),)


def _coordinates(
    node: Node, indices: Array, shape: tuple[int, ...], batch: int = 0
) -> tuple[NDArray[np.int64], ...]:
    """Return NumPy index arrays for ONNX's trailing-coordinate indices."""
    lead = indices.shape[:-1]
    grid = [
        np.arange(d, dtype=np.int64).reshape((1,) * k + (d,) + (1,) * (len(lead) - k - 1))
        for k, d in enumerate(lead[:batch])
    ]
    picked = [checked(node, indices[..., k], shape[batch + k]) for k in range(indices.shape[-1])]
    return (*grid, *picked)


def _gather_nd(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, indices = tensor(arrays, 0), tensor(arrays, 1)
    where = _coordinates(node, indices, x.shape, node.int("batch_dims"))
    return (x[where],)


def _scatter_elements_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    indices = need_dtype(node, types, 1, _INDEX)
    need_same_dtype(node, types, (0, 2))
    need_word(node, types, "reduction", _REDUCTIONS)
    axis = need_axis(node, types, len(x.shape))
    if given(types, 2).shape != indices.shape:
        refuse(node, types, "indices and updates must have one shape")
    _need_inside(node, types, indices.shape, x.shape, axis)
    return (x,)


def _scatter_elements(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axis = tensor(arrays, 0), node.int("axis")
    indices = checked(node, tensor(arrays, 1), x.shape[axis])
    return (_scattered(node, x, _place(indices, axis), tensor(arrays, 2)),)


def _scattered(node: Node, x: Array, where: tuple[NDArray[np.int64], ...], updates: Array) -> Array:
    """Place updates, one after the other where an index repeats."""
    result = working(x).copy()
    values = working(updates)
    reduction = node.str("reduction", "none")
    if reduction == "none":
        result[where] = values
        return result.astype(x.dtype, copy=False)
    if reduction in ("add", "mul"):
        # repeated indices would round again and again: sum in float64, round once
        result = result.astype(np.float64) if result.dtype.kind == "f" else result
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    function[reduction].at(result, where, values)
    return narrow(result, x.dtype) if is_float(x.dtype) else result


def _scatter_nd_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    indices = need_dtype(node, types, 1, frozenset({DType.I64}))
    need_same_dtype(node, types, (0, 2))
    need_word(node, types, "reduction", _REDUCTIONS)
    depth = indices.shape[-1] if indices.shape else -1
    if not 1 <= depth <= len(x.shape):
        refuse(node, types, f"indices must end in 1 to {len(x.shape)} coordinates")
    wanted = indices.shape[:-1] + x.shape[depth:]
    if given(types, 2).shape != wanted:
        refuse(node, types, f"updates must have shape {wanted}")
    return (x,)


def _scatter_nd(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    where = _coordinates(node, tensor(arrays, 1), x.shape)
    return (_scattered(node, x, where, tensor(arrays, 2)),)


def _tensor_scatter_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Past and update are alike but for the axis; one write index for each batch entry."""
    past = need_dtype(node, types, 0, ANY)
    need_same_dtype(node, types, (0, 1))
    need_word(node, types, "mode", ("linear", "circular"))
    axis = need_axis(node, types, len(past.shape), default=-2)
    update = given(types, 1).shape
    if axis == 0:
        refuse_attr(node, types, "axis", "an axis other than 0, which is the batch")
    shared = (*past.shape[:axis], *past.shape[axis + 1 :])
    if len(update) != len(past.shape) or (*update[:axis], *update[axis + 1 :]) != shared:
        refuse(node, types, f"the update must have the past's shape but for axis {axis}")
    if update[axis] > past.shape[axis]:
        refuse(node, types, f"the update must fit in the past's {past.shape[axis]} positions")
    places = optional(types, 2)
    if places is not None:
        need_dtype(node, types, 2, _INDEX)
        if places.shape != past.shape[:1]:
            refuse(node, types, f"the write indices must have shape {past.shape[:1]}")
    return (past,)


def _tensor_scatter(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Write each batch entry's update along the axis, from its write index on.

    ``circular`` counts positions modulo the axis; in ``linear`` a position outside is an error.
    """
    past, update, places = tensor(arrays, 0), tensor(arrays, 1), maybe(arrays, 2)
    axis = node.int("axis", -2) % past.ndim
    size = past.shape[axis]
    first = np.zeros(past.shape[0], np.int64) if places is None else places.astype(np.int64)
    where = first[:, None] + np.arange(update.shape[axis], dtype=np.int64)
    if node.str("mode", "linear") == "circular":
        where %= size
    elif where.size and not 0 <= where.min() <= where.max() < size:
        bad = where[(where < 0) | (where >= size)]
        fault = Fault("write_indices", str(int(bad[0])), f"positions from 0 to {size - 1}")
        raise InputError("graph.index", f"{label(node)} is given an index outside", [fault])
    spots = where.reshape(past.shape[0], *([1] * (axis - 1)), -1, *([1] * (past.ndim - axis - 1)))
    present = past.copy()
    np.put_along_axis(present, np.broadcast_to(spots, update.shape), update, axis)
    return (present,)


def _one_hot_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    indices = need_dtype(node, types, 0, INTS)
    values = given(types, 1)
    if values.shape != (2,):
        refuse(node, types, "values must be (off, on), shape (2,)")
    if node.int("depth") < 1:
        refuse_attr(node, types, "depth", "at least 1")
    rank = len(indices.shape) + 1
    axis = need_axis(node, types, rank, default=-1)
    shape = (*indices.shape[:axis], node.int("depth"), *indices.shape[axis:])
    return (TensorType(values.dtype, shape),)


def _one_hot(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """An index outside [-depth, depth) gives a row of ``off``."""
    indices, values = tensor(arrays, 0).astype(np.int64), tensor(arrays, 1)
    depth = node.int("depth")
    axis = node.int("axis", -1) % (indices.ndim + 1)
    front = np.where((indices < 0) & (indices >= -depth), indices + depth, indices)
    ladder = np.arange(depth, dtype=np.int64).reshape((depth,) + (1,) * (indices.ndim - axis))
    hot = np.equal(np.expand_dims(front, axis), ladder)
    return (values[hot.astype(np.int64)],)


def _trilu_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    if len(x.shape) < 2:
        refuse(node, types, "x must have rank 2 or more")
    return (x,)


def _trilu(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, k = tensor(arrays, 0), node.int("k")
    below = np.tri(x.shape[-2], x.shape[-1], k - 1, dtype=bool)
    keep = ~below if node.int("upper", 1) else np.tri(x.shape[-2], x.shape[-1], k, dtype=bool)
    return (np.where(keep, x, np.zeros((), x.dtype)),)


def _reverse_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    lengths = need_dtype(node, types, 1, frozenset({DType.I64}))
    if {node.int("batch_axis", 1), node.int("time_axis", 0)} != {0, 1} or len(x.shape) < 2:
        refuse(node, types, "rank 2 or more; batch_axis and time_axis must be 0 and 1")
    if lengths.shape != (x.shape[node.int("batch_axis", 1)],):
        refuse(node, types, "one length for each batch entry")
    return (x,)


def _reverse(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, lengths = tensor(arrays, 0), tensor(arrays, 1).astype(np.int64)
    time_first = node.int("time_axis", 0) == 0
    data = x if time_first else np.swapaxes(x, 0, 1)
    step = np.arange(data.shape[0], dtype=np.int64)[:, None]
    source = np.where(step < lengths, lengths - 1 - step, step)
    turned = data[checked(node, source, data.shape[0]), np.arange(data.shape[1], dtype=np.int64)]
    return (turned if time_first else np.swapaxes(turned, 0, 1),)


_PLACE = {"axis": "int", "reduction": "str"}

OPERATORS = {
    "Gather": Operator("Gather", "x indices", _gather_rule, _gather, {"axis": "int"}),
    "GatherElements": Operator(
        "GatherElements", "x indices", _elements_rule, _gather_elements, {"axis": "int"}
    ),
    "GatherND": Operator(
        "GatherND", "x indices", _gather_nd_rule, _gather_nd, {"batch_dims": "int"}
    ),
    "ScatterElements": Operator(
        "ScatterElements", "x indices updates", _scatter_elements_rule, _scatter_elements, _PLACE
    ),
    "ScatterND": Operator(
        "ScatterND", "x indices updates", _scatter_nd_rule, _scatter_nd, {"reduction": "str"}
    ),
    "TensorScatter": Operator(
        "TensorScatter",
        "past update write_indices?",
        _tensor_scatter_rule,
        _tensor_scatter,
        {"axis": "int", "mode": "str"},
    ),
    "OneHot": Operator(
        "OneHot", "indices values", _one_hot_rule, _one_hot, {"depth": "int!", "axis": "int"}
    ),
    "Trilu": Operator("Trilu", "x", _trilu_rule, _trilu, {"k": "int", "upper": "int"}),
    "ReverseSequence": Operator(
        "ReverseSequence",
        "x lengths",
        _reverse_rule,
        _reverse,
        {"batch_axis": "int", "time_axis": "int"},
    ),
}
