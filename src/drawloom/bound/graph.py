"""The bound of a graph, as a whole and layer by layer.

Only what the outputs depend on counts, and of nodes that do the same to the same values one. What
depends on constants alone may be worked out beforehand: it costs the reading of its result, or of
its constants where these are smaller. A number alone may stand in a command and costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from drawloom.bound.model import Bound, bound_of
from drawloom.bound.work import node_functions, node_macs
from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph, Node

NameOf = Callable[[Node], str]
# Operators that read of their first operand no more than they give.
_PICKS = ("Gather", "GatherElements", "GatherND", "Slice", "Split")


@dataclass(slots=True)
class _Work:
    """What some nodes must do."""

    macs: Counter[str] = field(default_factory=Counter[str])
    functions: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    def bound(self, chip: Chip) -> Bound:
        return bound_of(chip, self.macs, self.functions, self.read_bytes, self.write_bytes)


def bound(graph: Graph, chip: Chip) -> Bound:
    """Return the bound of a graph on a chip."""
    return _work(graph, lambda _: "").get("", _Work()).bound(chip)


def layer_bounds(graph: Graph, chip: Chip, layer_of: Mapping[str, str]) -> dict[str, Bound]:
    """Return the bound of each layer by itself; bytes count where they are read or written first.

    Args:
        graph: the model.
        chip: the machine.
        layer_of: what a layer's name in the graph goes by; layers that are left out have none.
    """
    made = _work(graph, lambda node: layer_of.get(node.layer or node.name, ""))
    return {name: work.bound(chip) for name, work in made.items() if name}


def _work(graph: Graph, name: NameOf) -> dict[str, _Work]:
    """Return what the nodes of each name must do."""
    nodes = _live(graph)
    known = _known(graph, nodes)
    work: dict[str, _Work] = {}
    for node in nodes:
        if node.outputs[0] in known:
            continue
        mine = work.setdefault(name(node), _Work())
        fmt, count = node_macs(node, graph.types)
        mine.macs[fmt] += count
        mine.functions += node_functions(node, graph.types)
    _count_reads(graph, nodes, known, work, name)
    made = {value: node for node in nodes for value in node.outputs}
    for value in dict.fromkeys(graph.outputs):
        node = made.get(value)
        grown = node is not None and node.op == "TensorScatter" and node.inputs[0] in graph.inputs
        owner = work.setdefault(name(node) if node else "", _Work())
        owner.write_bytes += graph.types[node.inputs[1] if node and grown else value].bytes
    return work


def _live(graph: Graph) -> list[Node]:
    """Return the nodes that outputs depend on; of nodes that are alike, the first."""
    needed, kept = set(graph.outputs), list[Node]()
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(value for value in node.inputs if value)
            kept.append(node)
    first: dict[str, str] = {}
    seen: dict[object, Node] = {}
    found: list[Node] = []
    for node in reversed(kept):
        inputs = tuple(first.get(value, value) for value in node.inputs)
        key = node.op, inputs, repr(sorted(node.attrs.items())), len(node.outputs)
        if key in seen:
            first.update(zip(node.outputs, seen[key].outputs, strict=True))
        else:
            seen[key] = node
            found.append(node)
    return found


def _known(graph: Graph, nodes: Iterable[Node]) -> dict[str, tuple[int, frozenset[str]]]:
    """Return values that are constant: the least bytes that hold them, and which constants these are."""
    known = {
        value: (0 if kind.size == 1 else kind.bytes, frozenset((value,)))
        for value, kind in ((c, graph.types[c]) for c in graph.constants)
    }
    for node in nodes:
        inputs = [value for value in node.inputs if value]
        if all(value in known for value in inputs):
            cost = sum(known[value][0] for value in inputs)
            roots = frozenset[str]().union(*(known[value][1] for value in inputs))
            for value in node.outputs:
                if value:
                    kind = graph.types[value]
                    known[value] = 0 if kind.size == 1 else min(cost, kind.bytes), roots
    return known


def _count_reads(
    graph: Graph,
    nodes: list[Node],
    known: Mapping[str, tuple[int, frozenset[str]]],
    work: dict[str, _Work],
    name: NameOf,
) -> None:
    """Add the bytes of inputs and constants, each where it is needed first."""
    need: Counter[str] = Counter()
    reader: dict[str, str] = {}
    outside = set(graph.inputs) | set(known)
    for node in nodes:
        if node.outputs[0] in known:
            continue
        for at, value in enumerate(node.inputs):
            if value in outside:
                reader.setdefault(value, name(node))
                picked = node.op in _PICKS and at == 0
                size = sum(graph.types[v].bytes for v in node.outputs if v) if picked else None
                need[value] += graph.types[value].bytes if size is None else size
    for value in graph.outputs:
        if value in outside:
            reader.setdefault(value, "")
            need[value] += graph.types[value].bytes
    counted: set[str] = set()
    for value in sorted(need, key=lambda v: (-known.get(v, (0,))[0], v)):
        cost = graph.types[value].bytes
        if value in known:
            cost, roots = known[value]
            if counted & roots:
                continue
            counted |= roots
        work.setdefault(reader[value], _Work()).read_bytes += min(cost, need[value])
