"""What changes no value: constants computed, copies dropped, duplicates shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from drawloom.frontends.draft import folded
from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.frontends.rewrite.match import number
from drawloom.graph.build import live_nodes
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, Node
from drawloom.graph.lazy import Constants, LazyTensor
from drawloom.graph.ops.movement import slices_of


@dataclass(frozen=True, slots=True)
class DropDead:
    """Drop nodes and constants that no output needs."""

    name: ClassVar[str] = "drop-dead"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph without them."""
        nodes = live_nodes(graph.nodes, graph.outputs)
        read = {v for node in nodes for v in node.inputs} | set(graph.outputs)
        constants = {k: v for k, v in graph.constants.held.items() if k in read}
        if len(nodes) == len(graph.nodes) and len(constants) == len(graph.constants):
            return graph
        known = {v for node in nodes for v in node.outputs} | set(constants) | set(graph.inputs)
        types = {k: v for k, v in graph.types.items() if k in known}
        return Graph(graph.name, graph.inputs, graph.outputs, nodes, types, Constants(constants))


@dataclass(frozen=True, slots=True)
class FoldConstants:
    """Compute nodes whose operands are all constants."""

    name: ClassVar[str] = "fold-constants"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph without such nodes."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        held = {v: a for v in node.inputs if v and (a := edit.held(v)) is not None}
        if any(v not in held for v in node.inputs if v):
            return None
        made = folded(node, {v: edit.type(v) for v in held}, Constants(held))
        if made is None:
            return None
        return [edit.constant(a, node, "value") for a in made[: len(node.outputs)]]


@dataclass(frozen=True, slots=True)
class MergeDuplicates:
    """Share nodes that compute the same, and equal constants up to ``constant_bytes``."""

    name: ClassVar[str] = "merge-duplicates"
    constant_bytes: int = 1 << 16

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with one of each."""
        first: dict[object, str] = {}
        same: dict[str, str] = {}
        for value, array in graph.constants.held.items():
            key: object = id(array)
            if not isinstance(array, LazyTensor) and array.nbytes <= self.constant_bytes:
                key = (array.dtype.name, array.shape, array.tobytes())
            same[value] = first.setdefault(key, value)
        seen: dict[object, tuple[str, ...]] = {}

        def rule(edit: Edit, node: Node) -> Sequence[str] | None:
            inputs = tuple(same.get(v, v) for v in node.inputs)
            key = (node.op, inputs, tuple(sorted(node.attrs.items())), len(node.outputs))
            if key in seen:
                return [edit.now(v) for v in seen[key]]
            seen[key] = node.outputs
            if inputs == node.inputs:
                return None
            return edit.emit_many(node.op, inputs, node, len(node.outputs), {**node.attrs})

        return rewrite(graph, rule)


@dataclass(frozen=True, slots=True)
class DropCopies:
    """Drop nodes that return an operand as it is."""

    name: ClassVar[str] = "drop-copies"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph without them (but for an output that is an input)."""
        kept = set(graph.inputs) | set(graph.constants) | set(graph.outputs)

        def rule(edit: Edit, node: Node) -> Sequence[str] | None:
            value = _copied(edit, node)
            # an Identity that gives an output its name would only come back
            if value is None or (value in kept and node.outputs[0] in graph.outputs):
                return None
            return [value]

        return rewrite(graph, rule)


_SAME_SHAPE = frozenset({"Reshape", "Expand", "Tile"})
_NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0, "Pow": 1.0}


def _copied(edit: Edit, node: Node) -> str | None:
    """Return the operand that a node only copies."""
    if not node.inputs or not node.inputs[0]:
        return None
    x = node.inputs[0]
    kind = edit.type(x)
    if node.op == "Identity" or (node.op == "Concat" and len(node.inputs) == 1):
        return x
    if node.op in _SAME_SHAPE:
        return x if _shape_after(edit, node) == kind.shape else None
    if node.op == "Cast":
        return _cast_back(edit, node)
    if node.op == "Transpose":
        return x if node.ints("perm") == tuple(range(len(kind.shape))) else None
    if node.op == "Slice":
        parts = zip(slices_of(node, kind.shape), kind.shape, strict=True)
        return x if all(s.indices(d) == (0, d, 1) for s, d in parts) else None
    if node.op == "Pad":
        return None if any(node.ints("pads")) else x
    return _neutral(edit, node) if node.op in _NEUTRAL else None


def _shape_after(edit: Edit, node: Node) -> tuple[int, ...]:
    shape = edit.shape(node.inputs[0])
    if node.op == "Reshape":
        wanted = node.ints("shape")
        return shape if _fits(wanted, shape) else wanted
    if node.op == "Expand":
        return np.broadcast_shapes(shape, node.ints("shape"))
    return tuple(d * r for d, r in zip(shape, node.ints("repeats"), strict=True))


def _fits(wanted: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a Reshape's shape, with a -1 in it or not, is the shape there is."""
    pairs = zip(wanted, shape, strict=False)
    return len(wanted) == len(shape) and all(w in (d, -1) for w, d in pairs)


_BITS = {DType.F16: (11, 5), DType.BF16: (8, 8), DType.F32: (24, 8), DType.F64: (53, 11)}


def _cast_back(edit: Edit, node: Node) -> str | None:
    """Return what a Cast leaves alone: its own dtype, or a dtype it was widened from."""
    x, to = node.inputs[0], DType(node.str("to"))
    if edit.type(x).dtype is to:
        return x
    inner = edit.producer(x, "Cast")
    if inner is None or edit.type(inner.inputs[0]).dtype is not to:
        return None
    middle = edit.type(x).dtype
    if to not in _BITS or middle not in _BITS:
        return None
    wider = all(m >= t for m, t in zip(_BITS[middle], _BITS[to], strict=True))
    return inner.inputs[0] if wider else None


def _neutral(edit: Edit, node: Node) -> str | None:
    """Return x of x + 0, x - 0, x * 1, x / 1, x ** 1 where the constant widens nothing."""
    operands = (node.inputs, node.inputs[::-1]) if node.op in ("Add", "Mul") else (node.inputs,)
    for x, other in operands:
        fits = len(edit.shape(other)) <= len(edit.shape(x))
        if fits and number(edit, other) == _NEUTRAL[node.op]:
            return x
    return None
