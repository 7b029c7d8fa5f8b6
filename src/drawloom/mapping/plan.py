"""A graph onto one chip: rewrite, fold, group, cut, lay out, allocate."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np

from drawloom.chip.model import Chip
from drawloom.errors import DoesNotFit
from drawloom.graph.ir import Graph, Node
from drawloom.mapping.cut import flash, matrix, norm, pair, pool, strip
from drawloom.mapping.fuse.groups import Group, Plan, group_nodes
from drawloom.mapping.layout.moves import move
from drawloom.mapping.layout.place import place
from drawloom.mapping.layout.residency import SHARES, Residency, settle
from drawloom.mapping.layout.site import Choose, Site
from drawloom.mapping.layout.store import FOREVER, Handed, Store
from drawloom.mapping.layout.turned import turned
from drawloom.mapping.mapping import Mapping, Repeat
from drawloom.mapping.options import MapOptions
from drawloom.mapping.pieces import CpuPiece
from drawloom.mapping.rewrite.fold import Carried, Folded, fold
from drawloom.mapping.rewrite.joint import joint
from drawloom.mapping.rewrite.legalise import legalise
from drawloom.mapping.rewrite.order import channels_first, codes_late

BODIED = {"matrix": matrix, "norm": norm, "strip": strip}  # pieces with a body


def map_graph(
    graph: Graph, chip: Chip, options: MapOptions | None = None, choose: Choose | None = None
) -> Mapping:
    """Return the mapping of a graph onto a chip.

    Args:
        graph: the model.
        chip: the machine.
        options: what a person may choose.
        choose: asked how each product is to be cut; None lets prices decide.

    Raises:
        DoesNotFit: a node does not fit a tile, or the model not the chip's memory.
    """
    options = options or MapOptions()
    legal = codes_late(channels_first(joint(legalise(graph), chip.blocking)))
    folded = fold(legal) if options.fold else Folded(legal)
    plan = group_nodes(folded, chip.blocking, fuse=options.fuse)
    for share in SHARES if options.resident else SHARES[-1:]:
        residency = settle(plan, folded.graph, chip, share, multicast=options.multicast)
        try:
            return _planned(graph, legal, folded, plan, residency, chip, options, choose)
        except DoesNotFit:
            if not residency.address:
                raise
    raise AssertionError(graph.name)


def _planned(
    graph: Graph, legal: Graph, folded: Folded, plan: Plan, residency: Residency, chip: Chip,
    options: MapOptions, choose: Choose | None,
) -> Mapping:  # fmt: skip
    store = Store(folded.graph, chip.blocking)
    site = Site(
        folded.graph, chip, options, store, plan.home, residency, coded=plan.coded, picked=plan.picked,
        results=list(graph.outputs), inputs=list(graph.inputs), twins=_twins(graph, legal, folded),
        choose=choose, turned=turned(plan, folded.graph, residency, chip.blocking),
    )  # fmt: skip
    for value in folded.graph.inputs:
        site.store.value(value, "dense", kind="input")
    _Planning(site, folded, plan, list(zip(legal.outputs, graph.outputs, strict=True))).run()
    return place(site)


def _twins(graph: Graph, legal: Graph, folded: Folded) -> dict[str, tuple[str, ...]]:
    """Return the names of what differs by repetition, outputs by the names a person knows."""
    known = dict(zip(legal.outputs, graph.outputs, strict=True))
    return {
        known.get(name, name): tuple(known.get(each, each) for each in names)
        for name, names in folded.twins.items()
    }


class _Planning:
    """Carries the groups of a plan out, one after the other."""

    def __init__(
        self, site: Site, folded: Folded, plan: Plan, outputs: list[tuple[str, str]]
    ) -> None:
        self.site, self.folded, self.plan = site, folded, plan
        others = {v for names in folded.twins.values() for v in names[1:]}
        names = [name for value, name in outputs if value not in others]
        self.outputs = list(zip(folded.graph.outputs, names, strict=True))
        self.readers = _readers(folded.graph)
        for one in folded.folds:
            for carried in one.carried:
                self.readers.setdefault(carried.made, set()).add(carried.leave)
        self.segment = self.start = 0

    def run(self) -> None:
        """Plan every group, and make sure of the outputs."""
        residency, groups = self.site.residency, self.plan.groups
        for index, group in enumerate(groups):
            group.by_batch = index in residency.groups
            group.by_rows = residency.rows.get(index, 0)
        paired = False
        for index, group in enumerate(groups):
            residency.turn_to(index)
            self._move_on(group.segment)
            if paired:
                paired = False  # it was planned with the one before
                continue
            paired = index + 1 < len(groups) and self._side_by_side(index)
            if not paired:
                self._carry_out(group)
        self.site.residency.turn_to(len(self.plan.groups))
        self._move_on(2 * len(self.folded.folds))
        self._settle_outputs({v for v, _ in self.outputs} - self.folded.twins.keys())

    def _settle_outputs(self, wanted: Container[str]) -> None:
        for position, (value, name) in enumerate(self.outputs):
            if value in wanted:
                self._output(position, value, name)

    # Folds.

    def _move_on(self, segment: int) -> None:
        """Close the fold whose body ends here, and open the one that begins."""
        while self.segment < segment:
            if self.segment % 2:
                self._close(self.segment // 2)
            self.segment += 1
            self.start = len(self.site.pieces)

    def _close(self, at: int) -> None:
        """End a fold's body: its outputs in place, its carried values handed on."""
        one, site = self.folded.folds[at], self.site
        self._settle_outputs(one.twins)
        for carried in one.carried:
            self._hand_on(carried)
        site.repeats.append(Repeat(self.start, len(site.pieces), one.count))

    def _hand_on(self, carried: Carried) -> None:
        """Leave a carried value in the layout in which it entered, in bytes of its own."""
        site, store = self.site, self.site.store
        layout = site.home[carried.enter]
        made = site.need(carried.made, layout)
        key = (carried.made, layout)
        if key in store.alias or store.keys[made.address] != key or made.kind != "temporary":
            key = (f"{carried.made}#carried", layout)
            copy = store.copy_of(made, key)
            count = np.arange(site.graph.types[carried.made].size)
            site.copy(f"{carried.made}.carried", carried.made, [(made, copy, count)])
        store.handed.append(Handed((carried.enter, layout), key, (carried.leave, layout)))

    def _enter(self, node: Node) -> None:
        """Put a value that enters a fold where the first repetition reads it."""
        site, value = self.site, node.outputs[0]
        target = site.store.value(value, site.home[value])
        count = np.arange(site.graph.types[value].size)
        site.copy(node.name, node.name, [(site.as_stored(node.inputs[0]), target, count)])

    # Groups.

    def _side_by_side(self, index: int) -> bool:
        """Plan a group and the one behind it as two products side by side, if they are such."""
        group, following = self.plan.groups[index : index + 2]
        held = self.site.residency.held
        reserved = max(held.get(index, 0), held.get(index + 1, 0))
        stored = self._stored(group), self._stored(following)
        both = pair.plan(group, following, stored, self.site, reserved)
        for piece in both or ():
            self.site.add(piece)
        return both is not None

    def _stored(self, group: Group) -> set[str]:
        """Return which values of a group somebody else needs."""
        inside = {n.name for n in group.nodes}
        outside = {v for v in group.made if self.readers.get(v, set()) - inside}
        return outside | group.made.intersection(self.site.graph.outputs)

    def _carry_out(self, group: Group) -> None:
        site, node = self.site, group.nodes[0]
        if group.kind == "carry":
            if self.folded.carries[node.name][1] == "enter":
                self._enter(node)
        elif group.kind == "move":
            move(site, group.nodes, group.layout)
        elif group.kind == "cpu":
            self._cpu(node)
        elif group.kind == "flash":
            site.add(flash.plan(group, site))
        elif group.kind == "pool":
            src, dst = site.need(node.inputs[0], "image"), site.made(node.outputs[0], "image")
            site.add(pool.plan(group, site, src, dst))
        else:
            site.add(BODIED[group.kind].plan(group, self._stored(group), site))

    def _cpu(self, node: Node) -> None:
        site = self.site
        ins = tuple(site.need(v, "dense") if v else None for v in node.inputs)
        if node.op == "TensorScatter" and self._may_overwrite(node):
            site.store.same_bytes((node.outputs[0], "dense"), (node.inputs[0], "dense"))
            site.store.in_place.add((node.outputs[0], "dense"))
        outs = tuple(site.made(v, "dense") for v in node.outputs if v)
        site.add(CpuPiece(node.name, (node.name,), node.op, ins, outs, node.attrs))

    def _may_overwrite(self, node: Node) -> bool:
        """Whether a node may write its result over an input that nothing else reads: a cache."""
        past, graph = node.inputs[0], self.site.graph
        return (
            past in graph.inputs and past not in graph.outputs
            and self.readers[past] == {node.name} and past not in node.inputs[1:]
        )  # fmt: skip

    def _output(self, position: int, value: str, name: str) -> None:
        """Make sure that an output lies dense in a storage of its own."""
        site, graph, store = self.site, self.site.graph, self.site.store
        key = (value, "dense")
        made_here = value not in graph.inputs and value not in graph.constants
        first = graph.outputs.index(value) == position
        entered = any(value in (each.enter[0], each.leave[0]) for each in store.handed)
        if (
            made_here and first and not entered
            and site.home[value] == "dense"
            and (key not in store.alias or key in store.in_place)
        ):  # fmt: skip
            store.made[key] = replace(store.value(*key), kind="output", value=name)
            store.used.setdefault(key, []).append(FOREVER)
            return
        target = store.output(name, position, graph.types[value])
        site.copy(f"{name}.out", graph.nodes[-1].name if graph.nodes else name, [
            (site.as_stored(value), target, np.arange(graph.types[value].size))
        ])  # fmt: skip


def _readers(graph: Graph) -> dict[str, set[str]]:
    """Which nodes read each value."""
    out: dict[str, set[str]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            out.setdefault(value, set()).add(node.name)
    return out
