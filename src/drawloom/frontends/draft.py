"""A graph in the making that computes at once whatever is constant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.build import GraphBuilder, infer_node
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType

LARGE_BYTES = 64 << 20
"""A constant beyond this is not computed unless that makes it smaller than its operands."""

# Dequantizing constants would trade eight bits for thirty-two and lose what the model says.
KEPT = frozenset({"DequantizeLinear"})


def folded(
    node: Node, types: Mapping[str, TensorType], constants: Mapping[str, Array]
) -> tuple[Array, ...] | None:
    """Return the node's outputs where all its operands are constants and they stay small.

    Raises:
        InputError: the operator cannot take these operands.
    """
    reads = [v for v in node.inputs if v]
    if node.op in KEPT or any(v not in constants for v in reads):
        return None
    made = sum(kind.bytes for kind in infer_node(node, types))
    held = sum(_memory(constants[v]) for v in dict.fromkeys(reads))
    if made > max(LARGE_BYTES, held):
        return None
    return evaluate_node(node, tuple(constants[v] if v else None for v in node.inputs))


def _memory(array: Array) -> int:
    """Return the bytes an array holds: a fill that repeats one number holds that number."""
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
        """Return a value's array where it is a constant."""
        return self.builder.constants.get(value)

    def constant(self, name: str, array: NDArray[np.generic]) -> str:
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
        {names[v]: array for v, array in graph.constants.items()},
    )
