"""Which values never leave the scratchpads.

Where a batch is at least as large as the chip has tiles, every tile can work through its own
images (or heads) from node to node. A value between pieces that are all cut by batch alone is
then made and read by the same tile, and stays in its scratchpad, as far as there is room.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from drawloom.chip.layout import Blocked
from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph
from drawloom.mapping.dram import Need, pack
from drawloom.mapping.groups import Group, Plan
from drawloom.mapping.storage import matrix_view
from drawloom.units import align_up, ceil_div

SHARES = (0.87, 0.5, 0.0)  # of the usable scratchpad may hold residents; the first that serves
WASTE = 1.15  # tiles may stand idle this much for the sake of a batch that does not divide evenly
CUTTABLE = ("matrix", "strip", "pool")


@dataclass(slots=True)
class Residency:
    """Scratchpad addresses of resident values, matrices per tile, and the groups cut by batch.

    Residents lie at the end of the scratchpad. ``reserved`` are the bytes that the group which is
    planned now leaves to them, ``held`` those of each group.
    """

    address: dict[str, int] = field(default_factory=dict[str, int])
    per_tile: dict[str, int] = field(default_factory=dict[str, int])
    groups: set[int] = field(default_factory=set[int])
    reserved: int = 0
    held: dict[int, int] = field(default_factory=dict[int, int])

    def turn_to(self, group: int) -> None:
        """Leave room to what is resident while a group runs."""
        self.reserved = self.held.get(group, 0)


def settle(plan: Plan, graph: Graph, chip: Chip, share: float) -> Residency:
    """Choose the resident values of a plan: first made, first served.

    A sum may take the place of an operand that nothing else needs any more.
    """
    out = Residency()
    made = {value: index for index, group in enumerate(plan.groups) for value in group.made}
    readers = _readers(plan)
    needs: dict[str, Need] = {}
    place: dict[str, str] = {}  # resident value -> the value whose need it is part of
    room = int(chip.scratchpad.usable * share)
    for value, index in made.items():
        users = readers.get(value, set()) - {index}
        if (
            not users
            or value in graph.outputs
            or not _eligible(plan, graph, chip, value, index, users)
        ):
            continue
        batch, rows, channels = matrix_view(graph.types[value].shape, plan.home[value])
        per_tile = ceil_div(batch, chip.n_tiles)
        blocked = Blocked(chip.blocking, per_tile, rows, channels, graph.types[value].dtype.bytes)
        need = Need(value, blocked.bytes, index, max(users))
        ending = {v for v, root in place.items() if needs[root].last == index}
        ending = {v for v in ending if max(readers[v]) == index}
        before = _replaced(plan.groups[index], graph, value, ending)
        if before:
            first = needs[place[before]]
            need = Need(first.key, first.bytes, first.first, max(users))
        more = needs | {need.key: need}
        if pack(list(more.values()), chip.blocking.align)[1] <= room:
            needs, place[value] = more, need.key
            out.per_tile[value] = per_tile
            out.groups |= {index, *users}
    _place(out, needs, place, chip)
    return out


def _place(out: Residency, needs: dict[str, Need], place: dict[str, str], chip: Chip) -> None:
    """Give residents their addresses, from the end of the scratchpad down."""
    align = chip.blocking.align
    offsets, _ = pack(list(needs.values()), align)
    end = chip.scratchpad.bytes - chip.scratchpad.reserve_high
    for key, need in needs.items():
        reach = offsets[key] + align_up(max(1, need.bytes), align)
        for group in range(need.first, need.last + 1):
            out.held[group] = max(out.held.get(group, 0), reach)
        out.address |= {value: end - reach for value, root in place.items() if root == key}


def _replaced(group: Group, graph: Graph, value: str, ending: Container[str]) -> str:
    """Return a resident operand that a value can be written over, if there is one.

    ``ending`` are residents that nothing reads behind the group. It reads such an operand chunk by
    chunk, and each before it writes the same chunk.
    """
    kind = graph.types[value]
    if group.kind == "pool" or kind.shape != group.shape:
        return ""
    direct = group.nodes[0].inputs if group.kind == "matrix" else ()
    for node in group.nodes:
        for operand in node.inputs:
            alike = operand in ending and graph.types[operand] == kind
            if alike and operand not in direct:
                return operand
    return ""


def _readers(plan: Plan) -> dict[str, set[int]]:
    """Which groups read each value."""
    out: dict[str, set[int]] = {}
    for index, group in enumerate(plan.groups):
        for node in group.nodes:
            for value in node.inputs:
                out.setdefault(value, set()).add(index)
    return out


def _eligible(
    plan: Plan, graph: Graph, chip: Chip, value: str, index: int, users: set[int]
) -> bool:
    layout = plan.home[value]
    if layout not in ("rows", "image"):
        return False
    batch = matrix_view(graph.types[value].shape, layout)[0]
    even = ceil_div(batch, chip.n_tiles) * chip.n_tiles <= WASTE * batch
    groups = [plan.groups[i] for i in (index, *sorted(users))]
    if any(group.segment != groups[0].segment for group in groups):
        return False
    return batch >= chip.n_tiles and even and all(_cut_by_batch(g, layout, batch) for g in groups)


def _cut_by_batch(group: Group, layout: str, batch: int) -> bool:
    if group.kind not in CUTTABLE or group.layout != layout:
        return False
    return matrix_view(group.shape, layout)[0] == batch
