"""Sums that become codes: numbers in the unit of these codes.

    Q(Relu?(Conv(DQ(x), DQ(w)) + b + DQ(s)))

In the unit of the codes the sum is made codes of by rounding alone, and codes of the same scale are
numbers as they are. The scales of what is added are divided by the unit instead, which is exact where
it is a power of two; then all numbers of the sum round as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, Node

LARGEST = 2.0**64  # of a unit, and of its reciprocal: quotients of scales stay numbers of f32
Joins = Callable[[Node, float], bool]


@dataclass(frozen=True, slots=True)
class Units:
    """The unit of each sum that is made codes of, by the name of a node.

    ``sums`` are additions, ``made`` the products that one of them adds. ``codes`` are the nodes that
    make codes. Where two products are added one ``takes`` the bias of the other, which ``gives`` it.
    """

    sums: Mapping[str, float]
    made: Mapping[str, float]
    codes: frozenset[str]
    takes: Mapping[str, Node]
    gives: frozenset[str]


def find_units(graph: Graph, convolves: Joins, numbers: Callable[[Node], bool]) -> Units:
    """Return the units of a graph.

    Args:
        graph: the model.
        convolves: whether a node is a product of codes whose result may be in a unit.
        numbers: whether a node makes numbers of codes, with one scale for all.
    """
    sums: dict[str, float] = {}
    made: dict[str, float] = {}
    codes: set[str] = set()
    takes: dict[str, Node] = {}
    maker = {value: node for node in graph.nodes for value in node.outputs}
    readers = graph.consumers()
    for node in graph.nodes:
        unit = _unit(graph, node)
        added = _sum_before(graph, node, maker, readers) if unit else None
        if added is None:
            continue
        before = [maker.get(value) for value in added.inputs]
        joined = [each for each in before if each is not None and convolves(each, unit)]
        alone = all(_only(graph, readers, each.outputs[0]) for each in joined)
        plain = all(each in joined or (each is not None and numbers(each)) for each in before)
        if joined and alone and plain:
            sums[added.name] = unit
            codes.add(node.name)
            made |= {each.name: unit for each in joined}
            if len(joined) > 1:
                first, last = sorted(joined, key=graph.nodes.index)
                takes[last.name] = first
    gives = frozenset(node.name for node in takes.values())
    return Units(sums, made, frozenset(codes), takes, gives)


def _unit(graph: Graph, node: Node) -> float:
    """Return the scale of a node that makes codes with one for all; 0 of others."""
    if node.op != "QuantizeLinear" or graph.types[node.outputs[0]].dtype is not DType.I8:
        return 0.0
    scale = graph.constants.get(node.inputs[1])
    if scale is None or scale.size != 1:
        return 0.0
    unit = float(scale.reshape(()))
    return unit if 1.0 / LARGEST <= unit <= LARGEST else 0.0


def _sum_before(
    graph: Graph, node: Node, maker: Mapping[str, Node], readers: Mapping[str, Sequence[Node]]
) -> Node | None:
    """Return the addition whose result a node makes codes of, or of what Relu leaves of it."""
    value = node.inputs[0]
    before = maker.get(value)
    if before is not None and before.op == "Relu" and _only(graph, readers, value):
        value = before.inputs[0]
        before = maker.get(value)
    alike = before is not None and before.op == "Add" and _only(graph, readers, value)
    if before is None or not alike:
        return None
    shapes = {graph.types[each].shape for each in (*before.inputs, value)}
    return before if len(shapes) == 1 else None


def _only(graph: Graph, readers: Mapping[str, Sequence[Node]], value: str) -> bool:
    return len(readers.get(value, ())) == 1 and value not in graph.outputs
