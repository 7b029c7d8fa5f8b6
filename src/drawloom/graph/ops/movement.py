"""Elements move or repeat; none is computed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    ANY,
    Arrays,
    Operator,
    Types,
    given,
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


def _reshape_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """One dim of the shape may be -1: what is left over."""
    x = need_dtype(node, types, 0, ANY)
    shape = list(node.ints("shape"))
    if shape.count(-1) == 1:
        known = math.prod(d for d in shape if d != -1)
        shape[shape.index(-1)] = x.size // known if known else 0
    if any(d < 0 for d in shape) or math.prod(shape) != x.size:
        refuse_attr(node, types, "shape", f"a shape of {x.size} elements, one dim may be -1")
    return (TensorType(x.dtype, tuple(shape)),)


def _reshape(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (tensor(arrays, 0).reshape(node.ints("shape")),)


def _transpose_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    perm = _perm(node, len(x.shape))
    if sorted(perm) != list(range(len(x.shape))):
        refuse_attr(node, types, "perm", f"each axis from 0 to {len(x.shape) - 1} once")
    return (TensorType(x.dtype, tuple(x.shape[p] for p in perm)),)


def _perm(node: Node, rank: int) -> tuple[int, ...]:
    return node.ints("perm", tuple(reversed(range(rank))))


def _transpose(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    return (x.transpose(_perm(node, x.ndim)),)


def _concat_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    first = given(types, 0)
    dtype = need_same_dtype(node, types, range(len(types)))
    axis = need_axis(node, types, len(first.shape))
    shapes = [given(types, i).shape for i in range(len(types))]
    rest = {s[:axis] + s[axis + 1 :] for s in shapes if len(s) == len(first.shape)}
    if len(rest) != 1 or any(len(s) != len(first.shape) for s in shapes):
        refuse(node, types, f"shapes must be equal but for axis {axis}")
    total = sum(s[axis] for s in shapes)
    return (TensorType(dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :])),)


def _concat(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    parts = [tensor(arrays, i) for i in range(len(arrays))]
    return (np.concatenate(parts, axis=node.int("axis")),)


def slices_of(node: Node, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return one Python slice per axis of ``shape`` for a Slice node."""
    starts, ends = node.ints("starts"), node.ints("ends")
    axes = node.ints("axes", tuple(range(len(starts))))
    steps = node.ints("steps", (1,) * len(starts))
    result = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        result[axis] = _one_slice(start, end, step, shape[axis])
    return tuple(result)


def _one_slice(start: int, end: int, step: int, dim: int) -> slice:
    """ONNX clamps like Python, except that an end below -dim means 'before the first'."""
    low, high = (0, dim) if step > 0 else (-1, dim - 1)
    first = min(max(start + dim if start < 0 else start, max(low, 0)), high)
    last = min(max(end + dim if end < 0 else end, low), high)
    return slice(first, None if last < 0 else last, step)


def _slice_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    starts, rank = node.ints("starts"), len(x.shape)
    for key in ("ends", "axes", "steps"):
        if len(node.ints(key, starts)) != len(starts):
            refuse_attr(node, types, key, f"{len(starts)} numbers, one for each of starts")
    axes = node.ints("axes", tuple(range(len(starts))))
    if any(not -rank <= a < rank for a in axes) or len({a % rank for a in axes}) != len(axes):
        refuse_attr(node, types, "axes", f"different axes from {-rank} to {rank - 1}")
    if 0 in node.ints("steps", (1,)):
        refuse_attr(node, types, "steps", "numbers other than 0")
    dims = zip(slices_of(node, x.shape), x.shape, strict=True)
    return (TensorType(x.dtype, tuple(len(range(*s.indices(d))) for s, d in dims)),)


def _slice(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    return (x[slices_of(node, x.shape)],)


def _expand_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Broadcasting goes both ways: a 1 in ``shape`` keeps x's dim."""
    x = need_dtype(node, types, 0, ANY)
    try:
        shape = np.broadcast_shapes(x.shape, node.ints("shape"))
    except ValueError:
        refuse_attr(node, types, "shape", "a shape that broadcasts with x's")
    return (TensorType(x.dtype, shape),)


def _expand(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    return (np.broadcast_to(x, np.broadcast_shapes(x.shape, node.ints("shape"))),)


def _pad_widths(node: Node) -> list[tuple[int, int]]:
    pads = node.ints("pads")
    return list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))


def _pad_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Negative pads cut."""
    x = need_dtype(node, types, 0, ANY)
    mode = need_word(node, types, "mode", ("constant", "reflect", "edge", "wrap"))
    if len(node.ints("pads")) != 2 * len(x.shape):
        refuse_attr(node, types, "pads", f"{2 * len(x.shape)} numbers: before all axes, then after")
    value = optional(types, 1)
    if value is not None and (value.size != 1 or value.dtype is not x.dtype):
        refuse(node, types, "the fill value must be one element of x's dtype")
    shape = tuple(d + lo + hi for d, (lo, hi) in zip(x.shape, _pad_widths(node), strict=True))
    if any(d < 0 for d in shape) or not _has_source(mode, x.shape, _pad_widths(node)):
        refuse_attr(node, types, "pads", "pads that the dims and mode allow")
    return (TensorType(x.dtype, shape),)


def _has_source(mode: str, shape: tuple[int, ...], widths: list[tuple[int, int]]) -> bool:
    """Whether the copied values exist: only a constant can be padded from nothing."""
    rows = zip(shape, widths, strict=True)
    return mode == "constant" or all(d > 0 or max(w) <= 0 for d, w in rows)


def _pad(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, value = tensor(arrays, 0), maybe(arrays, 1)
    widths = _pad_widths(node)
    kept = tuple(
        slice(max(0, -lo), d - max(0, -hi)) for d, (lo, hi) in zip(x.shape, widths, strict=True)
    )
    grow = [(max(lo, 0), max(hi, 0)) for lo, hi in widths]
    mode: Any = node.str("mode", "constant")
    if mode != "constant":
        return (np.pad(x[kept], grow, mode=mode),)
    fill = np.zeros((), x.dtype) if value is None else value.reshape(())
    return (np.pad(x[kept], grow, constant_values=fill),)


def _tile_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x = need_dtype(node, types, 0, ANY)
    repeats = node.ints("repeats")
    if len(repeats) != len(x.shape) or any(r < 0 for r in repeats):
        refuse_attr(node, types, "repeats", f"{len(x.shape)} numbers of at least 0")
    return (TensorType(x.dtype, tuple(d * r for d, r in zip(x.shape, repeats, strict=True))),)


def _tile(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.tile(tensor(arrays, 0), node.ints("repeats")),)


def _block(node: Node, types: Types) -> int:
    if len(given(types, 0).shape) != 4:
        refuse(node, types, "x must have rank 4")
    size = node.int("blocksize")
    if size < 1:
        refuse_attr(node, types, "blocksize", "at least 1")
    return size


def _depth_to_space_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x, b = need_dtype(node, types, 0, ANY), _block(node, types)
    need_word(node, types, "mode", ("DCR", "CRD"))
    n, c, h, w = x.shape
    if c % (b * b):
        refuse_attr(node, types, "blocksize", f"a number whose square divides {c} channels")
    return (TensorType(x.dtype, (n, c // (b * b), h * b, w * b)),)


def _depth_to_space(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, b = tensor(arrays, 0), node.int("blocksize")
    n, c, h, w = x.shape
    if node.str("mode", "DCR") == "DCR":
        split, order = (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, order = (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3)
    return (x.reshape(split).transpose(order).reshape(n, c // (b * b), h * b, w * b),)


def _space_to_depth_rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    x, b = need_dtype(node, types, 0, ANY), _block(node, types)
    n, c, h, w = x.shape
    if h % b or w % b:
        refuse_attr(node, types, "blocksize", f"a number that divides {h} and {w}")
    return (TensorType(x.dtype, (n, c * b * b, h // b, w // b)),)


def _space_to_depth(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, b = tensor(arrays, 0), node.int("blocksize")
    n, c, h, w = x.shape
    split = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return (split.reshape(n, c * b * b, h // b, w // b),)


_BLOCK = {"blocksize": "int!", "mode": "str"}

OPERATORS = {
    "Reshape": Operator("Reshape", "x", _reshape_rule, _reshape, {"shape": "ints!"}),
    "Transpose": Operator("Transpose", "x", _transpose_rule, _transpose, {"perm": "ints"}),
    "Concat": Operator("Concat", "x...", _concat_rule, _concat, {"axis": "int!"}),
    "Slice": Operator(
        "Slice",
        "x",
        _slice_rule,
        _slice,
        {"starts": "ints!", "ends": "ints!", "axes": "ints", "steps": "ints"},
    ),
    "Expand": Operator("Expand", "x", _expand_rule, _expand, {"shape": "ints!"}),
    "Pad": Operator("Pad", "x value?", _pad_rule, _pad, {"pads": "ints!", "mode": "str"}),
    "Tile": Operator("Tile", "x", _tile_rule, _tile, {"repeats": "ints!"}),
    "DepthToSpace": Operator("DepthToSpace", "x", _depth_to_space_rule, _depth_to_space, _BLOCK),
    "SpaceToDepth": Operator(
        "SpaceToDepth", "x", _space_to_depth_rule, _space_to_depth, {"blocksize": "int!"}
    ),
}
