"""Two products that run side by side: what the first makes stays, and the second sums it up meanwhile.

Of rows that every tile holds, a first product widens them and a long body follows, as a Gelu does; a
second makes them narrow again. One after the other, the matrix engine waits in the first for the
vector engine and this one in the second for the matrix engine. Side by side (``program/lower/pair``)
either has the work of both.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.cut.matrix import Prepared, piece, prepare
from drawloom.mapping.cut.panels import MAX_RESULTS, panel_bytes
from drawloom.mapping.cut.sizes import Cut, sizes_of
from drawloom.mapping.fuse.groups import Group
from drawloom.mapping.layout.site import Site
from drawloom.mapping.pieces import MatrixPiece, Panel
from drawloom.units import align_up, ceil_div

WIDTHS = (256, 128, 64)  # channels of the first that are made at a time: those that fit are taken
PLACES = (3, 2)  # of weights on their way, of either
RESULTS = 2  # places of the second's results


def plan(
    group: Group, following: Group, stored: tuple[set[str], set[str]], site: Site, reserved: int
) -> tuple[MatrixPiece, MatrixPiece] | None:
    """Return two pieces of which the second runs beside the first; None where they stand alone.

    ``reserved`` bytes of the scratchpad belong to what is resident in either.
    """
    if not _may(group, following, stored[0], site):
        return None
    one, two = (
        prepare(each, kept, site) for each, kept in zip((group, following), stored, strict=True)
    )
    one, two = (replace(each, work=replace(each.work, reserved=reserved)) for each in (one, two))
    if not _fit(one, two, site):
        return None
    for width, places, channels in product(WIDTHS, PLACES, WIDTHS):
        if ceil_div(two.work.n, channels) > MAX_RESULTS:
            continue
        ways = _first(one, site, width, places), _second(two, site, width, places, channels)
        sizes = [_bytes(each, site, way) for each, way in zip((one, two), ways, strict=True)]
        if sum(sizes) <= site.chip.scratchpad.usable - reserved:
            return (
                piece(one, site, ways[0], raised=False),
                piece(two, site, ways[1], raised=True, beside=True),
            )
    return None


def _may(group: Group, following: Group, stored: set[str], site: Site) -> bool:
    """Whether two groups are products of rows that tiles hold, the second of all that the first makes."""
    both = (group, following)
    if any(each.kind != "matrix" or each.layout != "rows" or not each.by_rows for each in both):
        return False
    if group.by_rows != following.by_rows or group.segment != following.segment:
        return False
    if not site.options.multicast or any(each.nodes[0].op != "MatMul" for each in both):
        return False
    taker = following.nodes[0]
    if stored != {taker.inputs[0]} or not stored <= site.residency.address.keys():
        return False
    others = [*taker.inputs[1:], *(value for node in following.nodes[1:] for value in node.inputs)]
    return not stored.intersection(others)


def _fit(one: Prepared, two: Prepared, site: Site) -> bool:
    """Whether the first has a long body and touches nothing in DRAM that ever changes, and both are plain."""
    chip = site.chip
    for each in (one, two):
        work = each.work
        plain = work.products == 1 and work.window is None and each.coding is None
        turned = work.trans_a or work.trans_b or work.b_batched or work.batch > 1
        held = each.a.kind == "resident" and each.b.kind == "constant"
        if not plain or turned or not held or ceil_div(work.m, work.by_rows) > chip.limits.rows:
            return False
    known = all(value.kind in ("resident", "constant") for value in one.values.values())
    long = one.work.passes > chip.vector.depth
    narrow = ceil_div(two.work.n, min(WIDTHS)) <= MAX_RESULTS
    return known and long and narrow and one.work.k <= chip.limits.channels


def _first(made: Prepared, site: Site, width: int, places: int) -> Cut:
    """All rows at once, some channels at a time over their whole depth."""
    work = made.work
    rows, grid = ceil_div(work.m, work.by_rows), (1, work.by_rows, 1)
    way = Cut(grid, (rows, width, work.k), "nm", 1, places, False, True, 0.0)
    return replace(way, estimate=_matrix(made, site, way))


def _second(made: Prepared, site: Site, depth: int, places: int, channels: int) -> Cut:
    """All channels side by side, as many inputs at a time as the first makes."""
    work = made.work
    rows, grid = ceil_div(work.m, work.by_rows), (1, work.by_rows, 1)
    block = site.chip.blocking.of(FORMAT_BYTES[work.fmt])
    panel = Panel(align_up(work.n, block), depth, always=True)
    chunk = rows, channels, work.k
    way = Cut(grid, chunk, "mn", 2, places, False, True, 0.0, panel, RESULTS)
    return replace(way, estimate=_matrix(made, site, way))


def _matrix(made: Prepared, site: Site, way: Cut) -> float:
    """Nanoseconds of the matrix engine: side by side, two pieces take as long as it needs for both."""
    sized = sizes_of(made.work, site.chip, replace(way, panel=None))
    chunks = int(sized.counts[2]) * int(sized.counts[3])
    return float(sized.mean_cycles) * chunks / site.chip.clock * 1e9


def _bytes(made: Prepared, site: Site, way: Cut) -> int:
    if way.panel is not None:
        return panel_bytes(site.chip, made.work, way)
    sized, align = sizes_of(made.work, site.chip, way), site.chip.blocking.align
    operands = int(sized.bytes_a) * way.a_copies + int(sized.bytes_b) * way.b_copies
    return operands + int(sized.fixed_bytes) + align * len(made.body.slots)
