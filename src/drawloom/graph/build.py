"""Making graphs: every node's shapes are inferred when it is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from drawloom.errors import Fault, InputError, nearest
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Attr, Graph, Node, TensorType
from drawloom.graph.lazy import Constants, Held, LazyTensor
from drawloom.graph.operator import label
from drawloom.graph.ops import OPS


def infer_node(node: Node, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
    """Return the types of a node's outputs, given the types of named values.

    Raises:
        InputError: no such operator, or it cannot take these operands.
    """
    operator = OPS.get(node.op)
    if operator is None:
        fault = Fault("op", f"'{node.op}'", nearest(node.op, OPS))
        raise InputError("graph.node", f"{label(node)} has no such operator", [fault])
    return operator.infer(node, [types[v] if v else None for v in node.inputs])


class GraphBuilder:
    """A graph in the making; values are referred to by name."""

    def __init__(self, name: str) -> None:
        """Start an empty graph called ``name``."""
        self.name = name
        self.types: dict[str, TensorType] = {}
        self.nodes: list[Node] = []
        self._held: dict[str, Held] = {}
        self.constants = Constants(self._held)
        self.inputs: list[str] = []
        self.node_names: set[str] = set()
        self._next: dict[str, int] = {}

    def input(self, name: str, kind: TensorType) -> str:
        """Add a graph input; returns its name."""
        self._claim(name)
        self.types[name] = kind
        self.inputs.append(name)
        return name

    def constant(self, name: str, array: ArrayLike | LazyTensor) -> str:
        """Add a constant under ``name``, or the next free name like it; returns the name."""
        value = array if isinstance(array, LazyTensor) else np.asarray(array)
        unique = self.fresh(name)
        self.types[unique] = TensorType(DType.of(value.dtype), value.shape)
        self._held[unique] = value
        return unique

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Attr] | None = None,
        *,
        name: str = "",
        layer: str = "",
        output: str = "",
    ) -> str:
        """Add a node with one output; returns the output's name.

        ``name`` defaults to the operator's, ``output`` to the node's; either
        gets a number behind it where it is taken.

        Raises:
            InputError: the operator cannot take these operands.
        """
        return self.add_many(op, inputs, attrs, name=name, layer=layer, outputs=(output,))[0]

    def add_many(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Attr] | None = None,
        *,
        name: str = "",
        layer: str = "",
        outputs: Sequence[str] = ("",),
    ) -> tuple[str, ...]:
        """Add a node with as many outputs as names (or empty words) are given."""
        unique = self._free(name or op.lower(), self.node_names)
        names = tuple(self.fresh(word or unique) for word in outputs)
        self.put(Node(unique, op, tuple(inputs), names, dict(attrs or {}), layer))
        return names

    def put(self, node: Node) -> None:
        """Add a node exactly as it is; its name and its outputs' must be new.

        Raises:
            InputError: the operator cannot take these operands.
        """
        assert node.name not in self.node_names, f"node '{node.name}' defined twice"
        unknown = [v for v in node.inputs if v and v not in self.types]
        assert not unknown, f"node '{node.name}' reads undefined {unknown}"
        for value, kind in zip(node.outputs, infer_node(node, self.types), strict=True):
            if value:
                self.types[value] = kind
        self.node_names.add(node.name)
        self.nodes.append(node)

    def keep(self, node: Node, inputs: Sequence[str]) -> tuple[str, ...]:
        """Add a node as it stands in another graph, reading ``inputs``; returns its outputs."""
        return self.add_many(
            node.op,
            inputs,
            node.attrs,
            name=node.name,
            layer=node.layer,
            outputs=node.outputs,
        )

    def fresh(self, word: str) -> str:
        """Return and claim a value name that is ``word``, or ``word`` with a number."""
        name = self._free(word, self.types)
        self._claim(name)
        return name

    def finish(self, outputs: Sequence[str], *, prune: bool = False) -> Graph:
        """Return the graph; ``prune`` drops nodes and constants that no output needs.

        Raises:
            InputError: an output is not a value of the graph.
        """
        faults = [
            Fault(f"outputs[{i}]", f"'{v}'", nearest(v, self.types))
            for i, v in enumerate(outputs)
            if v not in self.types
        ]
        if faults:
            raise InputError("graph.outputs", f"graph '{self.name}' has no such value", faults)
        nodes, constants = tuple(self.nodes), dict(self._held)
        if prune:
            nodes = live_nodes(nodes, outputs)
            read = {v for node in nodes for v in node.inputs} | set(outputs)
            constants = {k: v for k, v in constants.items() if k in read}
        made = {v for node in nodes for v in node.outputs}
        known = made | set(constants) | set(self.inputs)
        types = {k: v for k, v in self.types.items() if k in known}
        return Graph(
            self.name, tuple(self.inputs), tuple(outputs), nodes, types, Constants(constants)
        )

    def _free(self, word: str, taken: Mapping[str, object] | set[str]) -> str:
        assert word, "names are never empty"
        name = word
        while name in taken:
            self._next[word] = self._next.get(word, 0) + 1
            name = f"{word}_{self._next[word]}"
        return name

    def _claim(self, name: str) -> None:
        assert name and name not in self.types, f"value '{name}' defined twice"
        self.types[name] = TensorType(DType.BOOL, (0,))


def live_nodes(nodes: Sequence[Node], outputs: Sequence[str]) -> tuple[Node, ...]:
    """Return the nodes some output depends on, in their order."""
    wanted = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(kept))


Change = Callable[[GraphBuilder, Node, Sequence[str]], Sequence[str] | None]


def rebuild(graph: Graph, change: Change, *, name: str = "") -> Graph:
    """Return a graph in which ``change`` has replaced what it wished to.

    ``change(builder, node, inputs)`` is called for each node in order, with
    the names its operands have in the new graph. It may add nodes to the
    builder and return the names that stand for the node's outputs, or return
    None to keep the node. What no output needs any more is dropped; types are
    inferred anew. A graph output keeps its name unless it was replaced.
    """
    builder = GraphBuilder(name or graph.name)
    for value in graph.inputs:
        builder.input(value, graph.types[value])
    for value, array in graph.constants.held.items():
        builder.constant(value, array)
    now = {value: value for value in (*graph.inputs, *graph.constants, "")}
    for node in graph.nodes:
        operands = [now[v] for v in node.inputs]
        made = change(builder, node, operands)
        now.update(zip(node.outputs, made or builder.keep(node, operands), strict=True))
    return builder.finish([now[v] for v in graph.outputs], prune=True)
