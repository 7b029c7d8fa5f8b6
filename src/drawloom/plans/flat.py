"""Products whose results leave a stretch: in the shape in which they are made, and few rows' as one.

A mapper does (batch, 1, channels) as (batch, channels), and copies results to their shapes. What is
only handed on has the same bytes in either, and is not copied before it is exchanged.

Queries, keys and values of a chip are few channels of the same rows, whose weights have come while a
sum was waited for: one product of all has one beginning and one end where three would have three.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from drawloom.graph.ir import Graph, Node
from drawloom.graph.lazy import Constants
from drawloom.graph.tensor import TensorType
from drawloom.mapping.rewrite.flatten import flatten
from drawloom.mapping.rewrite.joint import LEAST_ROWS, beside


def flat(graph: Graph, ends: Container[str]) -> Graph:
    """Return a stretch's graph without reshapes of products at its end, those of few rows together.

    Args:
        graph: what one chip has of the stretch.
        ends: values of the whole whose shapes are seen, its inputs and outputs.
    """
    rows = flatten(graph)
    readers = rows.consumers()
    makers = {value: node for node in rows.nodes for value in node.outputs}
    names: dict[str, str] = {}
    for value in rows.outputs:
        node = makers.get(value)
        if value in ends or node is None or node.op != "Reshape" or readers.get(value):
            continue
        inner = node.inputs[0]
        made = makers.get(inner)
        if made and made.op == "MatMul" and inner not in rows.outputs and inner not in names:
            names[inner] = value
    if not names:
        return graph
    gone = set(names.values())
    nodes = tuple(_renamed(node, names) for node in rows.nodes if gone.isdisjoint(node.outputs))
    types = {names.get(v, v): kind for v, kind in rows.types.items() if v not in gone}
    return _together(replace(rows, nodes=nodes, types=types), list(names.values()))


def _together(graph: Graph, results: Sequence[str]) -> Graph:
    """Return a graph with products of one operand, whose results leave it, as one and a slice for each."""
    by_operand: dict[object, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "MatMul" and node.outputs[0] in results and not node.attrs:
            kind, weight = (graph.types[value] for value in node.inputs[:2])
            plain = len(node.inputs) == 2 and len(weight.shape) == 2 and weight.dtype.bytes == 2
            if plain and node.inputs[1] in graph.constants and kind.shape[0] < LEAST_ROWS:
                by_operand.setdefault((node.inputs[0], weight.dtype), []).append(node)
    for products in by_operand.values():
        if len(products) > 1:
            graph = _joined(graph, products)
    return graph


def _joined(graph: Graph, products: Sequence[Node]) -> Graph:
    first, operand = products[0], products[0].inputs[0]
    types, held = dict(graph.types), dict(graph.constants.held)
    weights = [node.inputs[1] for node in products]
    widths = [types[weight].shape[1] for weight in weights]
    weight, made = f"{weights[0]}.beside", f"{first.name}.beside"
    rows, depth = types[operand].shape
    types[weight] = TensorType(types[weights[0]].dtype, (depth, sum(widths)))
    types[made] = replace(types[first.outputs[0]], shape=(rows, sum(widths)))
    held[weight] = beside([held[each] for each in weights], types[weight])
    nodes: list[Node] = []
    for node in graph.nodes:
        if node is first:
            inputs = operand, weight
            nodes.append(Node(made, "MatMul", inputs, (made,), {}, first.layer))
        if node in products:
            start = sum(widths[: products.index(node)])
            attrs = {
                "starts": (start,),
                "ends": (start + types[node.inputs[1]].shape[1],),
                "axes": (1,),
            }
            nodes.append(Node(node.name, "Slice", (made,), node.outputs, attrs, node.layer))
        else:
            nodes.append(node)
    read = {value for node in nodes for value in node.inputs}
    kept = {name: array for name, array in held.items() if name in read}
    types = {v: kind for v, kind in types.items() if v in kept or v not in held}
    return replace(graph, nodes=tuple(nodes), types=types, constants=Constants(kept))


def _renamed(node: Node, names: dict[str, str]) -> Node:
    inputs, outputs = (
        tuple(names.get(v, v) for v in values) for values in (node.inputs, node.outputs)
    )
    return replace(node, inputs=inputs, outputs=outputs)
