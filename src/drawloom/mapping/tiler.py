"""How a matrix piece is cut: tile grid, chunks, order, buffers, and which loads are shared.

Candidates are priced with a simple model of the chip (the slowest of matrix engine, vector
engine, DRAM and NoC, plus what cannot overlap at either end); the cheapest that fits the
scratchpad wins. All candidates are priced at once, as arrays. Times are nanoseconds; ties go
to the first candidate, so that the result depends on nothing but the work and the chip.
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
from drawloom.mapping.pieces import Window
from drawloom.units import align_up, ceil_div

MAX_COPIES = 16  # slots an operand may have; each has a flag of its own


@dataclass(frozen=True, slots=True)
class Work:
    """A matrix product or convolution to cut; sizes as in ``MatrixPiece``."""

    batch: int
    m: int
    k: int
    n: int
    fmt: str
    out_fmt: str
    trans_a: bool
    trans_b: bool
    b_batched: bool
    window: Window | None
    depthwise: bool
    slots: tuple[tuple[str, str], ...]  # (kind, format) of the body's buffers
    loads: int  # how many of them are read from DRAM for each result
    stores: int
    passes: int  # vector commands per result
    products: int = 1  # matrix commands per chunk (3 when f32 is made of tf32 products)


@dataclass(frozen=True, slots=True)
class Cut:
    """A way to cut a piece of work."""

    grid: tuple[int, int, int]
    chunk: tuple[int, int, int]
    order: str
    a_copies: int
    b_copies: int
    share_a: bool
    share_b: bool
    estimate: float


Ints = NDArray[np.int64]
_MN, _NM = 0, 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """Buffer sizes and trip counts of candidates: every field is one number a candidate."""

    work: Work
    chip: Chip
    gb: Ints
    gm: Ints
    gn: Ints
    mt: Ints
    nt: Ints
    kt: Ints

    @property
    def per_n(self) -> Ints:
        """Channels of a tile, in whole grains."""
        return _up(_ceil(self.work.n, self.gn), grain(self.work, self.chip))

    @property
    def per_m(self) -> Ints:
        """Rows of a tile; a transposed operand is cut at blocks."""
        size = FORMAT_BYTES[self.work.fmt]
        return _up(
            _ceil(self.work.m, self.gm), self.chip.blocking.of(size) if self.work.trans_a else 1
        )

    @property
    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Batches, row chunks, channel chunks and depth chunks of a tile."""
        return (
            _ceil(self.work.batch, self.gb),
            _ceil(np.minimum(self.per_m, self.work.m), self.mt),
            _ceil(np.minimum(self.per_n, self.work.n), self.nt),
            _ceil(self.work.k, self.kt),
        )

    @property
    def rows(self) -> Ints:
        """Rows of a result chunk."""
        return self.mt * (self.work.window.ow if self.work.window else 1)

    @property
    def bytes_a(self) -> Ints:
        """Bytes of a chunk of the first operand."""
        work = self.work
        channels = self.outs if work.depthwise else self.depth
        if work.window:
            window = work.window
            high = (
                (self.mt - 1) * window.strides[0] + (window.kernel[0] - 1) * window.dilations[0] + 1
            )
            return self._operand(np.minimum(high, window.h) * window.w, channels)
        rows = np.minimum(self.mt, work.m)
        return self._operand(self.depth, rows) if work.trans_a else self._operand(rows, channels)

    @property
    def bytes_b(self) -> Ints:
        """Bytes of a chunk of the second operand."""
        work = self.work
        if work.window:
            taps = work.window.kernel[0] * work.window.kernel[1]
            if work.depthwise:
                return self._operand(taps + 0 * self.nt, self.outs)
            return self._operand(taps * self.outs, self.depth)
        if work.trans_b:
            return self._operand(self.outs, self.depth)
        return self._operand(self.depth, self.outs)

    @property
    def outs(self) -> Ints:
        """Channels of a result chunk, as far as there are so many."""
        return np.minimum(self.nt, self.work.n)

    @property
    def depth(self) -> Ints:
        """Depth of a chunk, as far as there is so much."""
        return np.minimum(self.kt, self.work.k)

    def _operand(self, rows: Ints, channels: Ints) -> Ints:
        size = FORMAT_BYTES[self.work.fmt]
        return _up(rows * _width(self.chip, channels, size) * size, self.chip.blocking.align)

    @property
    def psum_bytes(self) -> Ints:
        """Bytes of one copy of the partial sums, which may not be needed."""
        return _up(self.rows * _width(self.chip, self.outs, 4) * 4, self.chip.blocking.align)

    @property
    def sums(self) -> NDArray[np.bool_]:
        """Whether partial sums are kept."""
        return (self.counts[3] > 1) | (self.work.products > 1)

    def slot_bytes(self, kind: str, fmt: str) -> Ints:
        """Bytes of one copy of a body's buffer."""
        size = FORMAT_BYTES[fmt]
        if kind == "channel":
            total = _up(self.per_n, self.chip.blocking.of(size)) * size
        else:
            total = self.rows * _width(self.chip, self.outs, size) * size
        return _up(total, self.chip.blocking.align)

    @property
    def fixed_bytes(self) -> Ints:
        """Scratchpad bytes of everything but the operands."""
        total = np.where(self.sums, 2 * self.psum_bytes, 0)
        for kind, fmt in self.work.slots:
            total = total + self.slot_bytes(kind, fmt) * (1 if kind == "channel" else 2)
        return total

    @property
    def cycles(self) -> Ints:
        """Matrix engine cycles of one chunk."""
        engine, work = self.chip.matrix, self.work
        block = engine.block
        taps = work.window.kernel[0] * work.window.kernel[1] if work.window else 1
        if work.depthwise:
            busy = self.rows * taps * _up(self.nt, block) // engine.depthwise_rate
        else:
            deep = block * (2 if FORMAT_BYTES[work.fmt] == 1 else 1)
            macs = _up(self.rows, block) * _up(self.nt, block) * _up(self.kt, deep) * taps
            busy = macs // engine.macs_per_cycle[work.fmt]
        extra = np.where(self.sums, engine.psum_fixed, 0)
        over = np.minimum(engine.fixed, engine.start + busy // engine.bubble_every)
        return (busy + over + extra) * work.products


def _ceil(a: Ints | int, b: Ints | int) -> Ints:
    return np.asarray(-(-a // b))


def _up(a: Ints | int, step: int) -> Ints:
    return _ceil(a, step) * step


def _width(chip: Chip, channels: Ints, size: int) -> Ints:
    """Padded channels of a row, as ``Blocking.width`` gives them."""
    block = chip.blocking.of(size)
    tails = np.array([chip.blocking.tail(rest, size) for rest in range(block)])
    return channels // block * block + tails[channels % block]


def grain(work: Work, chip: Chip) -> int:
    """Channels of the result are cut at multiples of this."""
    return max(
        chip.blocking.of(FORMAT_BYTES[work.fmt]), chip.blocking.of(FORMAT_BYTES[work.out_fmt])
    )


def sizes_of(work: Work, chip: Chip, cut: Cut) -> Sizes:
    """Return the sizes of one chosen cut."""
    return Sizes(work, chip, *(np.asarray(x) for x in (*cut.grid, *cut.chunk)))


def cut(work: Work, chip: Chip, name: str, *, multicast: bool) -> Cut:
    """Return the cheapest way to cut the work.

    Raises:
        DoesNotFit: not even the smallest chunks fit a tile's scratchpad.
    """
    found = _cut(work, _ChipKey(chip), multicast)
    if isinstance(found, Cut):
        return found
    operands, results = found
    need, have = operands + results, chip.scratchpad.usable
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
def _cut(work: Work, key: _ChipKey, multicast: bool) -> Cut | tuple[int, int]:
    """Return the best cut, or the bytes (operands, results) of the smallest that does not fit."""
    chip = key.chip
    table = np.array(_candidates(work, chip), np.int64)
    sizes = Sizes(work, chip, *table.T[:6])
    best: tuple[float, int, _Kept, bool, bool, int] | None = None
    for order in (_MN, _NM):
        kept = _keep_all(sizes, order)
        if not kept.fits.any():
            continue
        for share_a, share_b in product((False, True), repeat=2):
            price = _price(sizes, kept, order, share_a, share_b, multicast)
            at = int(np.argmin(price))
            if np.isfinite(price[at]) and (best is None or price[at] < best[0] - 1e-9):
                best = (float(price[at]), at, kept, share_a, share_b, order)
    if best is None:
        least = int(np.argmin(sizes.bytes_a + sizes.bytes_b + sizes.fixed_bytes))
        return int((sizes.bytes_a + sizes.bytes_b)[least]), int(sizes.fixed_bytes[least])
    price, at, kept, share_a, share_b, order = best
    gb, gm, gn, mt, nt, kt = (int(x) for x in table[at])
    return Cut(
        (gb, gm, gn), (mt, nt, kt), "mn" if order == _MN else "nm",
        int(kept.a[at]), int(kept.b[at]), share_a, share_b, price,
    )  # fmt: skip


def _candidates(work: Work, chip: Chip) -> list[tuple[int, ...]]:
    step = grain(work, chip)
    k_step = chip.blocking.of(FORMAT_BYTES[work.fmt])
    limit = chip.limits.rows if work.window is None else chip.limits.rows * chip.limits.rows
    wide = work.window.ow if work.window else 1
    out: list[tuple[int, ...]] = []
    for grid in _grids(work, chip, step):
        per_m = ceil_div(work.m, grid[1])
        per_n = align_up(ceil_div(work.n, grid[2]), step)
        m_grain = k_step if work.trans_a else 1
        rows = {
            _chunk(per_m, j, m_grain) for j in (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64, 128, 256)
        }
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
    halves = 3 if work.products > 1 else 1  # the high and low part stand beside the operand
    size_a, size_b = t.bytes_a * halves, t.bytes_b * halves
    total_a = batches * mc * (nc if work.depthwise else kc)
    total_b = (batches if work.b_batched else 1) * nc * kc
    room = t.chip.scratchpad.usable - t.fixed_bytes
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
    reuse_a = (a >= (kc if order == _MN else mc * kc)) | (nc == 1)
    reuse_b = (b >= (nc * kc if order == _MN else kc)) | (mc == 1)
    each_a = nc if work.depthwise else kc * np.where(reuse_a, 1, nc)
    loads_a = batches * mc * each_a
    stays = b >= nc * kc
    repeat = np.where(stays, batches if work.b_batched else 1, batches)
    return _Kept(a, b, loads_a, nc * kc * np.where(reuse_b, 1, mc) * repeat, fits)


def _keep(copies: Ints, wanted: Ints, total: Ints, size: Ints, room: Ints) -> tuple[Ints, Ints]:
    """Give an operand enough copies that what will be used again stays, if they fit."""
    for goal in (np.minimum(wanted + 1, total), np.minimum(wanted, total)):
        more = (copies < goal) & (goal <= MAX_COPIES) & ((goal - copies) * size <= room)
        room = np.where(more, room - (goal - copies) * size, room)
        copies = np.where(more, goal, copies)
    return copies, room


def _price(
    t: Sizes, kept: _Kept, order: int, share_a: bool, share_b: bool, multicast: bool
) -> NDArray[np.float64]:
    """Nanoseconds of each candidate; infinite where it does not fit or cannot share."""
    chip, work = t.chip, t.work
    ns = 1e9 / chip.clock
    tiles = t.gb * t.gm * t.gn
    batches, mc, nc, kc = t.counts
    results = batches * mc * nc
    group_b = t.gm if work.b_batched else t.gb * t.gm
    by_a, by_b = (t.gn if share_a else 1), (group_b if share_b else 1)
    allowed = kept.fits
    if share_a:
        allowed = allowed & (t.gn > 1) & multicast & (not work.depthwise) & (work.products == 1)
    if share_b:
        allowed = allowed & (group_b > 1) & multicast & (work.products == 1)
    out_bytes = t.rows * t.nt * FORMAT_BYTES[work.out_fmt]
    per_tile = kept.loads_a * t.bytes_a / by_a + kept.loads_b * t.bytes_b / by_b
    reads = tiles * (per_tile + results * out_bytes * work.loads)
    written = tiles * results * out_bytes * work.stores
    dram = 1e9 * np.maximum.reduce(
        [
            reads / chip.dram.read,
            written / chip.dram.write,
            (reads + written) / chip.dram.combined,
            per_tile / chip.dram.port,
        ]
    )
    chunk = t.cycles * ns
    matrix = results * kc * chunk
    vector = results * work.passes * (chip.vector.fixed + t.rows * t.nt / chip.vector.lanes_16) * ns
    rate = chip.noc.bytes_per_cycle * chip.send.efficiency
    message = chip.profiles["lean"].message if "lean" in chip.profiles else 0
    noc = np.zeros(len(t.mt))
    for shared, loads, size in (
        (share_a, kept.loads_a, t.bytes_a),
        (share_b, kept.loads_b, t.bytes_b),
    ):
        if shared:
            noc = noc + loads * (size / rate + message + 100) * ns
    first = tiles * (t.bytes_a / by_a + t.bytes_b / by_b)
    start = (
        first / chip.dram.read * 1e9
        + chip.dram_read.latency * ns
        + (500 if share_a or share_b else 0)
    )
    end = tiles * out_bytes / chip.dram.write * 1e9 + chip.dram_write.latency * ns
    cpu = _issue(t, kept, by_a, by_b) * ns
    # A tile's read engine handles one command at a time, its latency included.
    reader = (
        per_tile / chip.dram.port * 1e9
        + (kept.loads_a + kept.loads_b) * chip.dram_read.latency * ns
    )
    # Where the matrix engine is not what binds, one chunk of its time is seen at the end.
    total = (
        np.maximum.reduce([matrix, vector, dram, noc, cpu, reader])
        + start
        + end
        + np.where(matrix >= dram, 0, chunk)
    )
    return np.where(allowed, total, np.inf)


def _issue(t: Sizes, kept: _Kept, by_a: Ints | int, by_b: Ints | int) -> NDArray[np.float64]:
    """Cycles a tile's processor spends on handing out commands, roughly, in the leanest profile."""
    profile = min(t.chip.profiles.values(), key=lambda p: p.issue)
    batches, mc, nc, kc = t.counts
    blocks = _ceil(t.nt, t.chip.blocking.block)
    result = (t.work.passes * blocks + t.work.loads + t.work.stores + 1) * profile.issue
    step = t.work.products * profile.issue + 2 * profile.wait
    total = batches * mc * nc * (result + kc * step)
    for loads, group in ((kept.loads_a, by_a), (kept.loads_b, by_b)):
        shared = (2 * group + 4) * profile.wait + profile.barrier + 2 * profile.issue
        total = total + loads * (profile.issue + np.where(np.asarray(group) > 1, shared, 0))
    return total.astype(np.float64)
