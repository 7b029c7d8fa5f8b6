"""Nodes that only move elements: as other names for the same bytes, or as copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drawloom.graph.ir import Node
from drawloom.mapping.layout.renamed import Index, offset_in, taken_by
from drawloom.mapping.layout.site import Site
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.layout.store import Key, is_linear, same_geometry


def move(site: Site, nodes: Sequence[Node], layout: str) -> None:
    """Carry out a move, the result of its last node in ``layout``.

    Nodes after the first turn what the one before gives, which nothing else reads.
    """
    node, out = nodes[0], nodes[-1].outputs[0]
    if site.turned.get(node.inputs[0]) == out:
        return  # it was written so
    if out in site.residency.address:
        site.made(out, layout)  # tiles hold it where they hold what it is another name of
        return
    if len(nodes) == 1 and node.op == "Reshape" and _alias(site, node, layout):
        return
    if len(nodes) == 1 and node.op == "Concat" and _joined(site, node, layout):
        return
    taken = taken_by(site.graph, nodes)
    sources = [value for value in node.inputs if value]
    if len(nodes) > 1:
        offset = _stays(site, sources, taken, (out, layout))
        if offset is not None:
            key = sources[0], site.home[sources[0]]
            site.store.same_bytes((out, layout), key, offset)
            return
    target = site.made(out, layout)
    parts = [
        (site.as_stored(value), target, each) for value, each in zip(sources, taken, strict=False)
    ]
    site.copy(nodes[-1].name, nodes[-1].name, parts, _fill(site, node, target))


def _stays(site: Site, sources: list[str], taken: list[Index], out: Key) -> int | None:
    """Return how many bytes within the first source all elements of the result already lie as it has them.

    None where they do not.
    """
    value = sources[0]
    if len(taken) != 1 or value in site.graph.constants or out[0] in site.graph.outputs:
        return None
    kind = site.graph.types[out[0]]
    source = site.as_stored(value)
    # Not through the store: what stands there counts as written.
    target = Storage(out[0], kind.dtype, kind.shape, out[1], site.chip.blocking)
    return None if source.per_tile else offset_in(source, target, taken[0])


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


def _joined(site: Site, node: Node, layout: str) -> bool:
    """Let images of whole blocks be made where the image that joins their channels has them.

    Of a single image one block of channels follows the other, so that nothing is left to move.
    """
    out, store = node.outputs[0], site.store
    kind, block = site.graph.types[out], site.chip.blocking.of(site.graph.types[out].dtype.bytes)
    if layout != "image" or kind.shape[0] != 1 or node.int("axis") % len(kind.shape) != 1:
        return False
    channels = [site.graph.types[value].shape[1] for value in node.inputs]
    even = all(n % block == 0 for n in channels) and len(set(node.inputs)) == len(node.inputs)
    keys = [(value, "image") for value in node.inputs]
    if not even or out in site.graph.outputs or out in site.residency.address:
        return False
    if not all(_is_movable(site, key) for key in keys):
        return False
    store.value(out, layout)
    offset = 0
    for key in keys:
        store.put_inside(key, (out, layout), offset)
        offset += store.made[key].bytes
    return True


def _is_movable(site: Site, key: Key) -> bool:
    """Whether a storage is a piece's result that may lie anywhere."""
    store, value = site.store, key[0]
    free = value not in site.graph.constants and value not in site.graph.outputs
    made = store.made.get(key)
    return (
        free and site.home[value] == key[1] and made is not None and made.kind == "temporary"
        and key not in store.alias and key in store.used and key not in store.in_place
        and all(key not in (each.enter, each.made, each.leave) for each in store.handed)
    )  # fmt: skip


def _fill(site: Site, node: Node, target: Storage) -> tuple[tuple[Storage, float], ...]:
    if node.op != "Pad" or node.str("mode", "constant") != "constant":
        return ()
    value = node.inputs[1] if len(node.inputs) > 1 else ""
    constant = np.asarray(site.graph.constants[value], np.float64).reshape(()) if value else 0.0
    return ((target, float(constant)),)
