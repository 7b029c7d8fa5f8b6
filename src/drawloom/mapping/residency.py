"""Which values never leave the scratchpads.

Where a batch is at least as large as the chip has tiles, every tile can work through its own
images (or heads) from node to node. A value between pieces that are all cut by batch alone is
then made and read by the same tile, and stays in its scratchpad, as far as there is room.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drawloom.chip.layout import Blocked
from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph
from drawloom.mapping.dram import Need, pack
from drawloom.mapping.groups import Group, Plan
from drawloom.mapping.storage import matrix_view
from drawloom.units import ceil_div

SHARE = 0.5  # of the usable scratchpad may hold residents
WASTE = 1.15  # tiles may stand idle this much for the sake of a batch that does not divide evenly
CUTTABLE = ("matrix", "strip", "pool")


@dataclass(slots=True)
class Residency:
    """Scratchpad addresses of resident values, matrices per tile, and the groups cut by batch."""

    address: dict[str, int] = field(default_factory=dict[str, int])
    per_tile: dict[str, int] = field(default_factory=dict[str, int])
    groups: set[int] = field(default_factory=set[int])
    reserved: int = 0


def settle(plan: Plan, graph: Graph, chip: Chip) -> Residency:
    """Choose the resident values of a plan: first made, first served."""
    out = Residency()
    made = {value: index for index, group in enumerate(plan.groups) for value in group.made}
    readers = _readers(plan)
    needs: list[Need] = []
    room = int(chip.scratchpad.usable * SHARE)
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
        more = [*needs, Need(value, blocked.bytes, index, max(users))]
        if pack(more, chip.blocking.align)[1] <= room:
            needs = more
            out.per_tile[value] = per_tile
            out.groups |= {index, *users}
    offsets, out.reserved = pack(needs, chip.blocking.align)
    top = chip.scratchpad.bytes - chip.scratchpad.reserve_high - out.reserved
    out.address = {value: top + offset for value, offset in offsets.items()}
    return out


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
