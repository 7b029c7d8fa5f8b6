"""A graph in the making that computes at once whatever is constant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.build import GraphBuilder, infer_node
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType
from drawloom.graph.lazy import Constants, Held, LazyTensor

LARGE_BYTES = 64 << 20
"""A constant beyond this is not computed unless that makes it smaller than its operands."""

# Dequantizing constants would trade eight bits for thirty-two and lose what the model says.
KEPT = frozenset({"DequantizeLinear"})


class Refused(Exception):
    """A node that cannot become part of a graph: what was found, what is allowed."""

    def __init__(self, found: str, allowed: str, *, sound: bool = True, unknown: str = "") -> None:
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed
        self.sound = sound
        """Whether the model is sound, so that it is drawloom that falls short."""
        self.unknown = unknown
        """The value whose numbers would have to be known."""


def folded(
    node: Node, types: Mapping[str, TensorType], constants: Constants
) -> tuple[Held, ...] | None:
    """Return the node's outputs where all its operands are constants and they stay small.

    What is made of a lazy operand is lazy again.

    Raises:
        InputError: the operator cannot take these operands.
    """
    reads = [v for v in node.inputs if v]
    if node.op in KEPT or any(v not in constants for v in reads):
        return None
    kinds = infer_node(node, types)
    operands = tuple(constants.held[v] if v else None for v in node.inputs)
    held = sum(_memory(constants.held[v]) for v in dict.fromkeys(reads))
    if sum(kind.bytes for kind in kinds) > max(LARGE_BYTES, held):
        return None
    lazy = [operand for operand in operands if isinstance(operand, LazyTensor)]
    if not lazy:
        return _evaluated(node, operands)
    source = ", ".join(dict.fromkeys(operand.source for operand in lazy))
    if any(operand.is_meta for operand in lazy):
        return tuple(LazyTensor.meta(kind, source) for kind in kinds)
    return tuple(
        LazyTensor(kind, source, partial(_output, node, operands, i))
        for i, kind in enumerate(kinds)
    )


def _output(node: Node, operands: tuple[Held | None, ...], i: int) -> Array:
    return _evaluated(node, operands)[i]


def _evaluated(node: Node, operands: tuple[Held | None, ...]) -> tuple[Array, ...]:
    arrays = tuple(v.read() if isinstance(v, LazyTensor) else v for v in operands)
    return evaluate_node(node, arrays)


def _memory(array: Held) -> int:
    """Return the bytes an array holds: a fill that repeats one number holds that number."""
    if isinstance(array, LazyTensor):
        return array.nbytes
    steps = zip(array.shape, array.strides, strict=True)
    return array.itemsize * math.prod(d for d, step in steps if step)


class Draft:
    """A GraphBuilder whose nodes on constants become constants."""

    def __init__(self, name: str) -> None:
        """Start an empty draft of a graph called ``name``."""
        self.builder = GraphBuilder(name)

    def type(self, value: str) -> TensorType:
        """Return a value's type."""
        return self.builder.types[value]

    def array(self, value: str) -> Array | None:
        """Return a value's array where it is a constant that has values."""
        constants = self.builder.constants
        return None if value not in constants or constants.is_meta(value) else constants[value]

    def constant(self, name: str, array: Held) -> str:
        """Add a constant; returns its name."""
        return self.builder.constant(name, array)

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Attr],
        name: str,
        layer: str,
        count: int = 1,
    ) -> tuple[str, ...]:
        """Add a node with ``count`` outputs, or the constants it gives; returns their names.

        Raises:
            InputError: the operator cannot take these operands.
        """
        probe = Node(name, op, tuple(inputs), tuple(f"{i}" for i in range(count)), attrs, layer)
        arrays = folded(probe, self.builder.types, self.builder.constants)
        if arrays is not None:
            return tuple(self.constant(name, a) for a in arrays[:count])
        outputs = ("",) * count
        return self.builder.add_many(op, inputs, attrs, name=name, layer=layer, outputs=outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The place of one foreign node in a draft: what is made of it is named after it.

    Attributes:
        draft: the graph in the making.
        layer: the node's name in the user's model.
        label: what nodes made here are called; the layer where it is empty.
        emitted: the values made here so far.
    """

    draft: Draft
    layer: str
    label: str = ""
    emitted: list[str] = field(default_factory=list[str])

    def emit(self, op: str, inputs: Sequence[str], **attrs: Attr) -> str:
        """Add a node; returns its first output."""
        return self.emit_many(op, inputs, 1, **attrs)[0]

    def emit_many(
        self, op: str, inputs: Sequence[str], count: int, **attrs: Attr
    ) -> tuple[str, ...]:
        """Add a node with ``count`` outputs; returns them."""
        first = self.label or self.layer
        name = f"{first}.{op.lower()}" if self.emitted else first
        made = self.draft.emit(op, inputs, attrs, name, self.layer, count)
        self.emitted.extend(made)
        return made

    def constant(self, array: NDArray[Any], what: str = "constant") -> str:
        """Add a constant; returns its name."""
        return self.draft.constant(f"{self.label or self.layer}.{what}", array)

    def number(self, value: float, like: str) -> str:
        """Add a scalar constant of the dtype that value ``like`` has."""
        dtype = self.draft.type(like).dtype.numpy
        return self.constant(np.asarray(value).astype(dtype))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Return the value in another shape (itself where it has that shape)."""
        if self.draft.type(value).shape == tuple(shape):
            return value
        return self.emit("Reshape", (value,), shape=tuple(int(d) for d in shape))


def renamed(graph: Graph, wanted: Mapping[str, str]) -> Graph:
    """Return the graph with some values under other names; what stands in the way moves.

    ``wanted`` gives no two values one name.
    """
    names = {value: wanted[value] for value in graph.types if value in wanted}
    taken = set(names.values())
    for value in graph.types:
        if value not in names:
            name = value
            while name in taken:
                name += "_"
            names[value] = name
            taken.add(name)
    names[""] = ""
    nodes = tuple(
        replace(
            node,
            inputs=tuple(names[v] for v in node.inputs),
            outputs=tuple(names[v] for v in node.outputs),
        )
        for node in graph.nodes
    )
    return Graph(
        graph.name,
        tuple(names[v] for v in graph.inputs),
        tuple(names[v] for v in graph.outputs),
        nodes,
        {names[v]: kind for v, kind in graph.types.items()},
        Constants({names[v]: held for v, held in graph.constants.held.items()}),
    )
