"""Moves by element numbers: what lands where, and whether all of it is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.graph.ir import Array, Graph, Node
from drawloom.graph.ops import OPS
from drawloom.mapping.fuse.groups import Group, Plan
from drawloom.mapping.layout.affine import physical
from drawloom.mapping.layout.storage import Storage

Index = NDArray[np.int64]
_TURNS = ("Reshape", "Transpose")


def taken_by(graph: Graph, nodes: Sequence[Node]) -> list[Index]:
    """Return for each operand of a move which of its elements land where (-1: none).

    Nodes after the first turn what the one before gives.
    """
    taken = _moved(graph, nodes[0])
    for later in nodes[1:]:
        taken = [_evaluate(graph, later, [numbers]) for numbers in taken]
    return taken


def offset_in(source: Storage, target: Storage, taken: Index) -> int | None:
    """Return the byte of a storage from which on all elements already lie as another has them; None where not."""
    if source.bytes < target.bytes:
        return None
    before, after = physical(source), physical(target)
    there = np.flatnonzero(after >= 0)
    wanted = taken.reshape(-1)[after[there]]
    first = int(np.flatnonzero(before == wanted[0])[0]) - int(there[0])
    if not 0 <= first <= len(before) - len(after):
        return None
    return first * target.dtype.bytes if np.array_equal(wanted, before[first:][there]) else None


def views(plan: Plan, graph: Graph, chip: Chip) -> Mapping[str, str]:
    """Return images that a move only gives another name, with that name: each tile has as many of either.

    Only of a batch that all tiles have a part in.
    """
    readers = graph.consumers()
    out: dict[str, str] = {}
    for group in plan.groups:
        value, made = group.nodes[0].inputs[0], group.nodes[-1].outputs[0]
        if _may_stay(plan, graph, chip, group) and len(readers[value]) == 1:
            kinds = graph.types[value], graph.types[made]
            source, target = (
                Storage(name, kind.dtype, kind.shape, "image", chip.blocking)
                for name, kind in zip((value, made), kinds, strict=True)
            )
            alike = source.blocked.step == target.blocked.step and source.bytes == target.bytes
            if alike and offset_in(source, target, taken_by(graph, group.nodes)[0]) == 0:
                out[value] = made
    return out


def _may_stay(plan: Plan, graph: Graph, chip: Chip, group: Group) -> bool:
    value, made = group.nodes[0].inputs[0], group.nodes[-1].outputs[0]
    if group.kind != "move" or any(node.op not in _TURNS for node in group.nodes):
        return False
    if value in graph.constants or value in graph.inputs or made in graph.outputs:
        return False
    shapes = [graph.types[name].shape for name in (value, made)]
    images = plan.home[value] == plan.home[made] == "image"
    return images and all(len(s) == 4 and s[0] >= chip.n_tiles for s in shapes) and (
        shapes[0][0] == shapes[1][0]
    )  # fmt: skip


def _moved(graph: Graph, node: Node) -> list[Index]:
    """Run a move on element numbers."""
    types = graph.types
    values = [value for value in node.inputs if value]
    if node.op in ("Gather", "Pad"):
        numbers = np.arange(types[values[0]].size, dtype=np.int64)
        return [_evaluate(graph, node, [numbers.reshape(types[values[0]].shape)])]
    start = 0
    arrays: list[Array] = []
    spans: list[tuple[int, int]] = []
    for value in values:
        kind = types[value]
        arrays.append(np.arange(start, start + kind.size, dtype=np.int64).reshape(kind.shape))
        spans.append((start, start + kind.size))
        start += kind.size
    result = _evaluate(graph, node, arrays)
    return [np.where((result >= low) & (result < high), result - low, -1) for low, high in spans]


def _evaluate(graph: Graph, node: Node, arrays: list[Array]) -> Index:
    if node.op == "Gather":
        arrays = [arrays[0], graph.constants[node.inputs[1]]]
    if node.op == "Pad" and node.str("mode", "constant") == "constant":
        arrays = [arrays[0], np.array(-1, np.int64)]
    return np.asarray(OPS[node.op].evaluate(node, tuple(arrays))[0], np.int64)
