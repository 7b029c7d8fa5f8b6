"""Norm pieces: groups of channels normalized over whole images, with the work behind them."""

from __future__ import annotations

from dataclasses import replace

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.graph.dtypes import DType
from drawloom.mapping.body import slot_elements
from drawloom.mapping.cut.scratch import Scratch
from drawloom.mapping.fuse.bodies import build_body, plain_body
from drawloom.mapping.fuse.compact import compact
from drawloom.mapping.fuse.groups import Group
from drawloom.mapping.layout.site import Site
from drawloom.mapping.pieces import NormPiece
from drawloom.units import align_up, ceil_div

BULK = 8192  # elements of a chunk: enough that a command's fixed cost is small beside it


def plan(group: Group, stored: set[str], site: Site) -> NormPiece:
    """Return the piece of a norm group."""
    node, graph, chip = group.nodes[0], site.graph, site.chip
    out = node.outputs[0]
    body, result = build_body(graph, group.nodes[1:], group.shape, group.layout, stored, given=out)
    if not group.nodes[1:]:
        body, result = plain_body(graph.types[out].dtype.value, out)
    body = compact(body, (result,))
    values = {v: site.loaded(body, slot, v, group.layout) for slot, v in body.loads}
    values |= {v: site.made(v, group.layout) for _, v in body.stores}
    src = site.need(node.inputs[0], group.layout)
    blocked = src.blocked
    parts = 1 if blocked.batch >= chip.n_tiles else chip.n_tiles
    share = ceil_div(blocked.rows, parts)
    piece = NormPiece(
        name=node.name, nodes=tuple(n.name for n in group.nodes), src=src,
        scale=site.store.constant(node.inputs[1], "channel", DType.F32),
        bias=site.store.constant(node.inputs[2], "channel", DType.F32),
        groups=node.int("num_groups"), epsilon=node.float("epsilon", 1e-5),
        parts=parts, chunk=share, held=True, body=body, result=result, buffers={}, values=values,
    )  # fmt: skip
    rows = min(chip.limits.rows, max(ceil_div(share, 4), ceil_div(BULK, blocked.channels)), share)
    room = chip.scratchpad.usable - site.residency.reserved
    held = replace(piece, chunk=rows)
    if _needs(held, site) <= room:
        return _placed(held, site)
    piece = replace(piece, held=False, chunk=rows)
    while piece.chunk > 1 and _needs(piece, site) > room:
        piece = replace(piece, chunk=ceil_div(piece.chunk, 2))
    if (need := _needs(piece, site)) > room:
        raise DoesNotFit(
            "map.memory",
            f"node '{node.name}' does not fit a tile even one pixel at a time",
            Diagnosis(
                f"{need:,} bytes   one pixel of {blocked.channels:,} channels and their sums",
                f"{room:,} bytes   chip '{chip.name}', usable scratchpad of a tile",
                f"{need - room:,} bytes",
                ("fewer channels", "a chip with a larger scratchpad (extends: ...)"),
            ),
        )
    return _placed(piece, site)


def _sizes(piece: NormPiece, site: Site) -> dict[str, tuple[int, int]]:
    """Return bytes and copies of each buffer."""
    blocking, blocked = site.chip.blocking, piece.src.blocked
    line = Blocked(blocking, 1, 1, blocked.channels, 4).width * 4
    inside = Blocked(blocking, 1, piece.groups, blocked.channels // piece.groups, 4)
    chunks = ceil_div(ceil_div(blocked.rows, piece.parts), piece.chunk)
    elements = piece.chunk * blocked.width
    channel = align_up(blocked.channels, blocking.of(4)) * 4
    out = {
        "x": (elements * blocked.element, 2),
        "wide": (elements * 4, chunks if piece.held else 2),
        "square": (elements * 4, 1),
        "sums": (piece.parts * line, 2),
        "grouped": (inside.bytes, 1),
        "stat": (piece.groups * blocking.min_tail * 4, 1),
        "scale": (channel, 1),
        "bias": (channel, 1),
    }
    out |= dict.fromkeys(("part", "total", "mean", "gain"), (line, 1))
    for slot in piece.body.slots:
        size = slot_elements(blocking, slot, piece.chunk, blocked.channels, flat=False)
        copies = 1 if slot.kind == "channel" else 2
        out[f"slot.{slot.name}"] = (size * FORMAT_BYTES[slot.fmt], copies)
    return out


def _needs(piece: NormPiece, site: Site) -> int:
    align = site.chip.blocking.align
    return sum(align_up(size, align) * copies for size, copies in _sizes(piece, site).values())


def _placed(piece: NormPiece, site: Site) -> NormPiece:
    scratch = Scratch(site.chip, site.residency.reserved)
    for name, (size, copies) in _sizes(piece, site).items():
        scratch.add(name, size, copies)
    return replace(piece, buffers=scratch.buffers)
