"""A graph onto one chip: rewrite, group, cut, lay out, allocate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph, Node
from drawloom.mapping import matrix, pool, strip
from drawloom.mapping.groups import Group, group_nodes
from drawloom.mapping.kinds import Kinds
from drawloom.mapping.legalise import legalise
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.moves import move
from drawloom.mapping.options import MapOptions
from drawloom.mapping.pieces import CpuPiece
from drawloom.mapping.place import place
from drawloom.mapping.residency import Residency, settle
from drawloom.mapping.site import Site
from drawloom.mapping.store import FOREVER, Store


def map_graph(graph: Graph, chip: Chip, options: MapOptions | None = None) -> Mapping:
    """Return the mapping of a graph onto a chip.

    Raises:
        DoesNotFit: a node does not fit a tile, or the model not the chip's memory.
    """
    options = options or MapOptions()
    legal = legalise(graph)
    plan = group_nodes(legal, Kinds(legal), fuse=options.fuse)
    residency = settle(plan, legal, chip) if options.resident else Residency()
    site = Site(
        legal, chip, options, Store(legal, chip.blocking), plan.home, residency, list(graph.outputs)
    )
    for value in legal.inputs:
        site.store.value(value, "dense", kind="input")
    readers = _readers(legal)
    for index, group in enumerate(plan.groups):
        group.by_batch = index in residency.groups
        _carry_out(site, group, readers)
    for position, name in enumerate(graph.outputs):
        _output(site, position, name)
    return place(site)


def _readers(graph: Graph) -> dict[str, set[str]]:
    """Which nodes read each value."""
    out: dict[str, set[str]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            out.setdefault(value, set()).add(node.name)
    return out


def _carry_out(site: Site, group: Group, readers: dict[str, set[str]]) -> None:
    node = group.nodes[0]
    if group.kind == "move":
        move(site, node, group.layout)
    elif group.kind == "cpu":
        _cpu(site, node)
    elif group.kind == "pool":
        src, dst = site.need(node.inputs[0], "image"), site.made(node.outputs[0], "image")
        site.add(pool.plan(group, site, src, dst))
    else:
        inside = {n.name for n in group.nodes}
        stored = {
            v for v in group.made if v in site.graph.outputs or readers.get(v, set()) - inside
        }
        site.add((matrix if group.kind == "matrix" else strip).plan(group, stored, site))


def _cpu(site: Site, node: Node) -> None:
    ins = tuple(site.need(v, "dense") if v else None for v in node.inputs)
    outs = tuple(site.made(v, "dense") for v in node.outputs if v)
    site.add(CpuPiece(node.name, (node.name,), node.op, ins, outs, node.attrs))


def _output(site: Site, position: int, name: str) -> None:
    """Make sure that an output lies dense in a storage of its own."""
    graph, store = site.graph, site.store
    value = graph.outputs[position]
    key = (value, "dense")
    made_here = value not in graph.inputs and value not in graph.constants
    first = graph.outputs.index(value) == position
    if made_here and first and site.home[value] == "dense" and key not in store.alias:
        store.made[key] = replace(store.value(*key), kind="output", value=name)
        store.used.setdefault(key, []).append(FOREVER)
        return
    target = store.output(name, position, graph.types[value])
    site.copy(f"{name}.out", graph.nodes[-1].name if graph.nodes else name, [
        (site.as_stored(value), target, np.arange(graph.types[value].size))
    ])  # fmt: skip
