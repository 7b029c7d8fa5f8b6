"""Elements picked or placed by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule, Value
from drawloom.graph.dtypes import DType

_BY_DATA = "positions that do not depend on the data: use where or masked_fill"


def whole(call: Call, value: str) -> str:
    """Return an index in a type that an index may have here."""
    return value if call.draft.type(value).dtype is DType.I32 else call.cast(value, DType.I64)


def _embedding(call: Call) -> Sequence[str]:
    return [call.emit("Gather", (call.x("weight"), whole(call, call.x("indices"))), axis=0)]


def _index_select(call: Call) -> Sequence[str]:
    index = whole(call, call.x("index"))
    index = call.reshape(index, (call.draft.type(index).size,))
    return [call.emit("Gather", (call.x(), index), axis=call.axis())]


def _take(call: Call) -> Sequence[str]:
    flat = call.reshape(call.x(), (call.type().size,))
    return [call.emit("Gather", (flat, whole(call, call.x("index"))), axis=0)]


def _gather(call: Call) -> Sequence[str]:
    if not call.shape():
        return [call.expand(call.x(), call.shape("index"))]
    index = whole(call, call.x("index"))
    return [call.emit("GatherElements", (call.x(), index), axis=call.axis())]


_REDUCTIONS = {
    "sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "amax": "max", "amin": "min",
}  # fmt: skip


def _scatter(reduction: str = "none") -> Rule:
    """What is placed may be larger than the index, or one number."""

    def rule(call: Call) -> Sequence[str]:
        word = call.get("reduce")
        way = _REDUCTIONS.get(word, "") if word else reduction
        if not way or not call.get("include_self", True):
            raise Refused(f"reduce={word!r}", "sum, prod, amax or amin, with include_self")
        index, shape = whole(call, call.x("index")), call.shape("index")
        source = call.get("src", call.get("value"))
        if isinstance(source, Value) and call.draft.type(source).shape:
            updates = call.cast(source, call.out())
            for axis, size in enumerate(shape):
                updates = call.cut(updates, axis, 0, size)
        else:
            updates = call.expand(call.operand("value", call.out()), shape)
        attrs = {} if way == "none" else {"reduction": way}
        operands = (call.x(), index, updates)
        return [call.emit("ScatterElements", operands, axis=call.axis(), **attrs)]

    return rule


@dataclass(frozen=True, slots=True)
class Picked:
    """Where ``x[i, :, j]`` looks: the axes that are indexed, their indices broadcast.

    Attributes:
        axes: the indexed axes.
        others: the axes that are not.
        indices: one value for each indexed axis, of the shape ``shape``.
        shape: the indices' common shape.
        at: where the indices' axes stand among the result's.
    """

    axes: tuple[int, ...]
    others: tuple[int, ...]
    indices: tuple[str, ...]
    shape: tuple[int, ...]
    at: int


def _picked(call: Call) -> Picked:
    """Return where an index looks; a constant mask becomes positions.

    Indices side by side leave their axes where they stood, others move them to the front.
    """
    found: list[tuple[int, str]] = []
    axis = 0
    for value in call.get("indices"):
        if value is None:
            axis += 1
        elif call.draft.type(value).dtype in (DType.BOOL, DType.U8):
            mask = call.draft.array(value)
            if mask is None:
                raise Refused("an index that is a mask made of data", _BY_DATA)
            places = np.nonzero(mask)
            found += [(axis + i, call.constant(p, "places")) for i, p in enumerate(places)]
            axis += mask.ndim
        else:
            found.append((axis, whole(call, value)))
            axis += 1
    axes = tuple(a for a, _ in found)
    shape = np.broadcast_shapes(*(call.draft.type(v).shape for _, v in found))
    together = axes == tuple(range(axes[0], axes[0] + len(axes)))
    others = tuple(a for a in range(len(call.shape())) if a not in axes)
    indices = tuple(v for _, v in found)
    return Picked(axes, others, indices, shape, axes[0] if together else 0)


def _coordinates(call: Call, picked: Picked) -> str:
    """Return the indices side by side, the coordinates of an element last."""
    columns = [
        call.reshape(call.expand(call.cast(v, DType.I64), picked.shape), (*picked.shape, 1))
        for v in picked.indices
    ]
    if len(columns) == 1:
        return columns[0]
    return call.emit("Concat", columns, axis=len(picked.shape))


def _moved(picked: Picked) -> list[int]:
    """Return the order that moves the indices' axes from the front to where they belong."""
    n, rest = len(picked.shape), len(picked.others)
    front, back = list(range(n)), list(range(n, n + rest))
    return back[: picked.at] + front + back[picked.at :]


def _index(call: Call) -> Sequence[str]:
    picked = _picked(call)
    if len(picked.axes) == 1:
        return [call.emit("Gather", (call.x(), picked.indices[0]), axis=picked.axes[0])]
    front = call.transpose(call.x(), (*picked.axes, *picked.others))
    y = call.emit("GatherND", (front, _coordinates(call, picked)))
    return [call.transpose(y, _moved(picked))]


def _masked(call: Call) -> str | None:
    """Return the result where the index is one mask and what is placed is one number."""
    indices = call.get("indices")
    masks = [v for v in indices if v is not None]
    if len(masks) != 1 or indices[0] is None or call.draft.array(masks[0]) is not None:
        return None
    mask = call.draft.type(masks[0])
    if mask.dtype is not DType.BOOL or call.type("values").size != 1 or call.get("accumulate"):
        return None
    lacking = len(call.shape()) - len(mask.shape)
    condition = call.reshape(masks[0], (*mask.shape, *(1,) * lacking))
    value = call.reshape(call.cast(call.x("values"), call.out()), ())
    return call.emit("Where", (condition, value, call.x()))


def _index_put(call: Call) -> Sequence[str]:
    """Values broadcast to what the same index would pick."""
    masked = _masked(call)
    if masked is not None:
        return [masked]
    picked = _picked(call)
    perm = (*picked.axes, *picked.others)
    rest = [call.shape()[a] for a in picked.others]
    as_picked = (*rest[: picked.at], *picked.shape, *rest[picked.at :])
    values = call.expand(call.cast(call.x("values"), call.out()), as_picked)
    values = call.transpose(values, np.argsort(_moved(picked)).tolist())
    attrs = {"reduction": "add"} if call.get("accumulate") else {}
    operands = (call.transpose(call.x(), perm), _coordinates(call, picked), values)
    placed = call.emit("ScatterND", operands, **attrs)
    return [call.transpose(placed, np.argsort(perm).tolist())]


def _along(reduction: str = "none") -> Rule:
    """index_add, index_copy and index_fill: whole slices of one axis."""

    def rule(call: Call) -> Sequence[str]:
        axis, shape = call.axis(), call.shape()
        perm = [axis, *(i for i in range(len(shape)) if i != axis)]
        index = call.cast(call.x("index"), DType.I64)
        count = call.draft.type(index).size
        front = [shape[i] for i in perm[1:]]
        source = call.get("source", call.get("value"))
        if isinstance(source, Value) and call.draft.type(source).shape:
            updates = call.transpose(call.cast(source, call.out()), perm)
        else:
            updates = call.expand(call.operand("value", call.out()), (count, *front))
        if call.get("alpha", 1) != 1:
            updates = call.emit("Mul", (updates, call.number(call.get("alpha"), updates)))
        operands = (call.transpose(call.x(), perm), call.reshape(index, (count, 1)), updates)
        attrs = {} if reduction == "none" else {"reduction": reduction}
        y = call.emit("ScatterND", operands, **attrs)
        return [call.transpose(y, np.argsort(perm).tolist())]

    return rule


def _bucketize(call: Call) -> Sequence[str]:
    """How many boundaries lie below each element (or at it, with right)."""
    key = "boundaries" if "boundaries" in call.arguments else "sorted_sequence"
    if len(call.shape(key)) != 1:
        raise Refused("boundaries of several rows", "one sorted list")
    dtype = call.promoted("self", key)
    x = call.operand("self", dtype)
    shape = call.draft.type(x).shape
    column = call.reshape(x, (*shape, 1))
    op = "GreaterOrEqual" if call.get("right") or call.get("side") == "right" else "Greater"
    above = call.cast(call.emit(op, (column, call.cast(call.x(key), dtype))), DType.I32)
    count = call.emit("ReduceSum", (above,), axes=(len(shape),), keepdims=0)
    return [call.cast(count, call.out())]


RULES: dict[str, Rule] = {
    "aten.embedding": _embedding,
    "aten.index_select": _index_select,
    "aten.take": _take,
    "aten.gather": _gather,
    "aten.scatter": _scatter(),
    "aten.scatter_add": _scatter("add"),
    "aten.scatter_reduce": _scatter(),
    "aten.index": _index,
    "aten._unsafe_index": _index,
    "aten.index_put": _index_put,
    "aten._unsafe_index_put": _index_put,
    "aten.index_add": _along("add"),
    "aten.index_copy": _along(),
    "aten.index_fill": _along(),
    "aten.bucketize": _bucketize,
    "aten.searchsorted": _bucketize,
}
