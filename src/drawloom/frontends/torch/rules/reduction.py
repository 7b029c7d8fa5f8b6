"""Many elements along axes become one: sums, extremes, positions, order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule
from drawloom.graph.dtypes import DType

Axes = tuple[int, ...]


def reduced(call: Call, op: str, x: str, axes: Axes, keep: bool) -> str:
    """Return a reduction; of a scalar it is the scalar."""
    if not call.draft.type(x).shape:
        return x
    return call.emit(op, (x,), axes=axes, keepdims=int(keep))


def reduction(op: str) -> Rule:
    """Over the axes given, all without; in the result's element type."""

    def rule(call: Call) -> Sequence[str]:
        x = call.cast(call.x(), call.out())
        return [reduced(call, op, x, call.axes(), bool(call.get("keepdim", False)))]

    return rule


def _truth(op: str) -> Rule:
    """any is the largest of the truth values as numbers, all the smallest."""

    def rule(call: Call) -> Sequence[str]:
        x = call.cast(call.cast(call.x(), DType.BOOL), DType.I32)
        found = reduced(call, op, x, call.axes(), bool(call.get("keepdim", False)))
        return [call.cast(found, DType.BOOL)]

    return rule


def _extreme(reduce: str, position: str) -> Rule:
    """Of all elements; or along one axis, with the position of the first."""

    def rule(call: Call) -> Sequence[str]:
        if call.get("dim") is None:
            return reduction(reduce)(call)
        keep = bool(call.get("keepdim", False))
        x = call.x()
        if call.out() is DType.BOOL:
            x = call.cast(x, DType.I32)
        axis = call.axis()
        best = call.cast(reduced(call, reduce, x, (axis,), keep), call.out())
        return [best, _position(call, position, x, axis, keep) if call.used[1] else ""]

    return rule


def _position(call: Call, op: str, x: str, axis: int, keep: bool) -> str:
    if not call.draft.type(x).shape:
        return call.scalar(0, DType.I64)
    return call.emit(op, (x,), axis=axis, keepdims=int(keep))


def _arg(op: str) -> Rule:
    """Without an axis the elements are one list."""

    def rule(call: Call) -> Sequence[str]:
        x, keep = call.x(), bool(call.get("keepdim", False))
        if call.type().dtype is DType.BOOL:
            x = call.cast(x, DType.I32)
        if call.get("dim") is None:
            found = _position(call, op, call.reshape(x, (call.type().size,)), 0, False)
            return [call.reshape(found, (1,) * len(call.shape()) if keep else ())]
        return [_position(call, op, x, call.axis(), keep)]

    return rule


def _variance(root: bool, mean_too: bool) -> Rule:
    """The mean square distance from the mean, over n - correction."""

    def rule(call: Call) -> Sequence[str]:
        x, axes = call.x(), call.axes()
        keep = bool(call.get("keepdim", False))
        correction = call.get("correction", 1)
        if isinstance(call.arguments.get("unbiased"), bool):
            correction = int(call.get("unbiased"))
        count = math.prod(call.shape()[a] for a in axes)
        middle = reduced(call, "ReduceMean", x, axes, True)
        apart = call.emit("Sub", (x, middle))
        spread = reduced(call, "ReduceMean", call.emit("Mul", (apart, apart)), axes, keep)
        if correction:
            if count <= correction:
                raise Refused(f"{count} elements", f"more than correction={correction}")
            spread = call.emit("Mul", (spread, call.number(count / (count - correction), spread)))
        y = call.emit("Sqrt", (spread,)) if root else spread
        if not mean_too:
            return [y]
        return [y, call.reshape(middle, call.draft.type(y).shape)]

    return rule


def _vector_norm(call: Call) -> Sequence[str]:
    order = call.get("ord", call.get("p", 2))
    ops = {1: "ReduceL1", 2: "ReduceL2", math.inf: "ReduceMax", -math.inf: "ReduceMin"}
    if order not in ops:
        raise Refused(f"ord={order}", "1, 2 or inf")
    x = call.cast(call.x(), call.out())
    x = call.emit("Abs", (x,)) if math.isinf(order) else x
    return [reduced(call, ops[order], x, call.axes(), bool(call.get("keepdim", False)))]


def _cum_sum(call: Call) -> Sequence[str]:
    x = call.cast(call.x(), call.out())
    if not call.shape():
        return [x]
    return [call.emit("CumSum", (x,), axis=call.axis())]


def _sorted(call: Call, x: str, k: int, axis: int, largest: bool) -> Sequence[str]:
    attrs: dict[str, Any] = {"k": k, "axis": axis, "largest": int(largest)}
    if not call.draft.type(x).shape:
        return [x, call.scalar(0, DType.I64)]
    return call.emit_many("TopK", (x,), 2, **attrs)


def _top_k(call: Call) -> Sequence[str]:
    """Sorted always; among equals the lower position comes first."""
    rank = len(call.shape())
    axis = int(call.get("dim", -1)) % max(rank, 1)
    return _sorted(call, call.x(), int(call.get("k")), axis, bool(call.get("largest", True)))


def _sort(call: Call) -> Sequence[str]:
    shape = call.shape()
    axis = int(call.get("dim", -1)) % max(len(shape), 1)
    x = call.x()
    wide = call.cast(x, DType.I32) if call.type().dtype is DType.BOOL else x
    count = shape[axis] if shape else 1
    values, places = _sorted(call, wide, count, axis, bool(call.get("descending", False)))
    if call.op == "aten.argsort":
        return [places]
    return [call.cast(values, call.out()), places]


def _histogram(call: Call) -> Sequence[str]:
    """Counts in bins of one width; what lies outside is not counted, the last end is."""
    low, high, bins = float(call.get("min", 0)), float(call.get("max", 0)), int(call.get("bins"))
    if low >= high:
        raise Refused("bounds that depend on the data", "min below max")
    x = call.reshape(call.cast(call.x(), DType.F32), (call.type().size, 1))
    scaled = call.emit("Sub", (x, call.number(low, x)))
    scaled = call.emit("Mul", (scaled, call.number(bins / (high - low), x)))
    place = call.emit("Floor", (scaled,))
    last = call.emit("Equal", (x, call.number(high, x)))
    place = call.emit("Where", (last, call.number(bins - 1, x), place))
    cells = call.constant(np.arange(bins, dtype=np.float32), "bins")
    hit = call.cast(call.emit("Equal", (place, cells)), DType.F32)
    total = call.emit("ReduceSum", (hit,), axes=(0,), keepdims=0)
    return [call.cast(total, call.out())]


RULES: dict[str, Rule] = {
    "aten.sum": reduction("ReduceSum"),
    "aten.mean": reduction("ReduceMean"),
    "aten.prod": reduction("ReduceProd"),
    "aten.amax": reduction("ReduceMax"),
    "aten.amin": reduction("ReduceMin"),
    "aten.logsumexp": reduction("ReduceLogSumExp"),
    "aten.max": _extreme("ReduceMax", "ArgMax"),
    "aten.min": _extreme("ReduceMin", "ArgMin"),
    "aten.any": _truth("ReduceMax"),
    "aten.all": _truth("ReduceMin"),
    "aten.argmax": _arg("ArgMax"),
    "aten.argmin": _arg("ArgMin"),
    "aten.var": _variance(root=False, mean_too=False),
    "aten.std": _variance(root=True, mean_too=False),
    "aten.var_mean": _variance(root=False, mean_too=True),
    "aten.std_mean": _variance(root=True, mean_too=True),
    "aten.linalg_vector_norm": _vector_norm,
    "aten.norm": _vector_norm,
    "aten.cumsum": _cum_sum,
    "aten.topk": _top_k,
    "aten.sort": _sort,
    "aten.argsort": _sort,
    "aten.histc": _histogram,
}
