"""LayerNormalization and RMSNormalization recognised in the arithmetic exporters write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.frontends.rewrite.match import is_square_of, number, with_constant
from drawloom.graph.ir import Array, Graph, Node

_NORMS = ("LayerNormalization", "RMSNormalization")


@dataclass(frozen=True, slots=True)
class FuseLayerNorm:
    """Make one node of (x - mean) / sqrt(variance + epsilon), its scale and its bias."""

    name: ClassVar[str] = "fuse-layernorm"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with LayerNormalization nodes."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        found = normalized(edit, node)
        if found is None:
            return _with_affine(edit, node, "LayerNormalization")
        middle, squares, axes, epsilon = found
        x = _centred(edit, middle, axes)
        if x is None or is_square_of(edit, squares) != middle:
            return None
        return [_norm(edit, "LayerNormalization", x, axes[0], epsilon, node)]


@dataclass(frozen=True, slots=True)
class FuseRMSNorm:
    """Make one node of x / sqrt(mean of squares + epsilon) and its scale."""

    name: ClassVar[str] = "fuse-rmsnorm"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with RMSNormalization nodes."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        found = normalized(edit, node)
        if found is None:
            return _with_affine(edit, node, "RMSNormalization")
        x, squares, axes, epsilon = found
        if is_square_of(edit, squares) != x or _centred(edit, x, axes) is not None:
            return None
        return [_norm(edit, "RMSNormalization", x, axes[0], epsilon, node)]


def normalized(edit: Edit, node: Node) -> tuple[str, str, tuple[int, ...], float] | None:
    """Return x, s, axes, epsilon of a node that is x / sqrt(mean of s over axes + epsilon).

    The axes are x's last ones.
    """
    found = _over_root(edit, node)
    if found is None:
        return None
    x, under = found
    add = edit.producer(under, "Add")
    shifted = with_constant(edit, add) if add is not None else None
    if shifted is None or shifted[1].size != 1:
        return None
    mean = edit.producer(shifted[0], "ReduceMean")
    if mean is None or not mean.int("keepdims", 1):
        return None
    axes = _tail(edit, mean)
    if axes is None or edit.shape(mean.inputs[0]) != edit.shape(x):
        return None
    return x, mean.inputs[0], axes, float(shifted[1].reshape(())[()])


def _tail(edit: Edit, mean: Node) -> tuple[int, ...] | None:
    """Return a reduction's axes where they are its operand's last ones."""
    rank = len(edit.shape(mean.inputs[0]))
    axes = tuple(sorted(a % rank for a in mean.ints("axes", tuple(range(rank)))))
    return axes if axes and axes == tuple(range(rank - len(axes), rank)) else None


def _over_root(edit: Edit, node: Node) -> tuple[str, str] | None:
    """Return x, y of a node that is x / sqrt(y), in any of its spellings."""
    if node.op == "Div":
        under = _root(edit, node.inputs[1])
        return (node.inputs[0], under) if under is not None else None
    if node.op != "Mul":
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        under = _inverse_root(edit, other)
        if under is not None:
            return x, under
    return None


def _root(edit: Edit, value: str) -> str | None:
    """Return y of sqrt(y) or y ** 0.5."""
    node = edit.producer(value, "Sqrt", "Pow")
    if node is None:
        return None
    return node.inputs[0] if node.op == "Sqrt" or number(edit, node.inputs[1]) == 0.5 else None


def _inverse_root(edit: Edit, value: str) -> str | None:
    """Return y of 1 / sqrt(y), reciprocal(sqrt(y)) or y ** -0.5."""
    node = edit.producer(value, "Reciprocal", "Div", "Pow")
    if node is None:
        return None
    if node.op == "Reciprocal":
        return _root(edit, node.inputs[0])
    if node.op == "Pow":
        return node.inputs[0] if number(edit, node.inputs[1]) == -0.5 else None
    return _root(edit, node.inputs[1]) if number(edit, node.inputs[0]) == 1.0 else None


def _centred(edit: Edit, middle: str, axes: tuple[int, ...]) -> str | None:
    """Return x where the value is x minus its mean over the axes."""
    sub = edit.producer(middle, "Sub")
    mean = edit.producer(sub.inputs[1], "ReduceMean") if sub is not None else None
    if sub is None or mean is None or mean.inputs[0] != sub.inputs[0]:
        return None
    if not mean.int("keepdims", 1) or _tail(edit, mean) != axes:
        return None
    return sub.inputs[0]


def _norm(edit: Edit, op: str, x: str, axis: int, epsilon: float, node: Node) -> str:
    """Return a norm whose scale is one 1, for all elements."""
    ones = edit.constant(np.ones(1, edit.type(x).dtype.numpy), node, "scale")
    return edit.emit(op, (x, ones), node, axis=axis - len(edit.shape(x)), epsilon=epsilon)


def _with_affine(edit: Edit, node: Node, op: str) -> Sequence[str] | None:
    """Give a norm the scale or the bias that follows it."""
    if node.op not in ("Mul", "Add") or (node.op == "Add" and op != "LayerNormalization"):
        return None
    found = with_constant(edit, node)
    norm = edit.producer(found[0], op) if found is not None else None
    if norm is None or found is None or edit.uses(found[0]) != 1:
        return None
    value = next(v for v in node.inputs if v != found[0])
    if not _fits_tail(edit, norm, found[1]):
        return None
    inputs = list(norm.inputs)
    if node.op == "Mul" and number(edit, inputs[1]) == 1.0 and len(inputs) == 2:
        inputs[1] = _spread(edit, norm, found[1], value)
    elif node.op == "Add" and len(inputs) == 2:
        inputs.append(_spread(edit, norm, found[1], value))
    else:
        return None
    return [edit.emit(op, inputs, norm, **norm.attrs)]


def _tail_shape(edit: Edit, norm: Node) -> tuple[int, ...]:
    shape = edit.shape(norm.inputs[0])
    return shape[norm.int("axis", -1) % len(shape) :]


def _fits_tail(edit: Edit, norm: Node, array: Array) -> bool:
    """Whether a constant is one number, or one for each normalized element."""
    wanted = _tail_shape(edit, norm)
    lead = array.shape[: max(0, array.ndim - len(wanted))]
    inner = array.shape[max(0, array.ndim - len(wanted)) :]
    whole = inner == wanted or array.size == 1
    return whole and all(d == 1 for d in lead) and array.ndim <= len(edit.shape(norm.inputs[0]))


def _spread(edit: Edit, norm: Node, array: Array, value: str) -> str:
    """Return a scale or bias in the shape of the normalized axes."""
    wanted = _tail_shape(edit, norm)
    if array.shape == wanted:
        return value
    return edit.constant(
        np.broadcast_to(array.reshape(array.shape[-len(wanted) :]), wanted), norm, "scale"
    )
