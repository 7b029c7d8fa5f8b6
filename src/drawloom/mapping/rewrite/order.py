"""The order of nodes: what is one value a channel is made before the images and rows that it joins.

Numbers that are made of codes stand just before what reads them.
"""

from __future__ import annotations

from dataclasses import replace

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, Node
from drawloom.mapping.fuse.quantized import is_convolution
from drawloom.mapping.rewrite.legalise import BROADCASTING, broadcast_kind

LIGHT = (*BROADCASTING, "Reshape", "Slice", "Cast", "Neg")  # work that is no piece worth naming


def channels_first(graph: Graph) -> Graph:
    """Return the graph with what is one value a channel early enough to join pieces."""
    return _rows_soon(_images_first(graph))


def _rows_soon(graph: Graph) -> Graph:
    """Return the graph with light work on one row that rows are to be joined with right behind its operands.

    What is heavy stays where it is: layers go on looking alike.
    """
    made = {value: node for node in graph.nodes for value in node.outputs}
    wanted: set[str] = set()
    light: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op in BROADCASTING and len(node.outputs) == 1:
            wanted |= set(_operands(graph, node, "last")) & made.keys()
        if wanted.intersection(node.outputs) and _is_light(graph, node):
            light.add(node.name)
            wanted.update(node.inputs)
    if not light:
        return graph
    graph = _once(graph, light)
    rank: dict[str, tuple[int, ...]] = {}
    for at, node in enumerate(graph.nodes):
        before = [rank[made[v].name] for v in node.inputs if v in made]
        rank[node.name] = (*max(before), at) if node.name in light and before else (at,)
    return replace(graph, nodes=tuple(sorted(graph.nodes, key=lambda node: rank[node.name])))


def _once(graph: Graph, light: set[str]) -> Graph:
    """Return the graph with light work that many nodes do alike done by the first of them.

    Moved out of their layers, such as a mask of all layers, they would keep these from looking alike.
    """
    now: dict[str, str] = {}
    known: dict[object, Node] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        own = replace(node, inputs=tuple(now.get(v, v) for v in node.inputs))
        key = own.op, repr(sorted(own.attrs.items())), own.inputs, graph.types[own.outputs[0]]
        is_light = node.name in light and own.outputs[0] not in graph.outputs
        first = known.setdefault(key, own) if is_light else own
        if first is own:
            kept.append(own)
        else:
            now[own.outputs[0]] = first.outputs[0]
    types = {value: kind for value, kind in graph.types.items() if value not in now}
    return replace(graph, nodes=tuple(kept), types=types)


def _is_light(graph: Graph, node: Node) -> bool:
    kinds = [graph.types[v] for v in (*node.inputs, *node.outputs) if v in graph.types]
    one = all(not kind.shape or kind.size == kind.shape[-1] for kind in kinds)
    return one and node.op in LIGHT


def _images_first(graph: Graph) -> Graph:
    """Return the graph with computed operands of one value a channel as early as they can be made.

    Work with such an operand can then join the piece that makes the image, which would otherwise
    be planned before the operand. What itself comes out of a convolution stays where it is.
    """
    made = {value: node for node in graph.nodes for value in node.outputs}
    early: dict[str, bool] = {}  # by node: whether no convolution stands behind it
    for node in graph.nodes:
        behind = (made[v].name for v in node.inputs if v in made)
        early[node.name] = not is_convolution(node) and all(early[name] for name in behind)
    wanted: set[str] = set()
    for node in graph.nodes:
        if node.op in BROADCASTING and len(node.outputs) == 1:
            wanted |= set(_operands(graph, node, "image")) & made.keys()
    chosen: set[str] = set()
    for node in reversed(graph.nodes):
        if early[node.name] and wanted.intersection(node.outputs):
            chosen.add(node.name)
            wanted.update(node.inputs)
    if not chosen:
        return graph
    first = [node for node in graph.nodes if node.name in chosen]
    rest = [node for node in graph.nodes if node.name not in chosen]
    return replace(graph, nodes=(*first, *rest))


def codes_late(graph: Graph) -> Graph:
    """Return the graph with numbers that are made of codes as late as they are needed."""
    users = graph.consumers()
    late: dict[str, Node] = {}  # by the node that needs it
    for node in graph.nodes:
        coded = node.op == "DequantizeLinear" and graph.types[node.inputs[0]].dtype is DType.I8
        readers = users.get(node.outputs[0], []) if coded else []
        if len(readers) == 1 and readers[0].op != "DequantizeLinear":
            late[readers[0].name] = node
    moved = {node.name for node in late.values()}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name not in moved:
            nodes += [late[node.name]] if node.name in late else []
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes)) if moved else graph


def _operands(graph: Graph, node: Node, kind: str) -> list[str]:
    """The computed operands of a node that are one value a channel: of an image, or of rows."""
    shape = graph.types[node.outputs[0]].shape
    out: list[str] = []
    for value in node.inputs:
        have = graph.types[value].shape
        is_made = value not in graph.constants and have != shape
        if is_made and broadcast_kind(have, shape, False, flat=False) == kind:
            out.append(value)
    return out
