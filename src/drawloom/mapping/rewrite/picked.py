"""Weights that are picked by index: one matrix of a stack for each matrix of a product.

    TopK -> numbers;  Gather(stack, numbers) -> MatMul

The product reads the matrices it needs where they lie (``Pick``), by the numbers in DRAM: they
are not gathered first. So do codes and scales that are picked alike. A number of TopK is never
negative nor too large, which that of another operator may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, Node


@dataclass(frozen=True, slots=True)
class Picked:
    """A stack of matrices [entries, inputs, channels], and the numbers [...] of those wanted."""

    stack: str
    numbers: str
    node: str


def picked(
    graph: Graph, made: dict[str, Node], readers: dict[str, list[Node]], value: str
) -> Picked | None:
    """Return what a value is picked from; None where it is not, or is wanted as a whole, too."""
    node = made.get(value)
    if node is None or node.op != "Gather" or node.int("axis") or value in graph.outputs:
        return None
    if len(readers[value]) > 1:
        return None
    stack, numbers = node.inputs
    maker = made.get(numbers)
    fits = stack in graph.constants and len(graph.types[stack].shape) == 3
    chosen = maker is not None and maker.op == "TopK" and maker.outputs[1:] == (numbers,)
    known = graph.types[numbers].dtype is DType.I64
    return Picked(stack, numbers, node.name) if fits and chosen and known else None


def find_picked(graph: Graph) -> dict[str, Picked]:
    """Return the weights that products pick themselves, by the value that a MatMul reads."""
    made, readers = graph.producers(), graph.consumers()
    out: dict[str, Picked] = {}
    for node in graph.nodes:
        if node.op != "MatMul" or node.int("trans_b") or readers[node.inputs[1]] != [node]:
            continue
        found = picked(graph, made, readers, node.inputs[1])
        if found and node.inputs[0] != node.inputs[1] and one_each(graph, node):
            out[node.inputs[1]] = found
    return out


def one_each(graph: Graph, node: Node) -> bool:
    """Whether a product has a matrix of its second operand for each matrix of its result."""
    return graph.types[node.inputs[1]].shape[:-2] == graph.types[node.outputs[0]].shape[:-2]
