"""Nodes that only move elements: as other names for the same bytes, or as copies."""

from __future__ import annotations

import numpy as np

from drawloom.graph.ir import Array, Node
from drawloom.graph.ops import OPS
from drawloom.mapping.site import Index, Site
from drawloom.mapping.storage import Storage
from drawloom.mapping.store import is_linear, same_geometry


def move(site: Site, node: Node, layout: str) -> None:
    """Carry out a move, its result in ``layout``."""
    if node.op == "Reshape" and _alias(site, node, layout):
        return
    target = site.made(node.outputs[0], layout)
    sources = [value for value in node.inputs if value]
    parts = [
        (site.as_stored(value), target, taken)
        for value, taken in zip(sources, _moved(site, node), strict=False)
    ]
    site.copy(node.name, node.name, parts, _fill(site, node, target))


def _alias(site: Site, node: Node, layout: str) -> bool:
    """Give a reshape's result the bytes of its operand where the layouts agree."""
    value, out = node.inputs[0], node.outputs[0]
    if value in site.graph.constants or out in site.graph.outputs:
        return False
    types, home = site.graph.types, site.home[value]
    before, after = types[value].shape, types[out].shape
    size, blocking = types[value].dtype.bytes, site.chip.blocking
    if not same_geometry(before, home, after, layout) and not (
        is_linear(before, home, blocking, size) and is_linear(after, layout, blocking, size)
    ):
        return False
    site.store.value(value, home)
    site.store.same_bytes((out, layout), (value, home))
    return True


def _moved(site: Site, node: Node) -> list[Index]:
    """Run a move on element numbers: for each operand, which of its elements land where (-1: none)."""
    types = site.graph.types
    values = [value for value in node.inputs if value]
    if node.op in ("Gather", "Pad"):
        numbers = np.arange(types[values[0]].size, dtype=np.int64)
        return [_evaluate(site, node, [numbers.reshape(types[values[0]].shape)])]
    start = 0
    arrays: list[Array] = []
    spans: list[tuple[int, int]] = []
    for value in values:
        kind = types[value]
        arrays.append(np.arange(start, start + kind.size, dtype=np.int64).reshape(kind.shape))
        spans.append((start, start + kind.size))
        start += kind.size
    result = _evaluate(site, node, arrays)
    return [np.where((result >= low) & (result < high), result - low, -1) for low, high in spans]


def _evaluate(site: Site, node: Node, arrays: list[Array]) -> Index:
    if node.op == "Gather":
        arrays = [arrays[0], site.graph.constants[node.inputs[1]]]
    if node.op == "Pad" and node.str("mode", "constant") == "constant":
        arrays = [arrays[0], np.array(-1, np.int64)]
    return np.asarray(OPS[node.op].evaluate(node, tuple(arrays))[0], np.int64)


def _fill(site: Site, node: Node, target: Storage) -> tuple[tuple[Storage, float], ...]:
    if node.op != "Pad" or node.str("mode", "constant") != "constant":
        return ()
    value = node.inputs[1] if len(node.inputs) > 1 else ""
    constant = np.asarray(site.graph.constants[value], np.float64).reshape(()) if value else 0.0
    return ((target, float(constant)),)
