"""The walk over a graph that puts nodes into kernels: what was made where, and what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drawloom.graph.ir import Graph, Node
from drawloom.routes.work import Kind, Work, kind_of


@dataclass(frozen=True, slots=True)
class Fusion:
    """What kernels take on.

    Attributes:
        epilogues: whether products do the pointwise nodes behind them.
        merges_products: whether products of one operand are one.
        has_flash: whether attention written as products and a softmax is one kernel.
        most_head: largest size of a head that such a kernel takes.
    """

    epilogues: bool = True
    merges_products: bool = True
    has_flash: bool = True
    most_head: int = 512


@dataclass(slots=True)
class Group:
    """A kernel that is being put together."""

    at: int
    kind: Kind
    work: Work
    nodes: list[Node]
    is_merged: bool = False


@dataclass(slots=True)
class Walk:
    """Kernels so far, and where values come from."""

    graph: Graph
    fusion: Fusion
    groups: list[Group] = field(default_factory=list["Group"])
    made_in: dict[str, int] = field(default_factory=dict[str, int])
    root: dict[str, str] = field(default_factory=dict[str, str])
    known: set[str] = field(default_factory=set[str])
    picked: set[str] = field(default_factory=set[str])
    readers: dict[str, list[Node]] = field(default_factory=dict[str, "list[Node]"])

    def root_of(self, value: str) -> str:
        """Return the value whose bytes these are, reshapes and the like taken back."""
        return self.root.get(value, value)

    def operands(self, node: Node) -> list[str]:
        """Return what a node reads, reshapes taken back, constants left out."""
        roots = [self.root_of(value) for value in node.inputs if value]
        return [value for value in dict.fromkeys(roots) if value not in self.known]

    def latest(self, node: Node) -> Group | None:
        """Return the last of the kernels that make a node's operands; None where none does."""
        found = [self.made_in[v] for v in self.operands(node) if v in self.made_in]
        return self.groups[max(found)] if found else None

    def begin(self, node: Node, kind: Kind, work: Work) -> None:
        """Begin a kernel with a node."""
        group = Group(len(self.groups), kind, work, [])
        self.groups.append(group)
        self.join(node, group)

    def join(self, node: Node, group: Group) -> None:
        """Add a node to a kernel."""
        group.nodes.append(node)
        for value in node.outputs:
            if value:
                self.made_in[value] = group.at


def beyond_views(walk: Walk, value: str) -> list[Node]:
    """Return the nodes that read a value, straight or through reshapes and transposes."""
    found: list[Node] = []
    for node in walk.readers[value]:
        is_view = kind_of(node) == "view" or node.op == "Transpose"
        found += beyond_views(walk, node.outputs[0]) if is_view else [node]
    return found


def results(group: Group) -> list[str]:
    """Return all values that a kernel's nodes make."""
    return [value for node in group.nodes for value in node.outputs if value]


def readers_of(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """Return the nodes that read each value, in order."""
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for value in dict.fromkeys((*node.inputs, *node.outputs)):
            readers.setdefault(value, [])
        for value in dict.fromkeys(node.inputs):
            readers[value].append(node)
    return readers
