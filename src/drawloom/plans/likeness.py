"""What is the same of graphs that differ in names alone: one program does for all."""

from __future__ import annotations

from hashlib import sha256

from drawloom.graph.ir import Graph

MOST = 1 << 24  # bytes of values that are read to compare them: tables, no weights


def likeness(graph: Graph) -> tuple[tuple[object, ...] | None, tuple[str, ...]]:
    """Return a key that graphs alike have in common, and the names of a graph in the key's order.

    Constants that have values are compared by them; None where those are too many to be read.
    """
    names = tuple(
        dict.fromkeys(
            (*graph.inputs, *(v for n in graph.nodes for v in (*n.inputs, *n.outputs) if v))
        )
    )
    number = {name: i for i, name in enumerate(names)} | {"": -1}
    held = [name for name in names if name in graph.constants]
    valued = [name for name in held if not graph.constants.is_meta(name)]
    if sum(graph.types[name].bytes for name in valued) > MOST:
        return None, names
    nodes = tuple(
        (n.op, tuple(sorted(n.attrs.items())), tuple(number[v] for v in n.inputs),
         tuple(number[v] for v in n.outputs))
        for n in graph.nodes
    )  # fmt: skip
    types = tuple(graph.types[name].text() for name in names)
    ends = tuple(number[v] for v in graph.inputs), tuple(number[v] for v in graph.outputs)
    values = tuple((number[v], sha256(graph.constants[v].tobytes()).digest()) for v in valued)
    return (nodes, types, ends, tuple(number[c] for c in held), values), names
