"""Strip pieces: elementwise and row work on its own."""

from __future__ import annotations

from math import prod

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.mapping.body import Body, slot_elements
from drawloom.mapping.cut.scratch import Scratch
from drawloom.mapping.cut.strip_price import Strip
from drawloom.mapping.fuse.bodies import build_body
from drawloom.mapping.fuse.compact import compact
from drawloom.mapping.fuse.groups import Group
from drawloom.mapping.layout.site import Site
from drawloom.mapping.layout.storage import Storage, matrix_view
from drawloom.mapping.pieces import StripPiece, shared
from drawloom.units import align_up, ceil_div

FLAT_STEP = 128  # elements


def plan(group: Group, stored: set[str], site: Site) -> StripPiece:
    """Return the piece of a strip group."""
    graph, chip = site.graph, site.chip
    body, _ = build_body(graph, group.nodes, group.shape, group.layout, stored)
    flat = group.layout == "dense"
    batch, rows, channels = (
        (1, prod(group.shape), 1) if flat else matrix_view(group.shape, group.layout)
    )
    values: dict[str, Storage] = {}
    for slot, value in body.loads:
        values[value] = site.loaded(body, slot, value, group.layout)
    values |= {value: site.made(value, group.layout) for _, value in body.stores}
    across = () if flat or group.by_batch else shared(body, values, batch, rows, chip.n_tiles)
    body = compact(body, kept=across)
    room = chip.scratchpad.usable - site.residency.reserved
    name = group.nodes[0].name
    chunk = _chunk(chip, body, batch * rows, rows, channels, room, flat=flat, name=name)
    chunk = min(chunk, ceil_div(rows, chip.n_tiles)) if across else chunk
    if not (flat or across):
        share = ceil_div(batch, chip.n_tiles) * rows if group.by_batch else None
        share = share or ceil_div(batch * rows, chip.n_tiles)
        most = min(rows, chip.limits.rows)
        chunk = Strip(chip, body, channels, values).quickest(share, most, room, (chunk,))
    scratch = Scratch(chip, site.residency.reserved)
    for slot in body.slots:
        copies = 1 if slot.kind == "channel" else 2
        scratch.add(
            f"slot.{slot.name}", _bytes(chip, body, slot.name, chunk, channels, flat=flat), copies
        )
    return StripPiece(
        group.nodes[0].name, tuple(n.name for n in group.nodes), "flat" if flat else "rows",
        batch, rows, channels, chunk, body, scratch.buffers, values, group.by_batch,
    )  # fmt: skip


def _bytes(chip: Chip, body: Body, slot: str, rows: int, channels: int, *, flat: bool) -> int:
    it = body.slot(slot)
    return slot_elements(chip.blocking, it, rows, channels, flat=flat) * FORMAT_BYTES[it.fmt]


def _total(chip: Chip, body: Body, rows: int, channels: int, *, flat: bool) -> int:
    return sum(
        align_up(_bytes(chip, body, slot.name, rows, channels, flat=flat), chip.blocking.align)
        * (1 if slot.kind == "channel" else 2)
        for slot in body.slots
    )


def _quicker(chip: Chip, body: Body, rows: int, channels: int) -> int:
    """Return ``rows``, or 1 where so few take more commands each than one row by itself.

    One value a channel is combined with a row by one command, with more rows by one for each block of
    channels.
    """
    kinds = {slot.name: slot.kind for slot in body.slots}
    steps = sum(bool(s.b) and kinds[s.a] != kinds[s.b] == "channel" for s in body.steps)
    blocks = ceil_div(channels, chip.blocking.block)
    rest = len(body.steps) - steps
    return rows if rest + steps * blocks <= rows * (rest + steps) else 1


def _chunk(
    chip: Chip,
    body: Body,
    total: int,
    rows: int,
    channels: int,
    room: int,
    *,
    flat: bool,
    name: str,
) -> int:
    """Rows (or elements) at a time: a tile's share in at least two parts, as far as they are not tiny."""
    step = FLAT_STEP if flat else 1
    share = align_up(ceil_div(total, chip.n_tiles), step)
    bulk = 16384 if flat else max(1, 16384 // max(1, channels))
    best = align_up(min(share, rows if not flat else share, max(ceil_div(share, 4), bulk)), step)
    if not flat:
        best = min(best, chip.limits.rows)
        best = ceil_div(share, ceil_div(share, best))  # none much smaller than the others
        best = _quicker(chip, body, best, channels)
    while best > step and _total(chip, body, best, channels, flat=flat) > room:
        best = align_up(best // 2, step)
    need = _total(chip, body, best, channels, flat=flat)
    if need > room:
        raise DoesNotFit(
            "map.memory",
            f"node '{name}' does not fit a tile even one row at a time",
            Diagnosis(
                f"{need:,} bytes   {len(body.slots)} buffers of one row of {channels:,} channels, twice",
                f"{room:,} bytes   chip '{chip.name}', usable scratchpad of a tile",
                f"{need - room:,} bytes",
                (
                    "a narrower format (--precision f16, where it is f32)",
                    "a chip with a larger scratchpad (extends: ...)",
                ),
            ),
        )
    return best
