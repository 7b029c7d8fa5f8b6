"""Normalizations spelled with nodes that chips have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.graph.ir import Graph, Node
from drawloom.graph.rounding import narrow


@dataclass(frozen=True, slots=True)
class DecomposeLRN:
    """Spell LRN as squares, a 1x1 convolution whose weights are a band of ones, a power, a product.

    x is scaled by sqrt(alpha / size) before it is squared, not after, so that
    squares stay small in half precision and the band is exact.
    """

    name: ClassVar[str] = "decompose-lrn"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph without LRN."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        alpha = node.float("alpha", 1e-4)
        if node.op != "LRN" or alpha < 0:
            return None
        x = node.inputs[0]
        shape, dtype = edit.shape(x), edit.type(x).dtype.numpy
        size, channels = node.int("size"), shape[1]
        rows = np.arange(channels)
        ahead = rows[None, :] - rows[:, None]
        near = (ahead >= -((size - 1) // 2)) & (ahead <= math.ceil((size - 1) / 2))
        dims = (1,) * max(1, len(shape) - 2)
        band = edit.constant(near.astype(dtype).reshape(channels, channels, *dims), node, "band")
        bias = edit.constant(np.full(channels, node.float("bias", 1.0)).astype(dtype), node, "bias")
        part = edit.emit("Mul", (x, _number(edit, x, math.sqrt(alpha / size), node)), node)
        square = edit.emit("Mul", (part, part), node)
        tall = square if len(shape) > 2 else _reshaped(edit, square, (*shape, 1), node)
        total = edit.emit("Conv", (tall, band, bias), node, kernel_shape=dims)
        total = total if len(shape) > 2 else _reshaped(edit, total, shape, node)
        exponent = _number(edit, x, -node.float("beta", 0.75), node)
        return [edit.emit("Mul", (x, edit.emit("Pow", (total, exponent), node)), node)]


@dataclass(frozen=True, slots=True)
class DecomposeNorms:
    """Spell Instance-, Group- and LpNormalization by simpler nodes.

    Instance and group statistics are LayerNormalization over elements brought
    together, so that mean and variance stay inside one node.
    """

    name: ClassVar[str] = "decompose-norms"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph without them."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        if node.op == "LpNormalization":
            return _lp(edit, node)
        if node.op not in ("InstanceNormalization", "GroupNormalization"):
            return None
        x, scale, bias = node.inputs
        shape = edit.shape(x)
        known = all(edit.held(v) is not None for v in (scale, bias))
        if node.op == "GroupNormalization" and len(shape) == 4 and known:
            return None  # chips sum the pixels of an image as they lie
        groups = node.int("num_groups", shape[1])
        rows = math.prod(shape[1:]) // groups
        flat = _reshaped(edit, x, (shape[0], groups, rows), node)
        ones = edit.constant(np.ones(1, edit.type(x).dtype.numpy), node, "ones")
        attrs = {"axis": -1, "epsilon": node.float("epsilon", 1e-5)}
        normal = _reshaped(
            edit, edit.emit("LayerNormalization", (flat, ones), node, **attrs), shape, node
        )
        trailing = (shape[1], *(1,) * (len(shape) - 2))
        scale, bias = (_reshaped(edit, v, trailing, node) for v in (scale, bias))
        return [edit.emit("Add", (edit.emit("Mul", (normal, scale), node), bias), node)]


def _lp(edit: Edit, node: Node) -> Sequence[str]:
    """A norm of 0 is divided by as 1, so that zeros stay zeros."""
    x = node.inputs[0]
    op = "ReduceL1" if node.int("p", 2) == 1 else "ReduceL2"
    axis = node.int("axis", -1) % len(edit.shape(x))
    norm = edit.emit(op, (x,), node, axes=(axis,), keepdims=1)
    is_zero = edit.emit("Equal", (norm, _number(edit, x, 0.0, node)), node)
    safe = edit.emit("Where", (is_zero, _number(edit, x, 1.0, node), norm), node)
    return [edit.emit("Div", (x, safe), node)]


def _number(edit: Edit, x: str, value: float, node: Node) -> str:
    """Add a scalar of x's dtype."""
    return edit.constant(narrow(np.asarray(value), edit.type(x).dtype.numpy), node, "value")


def _reshaped(edit: Edit, x: str, shape: tuple[int, ...], node: Node) -> str:
    return x if edit.shape(x) == shape else edit.emit("Reshape", (x,), node, shape=shape)
