"""What it costs to sum the channels of a large product side by side, and the cheapest way.

A way is priced by the time at which its phases end: until all of the first sums are there, then chunk
by chunk; at no time more than the DRAM can have moved by then. Times are nanoseconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.mapping.cut.panels import RING, Way, ways
from drawloom.mapping.cut.sizes import Cut, Work, grain
from drawloom.units import align_up, ceil_div

BUSY = 0.25  # work of the matrix engines, in that of the DRAM: with less another way is as good
REACHED = 0.95  # of the rate of the DRAM at reads and writes together
# Of that at reads: where groups of sums stream by, and where chunks follow one by one.
STREAMED, FOLLOWED = 1.0, 0.92
LOST = 0.06  # of the least time of a turn, where reads never rest
CROWDED = 0.3  # of writing a result, where there are but two places for results
GROWN = 1.0  # of the time in which a longer chunk comes in than the first
# Cycles: of a turn at the least, and for each tile that takes part; of getting the first operands.
MEETING, EACH, STARTING = 1200, 120, 600


def panel_cut(work: Work, chip: Chip, *, multicast: bool) -> Cut | None:
    """Return the cheapest way to cut a product so; None where none fits, or it is no such product."""
    found = panel_cuts(work, chip, 1, multicast=multicast)
    return found[0] if found else None


def panel_cuts(work: Work, chip: Chip, of_a_kind: int, *, multicast: bool) -> list[Cut]:
    """Return ways to cut a product so, cheapest first: so many of each grid, chunk and depth."""
    plain = work.window is None and work.products == 1 and work.coded is None and not work.picked
    other = work.by_batch or work.a_local or work.trans_a or work.trans_b or work.batch > 1
    if not plain or other or work.sent or not multicast or not _is_busy(work, chip):
        return []
    found: list[tuple[float, Way, Cut]] = []
    for way in ways(work, chip):
        cut = way.cut()
        if cut is not None:
            found.append((_Price(way, cut).ns(), way, cut))
    seen: Counter[tuple[object, ...]] = Counter()
    kept: list[Cut] = []
    for price, way, cut in sorted(found, key=lambda each: each[0]):
        kind = way.grid, way.mt, way.nt, way.always, way.depth
        seen[kind] += 1
        if seen[kind] <= of_a_kind:
            kept.append(replace(cut, estimate=price))
    return kept


def _is_busy(work: Work, chip: Chip) -> bool:
    """Whether the matrix engines have so much to do that they must not wait for the DRAM."""
    cycles = work.m * work.k * work.n / (chip.matrix.macs_per_cycle[work.fmt] * chip.n_tiles)
    read = (work.m + work.n) * work.k * FORMAT_BYTES[work.fmt]
    results = work.m * work.n * FORMAT_BYTES[work.out_fmt] * (work.stores + work.loads)
    return cycles / chip.clock > BUSY * max(
        read / chip.dram.read, (read + results) / chip.dram.combined
    )


@dataclass(frozen=True, slots=True)
class _Price:
    way: Way
    cut: Cut

    def ns(self) -> float:
        """Nanoseconds of the whole product."""
        return self._streamed() if self.way.always else self._stayed()

    @property
    def _cycle(self) -> float:
        return 1e9 / self.way.chip.clock

    def _product(self, n: int, k: int, *, sums: bool) -> float:
        """The product of a chunk of rows with so many channels over so much depth."""
        way, engine = self.way, self.way.chip.matrix
        block = engine.block
        deep = block * (2 if FORMAT_BYTES[way.work.fmt] == 1 else 1)
        macs = align_up(way.mt, block) * align_up(n, block) * align_up(k, deep)
        busy = macs / engine.macs_per_cycle[way.work.fmt]
        over = min(engine.fixed, engine.start + busy // engine.bubble_every)
        return (busy + over + (engine.psum_fixed if sums else 0)) * self._cycle

    def _body(self, n: int) -> float:
        """The body on so many channels of a chunk of rows."""
        way, vector = self.way, self.way.chip.vector
        each = ceil_div(n, way.nt) * vector.fixed + way.mt * n / vector.lanes_16
        return way.work.passes * each * self._cycle

    def _sent(self, n: int, k: int) -> float:
        """Until a chunk of b has been sent on: one sender after the other."""
        noc = self.way.chip.noc.bytes_per_cycle * self.way.chip.send.efficiency
        moved = k * n * FORMAT_BYTES[self.way.work.fmt]
        return (moved / noc + 10 * self.way.grid[0]) * self._cycle

    def _turn(self) -> float:
        """A turn at the least: tiles meet, and tell each other what is there."""
        return (MEETING + EACH * sum(self.way.grid)) * self._cycle

    def _first(self) -> float:
        """Until the first product can begin."""
        way, chip = self.way, self.way.chip
        begin, end = way.spans()[0]
        message = min(profile.message for profile in chip.profiles.values())
        latency = 2 * (chip.dram_read.latency + message) + STARTING
        return self._read(end - begin) + latency * self._cycle + self._sent(way.wide, end - begin)

    def _read(self, depth: int) -> float:
        """Reading so much depth of both operands, for channels side by side."""
        return self._operands(depth) / self.way.chip.dram.read * 1e9

    def _operands(self, depth: int) -> int:
        way = self.way
        gm, gn = way.grid
        wide = min(way.wide, way.per_n, way.work.n)
        return (gm * way.mt + gn * wide) * depth * FORMAT_BYTES[way.work.fmt]

    def _results(self, n: int) -> int:
        """Bytes of so many channels of a chunk of rows of each tile."""
        gm, gn = self.way.grid
        return gm * gn * self.way.mt * n * FORMAT_BYTES[self.way.work.out_fmt]

    def _tail(self, n: int) -> float:
        """Until the last results, so many channels of each tile, have been written."""
        chip = self.way.chip
        runs = self.way.mt * n // chip.blocking.block
        written = self._results(n) / chip.dram.write * 1e9
        return written + (chip.dram_write.latency + runs) * self._cycle

    def _sums(self, *, first: bool, last: bool) -> tuple[float, float]:
        """The turns of channels side by side, and of these the last products."""
        way = self.way
        *spans, (begin, end) = way.spans(first=first, last=last)
        before = sum(
            max(self._product(way.wide, b - a, sums=a > 0), self._turn()) for a, b in spans
        )
        last_ones = ceil_div(way.wide, way.nt) * self._product(way.nt, end - begin, sums=True)
        ending = max(last_ones, self._body(way.wide))
        return before + ending, ending

    def _stayed(self) -> float:
        """Where a stays and the channels behind follow chunk by chunk."""
        way, dram, work = self.way, self.way.chip.dram, self.way.work
        n = min(way.per_n, work.n)
        chunks = ceil_div(max(0, n - way.wide), way.nt)
        sums, ending = self._sums(first=True, last=True)
        first, tight = self._first(), 2 if self.cut.b_copies < 3 else 1
        each = max(
            self._product(way.nt, work.k, sums=False),
            self._body(way.nt),
            self._sent(way.nt, work.k) * tight + self._turn() * tight,
        )
        if not way.within and self.cut.results < RING:
            each += CROWDED * self._tail(way.nt)
        loaded = self._operands(work.k)
        more = chunks * way.grid[1] * way.nt * work.k * FORMAT_BYTES[work.fmt]
        extra, done = self._results(n) * work.loads, self._results(n) * work.stores
        lag = ending + self._sent(way.wide, way.depth)
        begun = max(first + self._grow() + sums, self._read(work.k) + first / 2 + lag)
        moves = [
            begun - ending + (more + extra + done) / dram.combined / REACHED * 1e9,
            begun - ending + done / dram.write * 1e9,
            first / 2 + lag + (loaded + more + extra) / dram.read / FOLLOWED * 1e9,
        ]
        total = max(begun + chunks * each, *moves)
        again = max(
            max(sums + first * (self.cut.a_copies < 2), self._read(work.k) + lag / 2)
            + chunks * each,
            (loaded + more + extra) / dram.read / FOLLOWED * 1e9,
            (loaded + more + extra + done) / dram.combined / REACHED * 1e9,
        )
        return (
            total
            + (way.rounds - 1) * again
            + self._tail(grain(work, way.chip) if chunks else way.wide)
        )

    def _streamed(self) -> float:
        """Where all channels are summed side by side, group by group."""
        way, dram, work = self.way, self.way.chip.dram, self.way.work
        n = min(way.per_n, work.n)
        wide = min(way.wide, n)
        sums, ending = self._sums(first=False, last=False)
        loaded = self._operands(work.k) + self._results(wide) * work.loads
        done = self._results(wide) * work.stores
        moved = 1e9 * max(loaded / dram.read / STREAMED, (loaded + done) / dram.combined / REACHED)
        moved += LOST * self._turn() * ceil_div(work.k, way.depth)
        if self.cut.b_copies < 3:
            wait = self._turn() + self._sent(way.wide, way.depth)
            moved += wait * ceil_div(work.k, way.depth)
        groups = way.rounds * ceil_div(n, way.wide)
        end = max(0.0, self._tail(wide) - 0.75 * ending)
        held = way.depth * self.cut.a_copies
        if way.even and wide > way.nt and held * way.nt <= way.depth * wide and held < work.k:
            # The last depth comes chunk by chunk, once that of a is there.
            each, write = self._product(way.nt, held, sums=True), self._tail(way.nt)
            late = max(write, each + ceil_div(wide, way.nt) * (write - each))
            end = late + way.grid[0] * way.mt * held * FORMAT_BYTES[work.fmt] / dram.read * 1e9
        return self._first() + self._grow() + groups * max(sums, moved) + end

    def _grow(self) -> float:
        """What is waited for longer chunks to come in than the first."""
        begin, end = self.way.spans()[0]
        return GROWN * (self._read(self.way.depth) - self._read(end - begin))
