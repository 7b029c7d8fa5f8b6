"""A chip's share where the chips that look at one key head part the batch among them.

The queries of all their heads come to each for its sequences, and what it attends goes back: two
exchanges a layer in which each chip has a part for each other one. What a chip does between is
here, as a graph for its time: a reshape stands for each exchange, with as many numbers on either
side, so this graph is never run for values.
"""

from __future__ import annotations

from dataclasses import replace

from drawloom.graph.build import GraphBuilder
from drawloom.graph.ir import Graph, Node
from drawloom.graph.tensor import TensorType


def apart(graph: Graph, ways: int) -> Graph:
    """Return a decode step's share with the caches of one of ``ways`` parts of the batch."""
    if ways == 1:
        return graph
    builder = GraphBuilder(f"{graph.name}.apart{ways}")
    for value in graph.inputs:
        kind = graph.types[value]
        part = _fewer(kind, ways) if value.startswith("past.") else kind
        builder.input(value, part)
    for value, held in graph.constants.held.items():
        builder.constant(value, held)
    now = {value: value for value in (*graph.inputs, *graph.constants, "")}
    for node in graph.nodes:
        operands = [now[value] for value in node.inputs]
        if node.op == "TensorScatter" and node.inputs[0].startswith("past."):
            rest = [_first(builder, v, graph.types[v].shape[0] // ways) for v in operands[1:]]
            made = builder.keep(node, [operands[0], *rest])
        elif node.op == "Attention":
            made = (_attention(builder, node, operands, ways),)
        else:
            made = builder.keep(node, operands)
        now.update(zip(node.outputs, made, strict=True))
    return builder.finish([now[value] for value in graph.outputs])


def _attention(builder: GraphBuilder, node: Node, operands: list[str], ways: int) -> str:
    query, key, value, *masks = operands
    batch, heads, tokens, width = builder.types[query].shape
    shape = (batch // ways, heads * ways, tokens, width)
    come = builder.add(
        "Reshape", (query,), {"shape": shape}, name=f"{node.name}.come", layer=node.layer
    )
    own = [_first(builder, mask, batch // ways) for mask in masks]
    (mixed,) = builder.add_many(
        "Attention", (come, key, value, *own), node.attrs, name=node.name, layer=node.layer
    )
    back = (batch, heads, tokens, width)
    return builder.add(
        "Reshape", (mixed,), {"shape": back}, name=f"{node.name}.back", layer=node.layer
    )


def _first(builder: GraphBuilder, value: str, size: int) -> str:
    """Return the first sequences of what has one entry for each; what all share, as it is."""
    if not value or builder.types[value].shape[0] in (1, size):
        return value
    name = f"{value}.own{size}"
    if name not in builder.types:
        attrs = {"starts": (0,), "ends": (size,), "axes": (0,)}
        return builder.add("Slice", (value,), attrs, name=name)
    return name


def _fewer(kind: TensorType, ways: int) -> TensorType:
    return replace(kind, shape=(kind.shape[0] // ways, *kind.shape[1:]))
