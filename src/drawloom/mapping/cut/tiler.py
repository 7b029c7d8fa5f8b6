"""How a matrix piece is cut: tile grid, chunks, order, buffers, and which loads are shared.

Candidates are priced with a simple model of the chip (the slowest of matrix engine, vector
engine, DRAM and NoC, plus what cannot overlap at either end); of those about as cheap as the
cheapest that fits the scratchpad, the one with the fewest commands wins. All candidates are
priced at once, as arrays. Times are nanoseconds; ties go to the first candidate, so that the
result depends on nothing but the work and the chip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.mapping.cut.handed_price import handed_price
from drawloom.mapping.cut.panel_price import panel_cut
from drawloom.mapping.cut.prices import links, moves
from drawloom.mapping.cut.sizes import Cut, Ints, Sizes, Work, ceil, grain
from drawloom.units import align_up, ceil_div

ALIKE = 0.03  # prices this close are one to the model: fewer commands decide
HOPEFUL, NS = 1.05, 2000  # prices of panels see more of what holds tiles up than others
THRIFTY = 0.3  # where a short program counts more than a quick one
AHEAD = 4  # chunks of an operand that are held where there is room and none is used again
PARTS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64, 128, 256)  # into which rows may be cut
MAX_COPIES = 16  # slots an operand may have; each has a flag of its own
_MN, _NM = 0, 1


def cut(work: Work, chip: Chip, name: str, *, multicast: bool, alike: float = ALIKE) -> Cut:
    """Return the cheapest way to cut the work; of those whose prices are ``alike``, the shortest.

    Raises:
        DoesNotFit: not even the smallest chunks fit a tile's scratchpad.
    """
    found = _cut(work, _ChipKey(chip), multicast, alike)
    if isinstance(found, Cut):
        panels = _panel_cut(work, _ChipKey(chip), multicast)
        limit = found.estimate * HOPEFUL + NS
        return panels if panels and panels.estimate < limit else found
    operands, results = found
    need, have = operands + results, chip.scratchpad.usable - work.reserved
    raise DoesNotFit(
        "map.memory",
        f"node '{name}' does not fit a tile even in its smallest chunks",
        Diagnosis(
            needs=f"{need:,} bytes   operands {operands:,} + results {results:,}",
            has=f"{have:,} bytes   chip '{chip.name}', usable scratchpad of a tile",
            short=f"{need - have:,} bytes",
            ways_out=("a smaller image or batch", "a chip with a larger scratchpad (extends: ...)"),
        ),
    )


@dataclass(frozen=True, eq=False)
class _ChipKey:
    """A chip as a cache key, by identity."""

    chip: Chip

    def __hash__(self) -> int:
        return hash(self.chip.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ChipKey) and other.chip is self.chip


@lru_cache(maxsize=4096)
def _panel_cut(work: Work, key: _ChipKey, multicast: bool) -> Cut | None:
    return panel_cut(work, key.chip, multicast=multicast)


@lru_cache(maxsize=4096)
def _cut(work: Work, key: _ChipKey, multicast: bool, alike: float) -> Cut | tuple[int, int]:
    """Return the best cut, or the bytes (operands, results) of the smallest that does not fit."""
    chip = key.chip
    found = priced(work, chip, multicast=multicast)
    if found is not None:
        price, issue = found.price, found.issue
        close = price <= price.min() * (1 + alike)
        way, at = np.unravel_index(np.argmin(np.where(close, issue, np.inf)), price.shape)
        return found.cut(int(way), int(at))
    sizes = _sizes(work, chip)
    operands = (sizes.bytes_a + sizes.bytes_b) * _halves(work) + sizes.decoded_bytes
    least = int(np.argmin(operands + sizes.fixed_bytes))
    return int(operands[least]), int(sizes.fixed_bytes[least])


@dataclass(frozen=True, slots=True)
class Priced:
    """Candidates with their prices: rows are ways (order, sharing), columns ways to cut."""

    sizes: Sizes
    ways: list[tuple[_Kept, bool, bool, int]]
    price: NDArray[np.float64]
    issue: NDArray[np.float64]

    def cut(self, way: int, at: int) -> Cut:
        """Return one of them."""
        t = self.sizes
        kept, share_a, share_b, order = self.ways[way]
        gb, gm, gn, mt, nt, kt = (int(x[at]) for x in (t.gb, t.gm, t.gn, t.mt, t.nt, t.kt))
        return Cut(
            (gb, gm, gn), (mt, nt, kt), "mn" if order == _MN else "nm",
            int(kept.a[at]), int(kept.b[at]), share_a, share_b, float(self.price[way, at]),
        )  # fmt: skip


def _sizes(work: Work, chip: Chip) -> Sizes:
    return Sizes(work, chip, *np.array(_candidates(work, chip), np.int64).T[:6])


def priced(work: Work, chip: Chip, *, multicast: bool) -> Priced | None:
    """Return all candidates with their prices; None where none fits."""
    sizes = _sizes(work, chip)
    ways: list[tuple[_Kept, bool, bool, int]] = []
    prices: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for order in (_MN, _NM):
        kept = _keep_all(sizes, order)
        if not kept.fits.any():
            continue
        for share_a, share_b in product((False, True), repeat=2):
            ways.append((kept, share_a, share_b, order))
            prices.append(_price(sizes, kept, order, share_a, share_b, multicast))
    if not prices:
        return None
    price, issue = (np.stack(each) for each in zip(*prices, strict=True))
    return Priced(sizes, ways, price, issue) if np.isfinite(price.min()) else None


def _candidates(work: Work, chip: Chip) -> list[tuple[int, ...]]:
    step = grain(work, chip)
    k_step = chip.blocking.of(FORMAT_BYTES[work.fmt])
    if work.coded and work.coded[1] < work.k:
        k_step = max(k_step, work.coded[1])
    limit = chip.limits.rows if work.window is None else chip.limits.rows * chip.limits.rows
    wide = work.window.ow if work.window else 1
    out: list[tuple[int, ...]] = []
    for grid in _grids(work, chip, step):
        per_m = ceil_div(work.m, grid[1])
        per_n = align_up(ceil_div(work.n, grid[2]), step)
        m_grain = k_step if work.trans_a else 1
        rows = {_chunk(per_m, j, m_grain) for j in PARTS}
        if work.window is None and per_m > chip.matrix.block:
            # The engine takes rows by the block: chunks of whole ones leave none of it empty.
            rows |= {_chunk(per_m, j, max(m_grain, chip.matrix.block)) for j in PARTS}
        outs = {_chunk(per_n, j, step) for j in (1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64)}
        deep = (
            {work.k}
            if work.depthwise
            else {_chunk(work.k, j, k_step) for j in (1, 2, 3, 4, 6, 8, 12, 16, 32)}
        )
        for mt, nt, kt in product(sorted(rows), sorted(outs), sorted(deep)):
            if mt * wide <= limit and kt <= max(chip.limits.channels, k_step):
                out.append((*grid, mt, nt, kt))
    return out


def _chunk(total: int, parts: int, step: int) -> int:
    return min(align_up(ceil_div(total, parts), step), align_up(total, step))


def _grids(work: Work, chip: Chip, step: int) -> list[tuple[int, int, int]]:
    n = chip.n_tiles
    if work.by_batch:
        return [(n, 1, 1)]
    if work.by_rows:
        return [(1, work.by_rows, 1)]
    sizes = [d for d in range(1, n + 1) if n % d == 0]
    found = [
        (b, m, c)
        for b, m, c in product(sizes, repeat=3)
        if n % (b * m * c) == 0 and b <= work.batch and m <= work.m and c <= ceil_div(work.n, step)
    ]
    most = max(b * m * c for b, m, c in found)
    return [g for g in found if g[0] * g[1] * g[2] == most]


@dataclass(frozen=True, slots=True)
class _Kept:
    """How many chunks of each operand a tile holds, and how often it loads one."""

    a: Ints
    b: Ints
    loads_a: Ints
    loads_b: Ints
    fits: NDArray[np.bool_]


def _keep_all(t: Sizes, order: int) -> _Kept:
    """Two chunks of each operand where they fit, and more where chunks are used again."""
    work = t.work
    batches, mc, nc, kc = t.counts
    halves = _halves(work)
    size_a, size_b = t.bytes_a * halves + t.folded_bytes, t.bytes_b * halves + t.decoded_bytes
    total_a = batches * mc * (nc if work.depthwise else kc)
    total_b = (batches if work.b_batched else 1) * nc * kc
    room = t.chip.scratchpad.usable - work.reserved - t.fixed_bytes
    a, b = np.minimum(2, total_a), np.minimum(2, total_b)
    tight = a * size_a + b * size_b > room
    a, b = np.where(tight, 1, a), np.where(tight, 1, b)
    room = room - a * size_a - b * size_b
    fits = room >= 0
    if order == _MN:
        a, room = _keep(a, kc, total_a, size_a, room)
        b, room = _keep(b, nc * kc, total_b, size_b, room)
    else:
        b, room = _keep(b, kc, total_b, size_b, room)
        a, room = _keep(a, mc * kc, total_a, size_a, room)
    # What is left lets a tile ask for more chunks ahead of their use.
    ahead = np.full_like(a, AHEAD)
    b, room = _keep(b, ahead, total_b, size_b, room)
    a, room = _keep(a, ahead, total_a, size_a, room)
    reuse_a = (a >= (kc if order == _MN else mc * kc)) | (nc == 1)
    reuse_b = (b >= (nc * kc if order == _MN else kc)) | (mc == 1)
    each_a = nc if work.depthwise else kc * np.where(reuse_a, 1, nc)
    loads_a = batches * mc * each_a
    stays = b >= nc * kc
    repeat = np.where(stays, batches if work.b_batched else 1, batches)
    return _Kept(a, b, loads_a, nc * kc * np.where(reuse_b, 1, mc) * repeat, fits)


def _halves(work: Work) -> int:
    """How many buffers a chunk of an operand takes: split f32 keeps a high and a low part beside it."""
    return 3 if work.products > 1 else 1


def _keep(copies: Ints, wanted: Ints, total: Ints, size: Ints, room: Ints) -> tuple[Ints, Ints]:
    """Give an operand enough copies that what will be used again stays, if they fit.

    Once or twice what is wanted: slots then come round with the loops, which keeps programs short.
    """
    for goal in (np.minimum(2 * wanted, total), np.minimum(wanted, total)):
        more = (copies < goal) & (goal <= MAX_COPIES) & ((goal - copies) * size <= room)
        room = np.where(more, room - (goal - copies) * size, room)
        copies = np.where(more, goal, copies)
    return copies, room


def _price(
    t: Sizes, kept: _Kept, order: int, share_a: bool, share_b: bool, multicast: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nanoseconds of each candidate, infinite where it does not fit or cannot share; of its issue."""
    chip, work = t.chip, t.work
    ns = 1e9 / chip.clock
    tiles = t.gb * t.gm * t.gn
    batches, mc, nc, kc = t.counts
    results = batches * mc * nc
    group_b = t.gm if work.b_batched else t.gb * t.gm
    by_a, by_b = (t.gn if share_a else 1), (group_b if share_b else 1)
    allowed = kept.fits
    if share_a:
        plain = not work.depthwise and work.products == 1 and work.fold is None
        allowed = allowed & (t.gn > 1) & (not work.a_local) & multicast & plain
    if share_b:
        alone = work.products > 1 or work.coded is not None or work.picked
        allowed = allowed & (group_b > 1) & multicast & (not alone)
    out_bytes = t.rows * t.outs * FORMAT_BYTES[work.out_fmt]
    read = 0 * kept.loads_a if work.a_local else kept.loads_a
    reads_a = read * t.bytes_a / by_a
    per_tile = reads_a + kept.loads_b * t.bytes_b / by_b
    chunk = t.cycles * ns
    matrix = results * kc * t.mean_cycles * ns
    dram, paced = _paced(
        t, _opening(t, kept, order, by_a, by_b), per_tile, results * out_bytes, matrix
    )
    vector = (
        results * work.passes * (chip.vector.fixed + t.rows * t.outs / chip.vector.lanes_16) * ns
    )
    commands, elements = t.decoding
    each = commands * chip.vector.fixed + elements / chip.vector.lanes_16
    vector = vector + kept.loads_b * each * ns
    noc = ns * (
        links(t, by_a, kept.a, kept.loads_a, t.bytes_a)
        + links(t, by_b, kept.b, kept.loads_b, t.bytes_b)
    )
    first = tiles * (t.bytes_a / by_a + t.bytes_b / by_b)
    start = (
        first / chip.dram.read * 1e9
        + chip.dram_read.latency * ns
        + (500 if share_a or share_b else 0)
    )
    end = tiles * out_bytes / chip.dram.write * 1e9 + chip.dram_write.latency * ns
    cpu = _issue(t, kept, by_a, by_b) * ns
    if work.seen:
        price = handed_price(t, kept.loads_a, kept.loads_b, kept.b, by_b, cpu)
        return np.where(allowed, price, np.inf), cpu
    # A tile's read engine handles one command at a time, its latency included.
    reader = per_tile / chip.dram.port * 1e9 + (read + kept.loads_b) * chip.dram_read.latency * ns
    mover = moves(t, kept.loads_a, results, out_bytes) * ns
    stalls = _stalls(t, kept, each * ns + chunk, share_b=share_b)
    dram, paced = dram + stalls, paced + stalls
    # Where the matrix engine is not what binds, one chunk of its time is seen at the end.
    total = (
        np.maximum.reduce([paced, vector, noc, cpu, reader, mover])
        + start
        + end
        + np.where(matrix >= dram, 0, chunk)
    )
    return np.where(allowed, total, np.inf), cpu


def _paced(
    t: Sizes,
    opening: tuple[NDArray[np.float64], NDArray[np.float64]],
    per_tile: NDArray[np.float64],
    moved: Ints,
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nanoseconds of DRAM, and of DRAM and matrix engine beside each other.

    Until an operand that stays has been loaded whole, little can be computed with what is there:
    the opening and the rest are priced apart. ``per_tile`` bytes are loaded by a tile, ``moved``
    are the bytes of its results.
    """
    dram, work = t.chip.dram, t.work
    tiles = t.gb * t.gm * t.gn
    early, loaded = opening
    total = np.zeros(len(t.mt))
    paced = np.zeros(len(t.mt))
    for share, per in ((early, loaded), (1 - early, per_tile - loaded)):
        reads, written = per + share * moved * work.loads, share * moved * work.stores
        took = 1e9 * np.maximum.reduce(
            [
                tiles * reads / dram.read,
                tiles * written / dram.write,
                tiles * (reads + written) / dram.combined,
                per / dram.port,
            ]
        )
        total = total + took
        paced = paced + np.maximum(took, share * matrix)
    return total, paced


def _opening(
    t: Sizes, kept: _Kept, order: int, by_a: Ints | int, by_b: Ints | int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of the work in which an operand that stays is loaded, and a tile's bytes then.

    That is the first round of the inner loop; where nothing stays every round is alike, and so is
    one that stands for all.
    """
    batches, mc, nc, kc = t.counts
    rounds = batches * (mc if order == _MN else nc)
    first_a = (kc if order == _MN else mc * kc) * t.bytes_a / by_a
    first_b = (nc * kc if order == _MN else kc) * t.bytes_b / by_b
    if t.work.a_local:
        first_a = 0 * first_a
    all_a = 0 * first_a if t.work.a_local else kept.loads_a * t.bytes_a / by_a
    all_b = kept.loads_b * t.bytes_b / by_b
    share = 1.0 / np.maximum(rounds, 1)
    loaded = np.minimum(first_a, all_a) + np.minimum(first_b, all_b)
    return share, loaded


def _stalls(
    t: Sizes, kept: _Kept, used: NDArray[np.float64], *, share_b: bool
) -> NDArray[np.float64]:
    """Nanoseconds in which a tile cannot load although the DRAM is free; a chunk is ``used`` so long."""
    chip = t.chip
    # With one slot a tile loads, decodes and multiplies in turn.
    alone = (kept.b == 1) & (kept.loads_b > 1)
    stalls = np.where(alone, kept.loads_b * used, 0.0).astype(np.float64)
    # Nor does it fold where the chunk before is still multiplied.
    each = t.folding * (1e9 / chip.clock) + (0.0 if t.work.a_local else used)
    stalls = stalls + np.where((kept.a == 1) & (kept.loads_a > 1), kept.loads_a * each, 0.0)
    if share_b and t.work.m <= chip.matrix.block:
        # Weights stream by: tiles of a group meet for every chunk, and all wait for the last.
        message = chip.profiles["lean"].message if "lean" in chip.profiles else 0
        cycles = chip.dram_read.latency + 2 * message
        stalls = stalls + kept.loads_b * cycles * (1e9 / chip.clock)
    return stalls.astype(np.float64)


def _issue(t: Sizes, kept: _Kept, by_a: Ints | int, by_b: Ints | int) -> NDArray[np.float64]:
    """Cycles a tile's processor spends on handing out commands, roughly, in the leanest profile."""
    profile = min(t.chip.profiles.values(), key=lambda p: p.issue)
    batches, mc, nc, kc = t.counts
    blocks = ceil(t.nt, t.chip.blocking.block)
    result = (
        t.work.passes * blocks + t.work.loads + t.work.stores + t.work.local + 1
    ) * profile.issue
    step = t.work.products * profile.issue + 2 * profile.wait
    total = batches * mc * nc * (result + kc * step)
    total = total + kept.loads_b * t.decoding[0] * profile.issue
    for loads, group in ((kept.loads_a, by_a), (kept.loads_b, by_b)):
        shared = (2 * group + 4) * profile.wait + profile.barrier + 2 * profile.issue
        total = total + loads * (profile.issue + np.where(np.asarray(group) > 1, shared, 0))
    return total.astype(np.float64)
