"""Bounds of operators that move elements, or pick some: errors move along."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.graph.bounds.model import Bounded, Case, gamma
from drawloom.graph.bounds.sums import interpolated
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Array, Node
from drawloom.graph.rounding import Wide, wide

Errors = tuple[Wide, ...]


def _run(case: Case, arrays: tuple[Array | None, ...], **attrs: str | float) -> Array:
    """Return the node's first output for other operands."""
    node = case.node
    changed = Node(node.name, node.op, node.inputs, node.outputs, {**node.attrs, **attrs})
    return evaluate_node(changed, arrays, wide=True)[0]


def _parts(case: Case, *data: int) -> tuple[Array | None, ...]:
    """Return errors in the place of the data operands, the values of all others."""
    return tuple(
        None if x is None else (x.error if not data or i in data else x.value)
        for i, x in enumerate(case.operands)
    )


def moved(case: Case) -> Errors:
    """Bound an operator all of whose operands are data."""
    return (wide(_run(case, _parts(case))),)


def picked(case: Case) -> Errors:
    """Bound a pick by index: nothing is known where an index is in doubt."""
    indices = case.get(1)
    if indices.error.any():
        return (np.full(case.value.shape, np.inf),)
    return (wide(_run(case, _parts(case, 0))),)


def scattered(case: Case) -> Errors:
    """Bound a scatter; repeated indices sum, multiply or compare in any order."""
    x, indices, updates = case.get(0), case.get(1), case.get(2)
    if indices.error.any():
        return (np.full(case.value.shape, np.inf),)
    reduction = case.node.str("reduction", "none")
    if reduction in ("none", "max", "min"):
        word = "none" if reduction == "none" else "max"
        return (wide(_run(case, _parts(case, 0, 2), reduction=word)),)
    g = gamma(wide(updates.value).size + 1, case.u) if case.dtype.is_float else 0.0
    if reduction == "add":
        errors = tuple(b.error + g * b.size for b in (x, updates))
        return (case.rounded(wide(_run(case, (errors[0], indices.value, errors[1])))),)
    most = wide(_run(case, (x.size, indices.value, updates.size)))
    least = (np.abs(wide(x.value)), indices.value, np.abs(wide(updates.value)))
    return (case.rounded(most - wide(_run(case, least)) + g * most),)


def written(case: Case) -> Errors:
    """Bound a write at positions: nothing is known where a position is in doubt."""
    places = case.maybe(2)
    if places is not None and places.error.any():
        return (np.full(case.value.shape, np.inf),)
    return (wide(_run(case, _parts(case, 0, 1))),)


def one_hot(case: Case) -> Errors:
    """Bound OneHot: on or off where the index is in doubt."""
    indices, values = case.get(0), case.get(1)
    if indices.error.any():
        spread = np.abs(np.ptp(wide(values.value))) + values.error.max()
        return (np.full(case.value.shape, spread),)
    return (wide(_run(case, (indices.value, values.error))),)


def resized(case: Case) -> Errors:
    """Bound Resize: weights' magnitudes times errors; the cells it copies keep theirs."""
    if case.node.str("mode", "nearest") != "nearest":
        return (interpolated(case),)
    return (wide(_run(case, (case.get(0).error,), extrapolation_value=0.0)),)


def generated(case: Case) -> Errors:
    """Bound values made of attributes: one rounding, or none."""
    if case.node.op == "Range":
        return (case.rounded(np.zeros(case.value.shape)),)
    return (np.zeros(case.value.shape),)


def best_index(case: Case) -> Errors:
    """Bound ArgMax: the farthest position whose interval reaches the best one's."""
    x, axis = case.get(0), case.node.int("axis")
    found = case.value if case.node.int("keepdims", 1) else np.expand_dims(case.value, axis)
    rivals = rival(x, axis, largest=case.node.op == "ArgMax")
    where = np.arange(rivals.shape[axis], dtype=np.int64).reshape(
        (-1,) + (1,) * (rivals.ndim - 1 - axis % rivals.ndim)
    )
    far = np.where(rivals, np.abs(where - found), 0.0).max(axis=axis, keepdims=True)
    far = np.where(x.error.max(axis=axis, keepdims=True) > 0, far, 0.0)
    return (far.reshape(case.value.shape),)


def rival(x: Bounded, axis: int, largest: bool = True) -> Array:
    """Return which elements may be the extreme one along ``axis``."""
    if largest:
        return ~(x.high < x.low.max(axis=axis, keepdims=True))
    return ~(x.low > x.high.min(axis=axis, keepdims=True))


def hardmax(case: Case) -> Errors:
    """Bound Hardmax: 1 wherever the largest is in doubt."""
    x, axis = case.get(0), case.node.int("axis", -1)
    rivals = rival(x, axis)
    doubt = (rivals.sum(axis=axis, keepdims=True) > 1) & x.error.any(axis=axis, keepdims=True)
    return (np.where(rivals & doubt, 1.0, 0.0),)


def top_k(case: Case) -> Errors:
    """Bound TopK: ranked values move no further than any element; ranks may swap."""
    x, axis = case.get(0), case.node.int("axis", -1)
    worst = x.error.max(axis=axis, keepdims=True) if x.error.size else x.error
    values = np.broadcast_to(worst, case.value.shape)
    ranks = np.where(values > 0, float(max(x.value.shape[axis] - 1, 0)), 0.0)
    return (values, ranks)[: len(case.values)]


RULES: dict[str, Callable[[Case], Errors]] = {
    **dict.fromkeys(
        (
            "Reshape",
            "Transpose",
            "Concat",
            "Slice",
            "Expand",
            "Pad",
            "Tile",
            "DepthToSpace",
            "SpaceToDepth",
            "Trilu",
        ),
        moved,
    ),
    **dict.fromkeys(("Gather", "GatherElements", "GatherND", "ReverseSequence"), picked),
    "ScatterElements": scattered,
    "ScatterND": scattered,
    "TensorScatter": written,
    "OneHot": one_hot,
    "Resize": resized,
    "Range": generated,
    "EyeLike": generated,
    "ArgMax": best_index,
    "ArgMin": best_index,
    "Hardmax": hardmax,
    "TopK": top_k,
}
