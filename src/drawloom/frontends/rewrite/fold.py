"""Constant factors, shifts and padding go into the weights of the node before or after them.

Products are taken in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.frontends.rewrite.match import along, with_constant
from drawloom.graph.ir import Array, Graph, Node
from drawloom.graph.rounding import narrow, wide

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FoldBatchNorm:
    """Fold BatchNormalization into the convolution before it; elsewhere make it Mul and Add."""

    name: ClassVar[str] = "fold-batchnorm"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph without BatchNormalization on constants."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        if node.op != "BatchNormalization":
            return None
        arrays = [edit.array(v) for v in node.inputs[1:]]
        if any(a is None for a in arrays):
            return None
        scale, bias, mean, var = (wide(a) for a in arrays if a is not None)
        factor = scale / np.sqrt(var + node.float("epsilon", 1e-5))
        shift = bias - mean * factor
        if not np.all(np.isfinite(factor)) or not np.all(np.isfinite(shift)):
            return None
        x = node.inputs[0]
        folded = into_convolution(edit, x, factor, shift, node)
        if folded is not None:
            return [folded]
        trailing = (-1, *(1,) * (len(edit.shape(x)) - 2))
        grown = edit.emit("Mul", (x, _like(edit, x, factor.reshape(trailing), node, "scale")), node)
        return [
            edit.emit("Add", (grown, _like(edit, x, shift.reshape(trailing), node, "shift")), node)
        ]


def _like(edit: Edit, x: str, values: Vector, node: Node, what: str) -> str:
    """Add a constant of x's dtype, rounded once."""
    return edit.constant(narrow(values, edit.type(x).dtype.numpy), node, what)


def into_convolution(
    edit: Edit, x: str, factor: Vector | None, shift: Vector | None, node: Node
) -> str | None:
    """Return the convolution that makes x with a factor and a shift for each channel.

    None where x is made otherwise, or read by others, or its weights are no constants.
    """
    conv = edit.producer(x, "Conv", "ConvTranspose")
    if conv is None or edit.uses(x) != 1:
        return None
    source, kernel, bias_name = (*conv.inputs, "")[:3]
    weights = edit.array(kernel)
    bias = edit.array(bias_name) if bias_name else None
    if weights is None or (bias_name and bias is None):
        return None
    channels = edit.shape(x)[1]
    total = np.zeros(channels) if bias is None else wide(bias)
    if factor is not None:
        total = total * factor
        scaled = _scaled_kernel(conv, weights, factor)
        kernel = edit.constant(narrow(scaled, weights.dtype), conv, "weight")
    total = total if shift is None else total + shift
    inputs = [source, kernel]
    if bias is not None or shift is not None:
        inputs.append(edit.constant(narrow(total, weights.dtype), conv, "bias"))
    return edit.emit(conv.op, inputs, conv, **conv.attrs)


def _scaled_kernel(conv: Node, weights: Array, factor: Vector) -> NDArray[Any]:
    """Multiply each output channel's weights: axis 0 of Conv's, axis 1 in each group transposed."""
    if conv.op == "Conv":
        return wide(weights) * factor.reshape(-1, *(1,) * (weights.ndim - 1))
    group = conv.int("group", 1)
    per = factor.reshape(group, 1, -1, *(1,) * (weights.ndim - 2))
    split = wide(weights).reshape(group, -1, *weights.shape[1:])
    return (split * per).reshape(weights.shape)


@dataclass(frozen=True, slots=True)
class FoldScale:
    """Fold factors and shifts by constants into weights, or into one another."""

    name: ClassVar[str] = "fold-scale"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with fewer Mul, Div, Add and Sub by constants."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        found = _affine(edit, node)
        if found is None:
            return None
        x, factor, shift = found
        if edit.uses(x) != 1:
            return None
        made = _into_conv(edit, x, factor, shift, node)
        if made is None and factor is not None:
            made = _into_matmul(edit, x, factor, node) or _merged_factor(edit, x, factor, node)
        if made is None and shift is not None:
            made = _merged_shift(edit, x, shift, node)
        return None if made is None else [made]


def _affine(edit: Edit, node: Node) -> tuple[str, Vector | None, Vector | None] | None:
    """Return x, factor, shift of a node that is x times or plus a finite constant."""
    if node.op not in ("Mul", "Div", "Add", "Sub") or not edit.result(node).dtype.is_float:
        return None
    found = with_constant(edit, node, ordered=node.op in ("Div", "Sub"))
    if found is None:
        return None
    x, array = found
    values = wide(array)
    if edit.shape(x) != edit.result(node).shape or not np.all(np.isfinite(values)):
        return None
    if node.op == "Div":
        # a reciprocal is rounded: exact only for powers of two, close enough in float64
        return (x, 1.0 / values, None) if np.all(values) else None
    if node.op == "Mul":
        return x, values, None
    return x, None, values if node.op == "Add" else -values


def _into_conv(
    edit: Edit, x: str, factor: Vector | None, shift: Vector | None, node: Node
) -> str | None:
    shape = edit.shape(x)
    if len(shape) < 3:
        return None
    given = factor if factor is not None else shift
    assert given is not None
    vector = along(given, shape, 1)
    if vector is None:
        return None
    if factor is not None:
        return into_convolution(edit, x, vector, None, node)
    return into_convolution(edit, x, None, vector, node)


def _into_matmul(edit: Edit, x: str, factor: Vector, node: Node) -> str | None:
    """Scale the columns of a MatMul's constant second operand."""
    product = edit.producer(x, "MatMul")
    weights = edit.array(product.inputs[1]) if product is not None else None
    vector = along(factor, edit.shape(x), len(edit.shape(x)) - 1) if edit.shape(x) else None
    if product is None or weights is None or vector is None or weights.ndim < 2:
        return None
    per = vector[:, None] if product.int("trans_b") else vector
    scaled = edit.constant(narrow(wide(weights) * per, weights.dtype), product, "weight")
    return edit.emit("MatMul", (product.inputs[0], scaled), product, **product.attrs)


def _merged_factor(edit: Edit, x: str, factor: Vector, node: Node) -> str | None:
    """x * a * b = x * (a b); (x * a + c) * b = x * (a b) + c b."""
    inner = edit.producer(x, "Mul", "Div", "Add", "Sub")
    found = _affine(edit, inner) if inner is not None else None
    if inner is None or found is None:
        return None
    source, first, shift = found
    if first is not None:
        both = _like(edit, x, first * factor, node, "scale")
        return edit.emit("Mul", (source, both), node)
    before = edit.producer(source, "Mul", "Div")
    if before is None or shift is None or _affine(edit, before) is None:
        return None
    grown = edit.emit("Mul", (source, _like(edit, x, factor, node, "scale")), before)
    return edit.emit("Add", (grown, _like(edit, x, shift * factor, node, "shift")), node)


def _merged_shift(edit: Edit, x: str, shift: Vector, node: Node) -> str | None:
    """x + a + b = x + (a + b)."""
    inner = edit.producer(x, "Add", "Sub")
    found = _affine(edit, inner) if inner is not None else None
    if found is None or found[2] is None:
        return None
    return edit.emit("Add", (found[0], _like(edit, x, found[2] + shift, node, "shift")), node)


@dataclass(frozen=True, slots=True)
class FoldPad:
    """Let a convolution pad with zeros by itself."""

    name: ClassVar[str] = "fold-pad"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with fewer Pads."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        pad = edit.producer(node.inputs[0], "Pad") if node.op == "Conv" else None
        if pad is None or pad.str("mode", "constant") != "constant":
            return None
        source, fill_name = (*pad.inputs, "")[:2]
        fill = edit.array(fill_name) if fill_name else np.zeros(1)
        pads = pad.ints("pads")
        rank = len(pads) // 2
        before, after = pads[:rank], pads[rank:]
        if fill is None or np.any(fill) or min(pads) < 0 or any(before[:2] + after[:2]):
            return None
        own = node.ints("pads", (0,) * 2 * (rank - 2))
        total = tuple(a + b for a, b in zip(own, before[2:] + after[2:], strict=True))
        attrs = {**node.attrs, "pads": total}
        return [edit.emit("Conv", (source, *node.inputs[1:]), node, **attrs)]
