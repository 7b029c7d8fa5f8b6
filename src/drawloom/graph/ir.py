"""The model as data: a frozen, typed graph of nodes. It knows no hardware.

    graph   ::= name, inputs: (name ...), outputs: (name ...), nodes, constants
    node    ::= name, op, inputs: (value ...), outputs: (value ...), attrs, layer
    value   ::= a name; its TensorType stands in ``graph.types``
    type    ::= dtype[shape]          shapes are concrete integers

Nodes stand in a topological order. A value is a graph input, a constant or
the output of exactly one node. An absent optional operand is the name "".
What each operator means is the evaluator in ``graph/ops``: shapes are never
taken on trust, they are what the operator's ``infer`` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drawloom.graph.lazy import Array, Constants
from drawloom.graph.tensor import TensorType

__all__ = ["Array", "Attr", "Graph", "Node", "TensorType"]

Attr = int | float | str | bool | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator applied to named values; ``layer`` is its name in the user's model."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict[str, Attr])
    layer: str = ""

    def int(self, key: str, default: int = 0) -> int:
        """Return an integer attribute."""
        value = self.attrs.get(key, default)
        assert isinstance(value, (int, bool)), (self.name, key, value)
        return int(value)

    def float(self, key: str, default: float = 0.0) -> float:
        """Return a number attribute as a float."""
        value = self.attrs.get(key, default)
        assert isinstance(value, (int, float)), (self.name, key, value)
        return float(value)

    def str(self, key: str, default: str = "") -> str:
        """Return a text attribute."""
        value = self.attrs.get(key, default)
        assert isinstance(value, str), (self.name, key, value)
        return value

    def ints(self, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return an attribute that is a list of integers."""
        value = self.attrs.get(key, default)
        assert isinstance(value, tuple), (self.name, key, value)
        return tuple(int(v) for v in value)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A typed graph; raises AssertionError when its own rules are broken.

    A constant is an array, or a ``LazyTensor`` that is read when it is asked for.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Constants = field(default_factory=Constants)

    def __post_init__(self) -> None:
        """Check order, single definition and types."""
        known = set(self.inputs) | set(self.constants)
        assert len(known) == len(self.inputs) + len(self.constants), "value defined twice"
        for node in self.nodes:
            for value in node.inputs:
                assert not value or value in known, f"{node.name} reads undefined '{value}'"
            for value in node.outputs:
                assert not value or value not in known, f"'{value}' defined twice"
                known.add(value)
        for value in self.outputs:
            assert value in known, f"output '{value}' is never made"
        for value in known - {""}:
            assert value in self.types, f"'{value}' has no type"
        for name, array in self.constants.held.items():
            kind = self.types[name]
            assert kind.shape == array.shape, (name, kind.text(), array.shape)
            assert kind.dtype.numpy == array.dtype, (name, kind.text(), array.dtype)

    def consumers(self) -> dict[str, list[Node]]:
        """Return, for each value, the nodes that read it, in order."""
        table: dict[str, list[Node]] = {name: [] for name in self.types}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                if value:
                    table[value].append(node)
        return table

    def producers(self) -> dict[str, Node]:
        """Return, for each value a node makes, that node."""
        return {value: node for node in self.nodes for value in node.outputs if value}

    def text(self) -> str:
        """Return the canonical text; ``drawloom.graph.text.parse`` reads it back."""
        from drawloom.graph.text import text  # the printer imports this file

        return text(self)

    def walk(self) -> Iterator[Node]:
        """Iterate over the nodes in topological order."""
        return iter(self.nodes)
