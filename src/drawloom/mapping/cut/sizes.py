"""Buffer sizes, trip counts and engine cycles of a matrix piece, for many ways to cut it at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.mapping.pieces import Fold, Panel, Window

Ints = NDArray[np.int64]
FOLD_GUARD = 256  # zeros before and behind a chunk that is folded


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
    by_batch: bool = False  # tiles share the work by batch alone
    by_rows: int = 0  # so many tiles share the work, by rows alone
    reserved: int = 0  # scratchpad bytes that belong to resident values
    a_local: bool = False  # the first operand is resident
    local: int = 0  # further loads and stores of the body, of residents: they are moves
    seen: bool = False  # the first operand is held whole by every tile
    sent: int = 0  # results that go to all tiles
    picked: bool = False  # the second operand's matrices are picked by index
    fold: Fold | None = None  # of the first operand
    # Bits of the second operand's codes, and inputs a scale serves: 0 where it stands behind.
    coded: tuple[int, int] | None = None


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
    panel: Panel | None = None
    results: int = 2  # copies of the body's buffers


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
        return up(ceil(self.work.n, self.gn), grain(self.work, self.chip))

    @property
    def per_m(self) -> Ints:
        """Rows of a tile; a transposed operand is cut at blocks."""
        size = FORMAT_BYTES[self.work.fmt]
        return up(
            ceil(self.work.m, self.gm), self.chip.blocking.of(size) if self.work.trans_a else 1
        )

    @property
    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Batches, row chunks, channel chunks and depth chunks of a tile."""
        return (
            ceil(self.work.batch, self.gb),
            ceil(np.minimum(self.per_m, self.work.m), self.mt),
            ceil(np.minimum(self.per_n, self.work.n), self.nt),
            ceil(self.work.k, self.kt),
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
            high = np.minimum(high, window.h)
            if work.fold:
                pixels = high * work.fold.rows * work.fold.width
                return self._operand(pixels, 0 * high + work.fold.channels) + 2 * FOLD_GUARD
            return self._operand(high * window.w, channels)
        rows = np.minimum(self.mt, work.m)
        return self._operand(self.depth, rows) if work.trans_a else self._operand(rows, channels)

    @property
    def bytes_b(self) -> Ints:
        """Bytes of a chunk of the second operand; of codes and scales where it is coded."""
        work = self.work
        if work.coded:
            bits, group = work.coded
            groups = ceil(self.depth, group) if group else 1
            scales = groups * self.outs * FORMAT_BYTES[work.fmt]
            return up(self.depth * self.outs * bits // 8 + scales, self.chip.blocking.align)
        if work.window:
            taps = work.window.kernel[0] * work.window.kernel[1]
            if work.depthwise:
                return self._operand(taps + 0 * self.nt, self.outs)
            return self._operand(taps * self.outs, self.depth)
        if work.trans_b:
            return self._operand(self.outs, self.depth)
        return self._operand(self.depth, self.outs)

    @property
    def folded_bytes(self) -> Ints:
        """Bytes of a chunk of the first operand behind its folding; 0 where it needs none."""
        work = self.work
        if work.fold is None or work.window is None:
            return 0 * self.mt
        high = np.minimum(self.mt - 1 + work.window.kernel[0], work.window.h)
        return self._operand(high * work.window.w, self.depth)

    @property
    def folding(self) -> Ints:
        """Move engine cycles of folding a chunk: by its runs of pixels."""
        if self.work.fold is None:
            return 0 * self.mt
        run = self.work.fold.pixels * self.work.fold.channels * FORMAT_BYTES[self.work.fmt]
        return self.folded_bytes // run * self.chip.move.inner_cycles

    @property
    def decoded_bytes(self) -> Ints:
        """Bytes of a chunk of the second operand behind its decoding; 0 where it needs none."""
        return self._operand(self.depth, self.outs) if self.work.coded else 0 * self.nt

    @property
    def decoding(self) -> tuple[Ints, Ints]:
        """Vector commands that decode a chunk, and the elements they go over."""
        if not self.work.coded:
            return 0 * self.nt, 0 * self.nt
        bits, group = self.work.coded
        blocks = ceil(self.outs, self.chip.blocking.of(FORMAT_BYTES[self.work.fmt]))
        codes = self.depth * self.outs
        scaling, scaled = (
            (blocks * ceil(self.depth, group), codes) if group else (0 * blocks, 0 * codes)
        )
        if bits == 8:
            return 1 + scaling, codes + scaled
        # On each pair of blocks, which share bytes.
        steps = 4 if group else 3
        return steps * ceil(blocks, 2) + scaling, steps * codes // 2 + scaled

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
        return up(rows * _width(self.chip, channels, size) * size, self.chip.blocking.align)

    @property
    def psum_bytes(self) -> Ints:
        """Bytes of one copy of the partial sums, which may not be needed."""
        return up(self.rows * _width(self.chip, self.outs, 4) * 4, self.chip.blocking.align)

    @property
    def sums(self) -> NDArray[np.bool_]:
        """Whether partial sums are kept."""
        return (self.counts[3] > 1) | (self.work.products > 1)

    def slot_bytes(self, kind: str, fmt: str) -> Ints:
        """Bytes of one copy of a body's buffer."""
        size = FORMAT_BYTES[fmt]
        if kind == "channel":
            total = up(self.per_n, self.chip.blocking.of(size)) * size
        else:
            total = self.rows * _width(self.chip, self.outs, size) * size
        return up(total, self.chip.blocking.align)

    @property
    def fixed_bytes(self) -> Ints:
        """Scratchpad bytes of everything but the operands."""
        total = np.where(self.sums, self.psum_bytes, 0)
        for kind, fmt in self.work.slots:
            total = total + self.slot_bytes(kind, fmt) * (1 if kind == "channel" else 2)
        return total

    @property
    def cycles(self) -> Ints:
        """Matrix engine cycles of one chunk."""
        return self._cycles(self.rows)

    @property
    def mean_cycles(self) -> NDArray[np.float64]:
        """Matrix engine cycles of a chunk, the mean of whole ones and a last that may be smaller."""
        chunks = self.counts[1]
        last = np.minimum(self.per_m, self.work.m) - (chunks - 1) * self.mt
        rest = self._cycles(last * (self.work.window.ow if self.work.window else 1))
        return ((chunks - 1) * self.cycles + rest) / chunks

    def _cycles(self, rows: Ints) -> Ints:
        engine, work = self.chip.matrix, self.work
        block = engine.block
        taps = work.window.kernel[0] * work.window.kernel[1] if work.window else 1
        if work.depthwise:
            busy = rows * taps * up(self.nt, block) // engine.depthwise_rate
        else:
            deep = block * (2 if FORMAT_BYTES[work.fmt] == 1 else 1)
            macs = up(rows, block) * up(self.nt, block) * up(self.kt, deep) * taps
            busy = macs // engine.macs_per_cycle[work.fmt]
        # The first of several chunks begins a sum, the others read one.
        depths = self.counts[3]
        extra = engine.psum_fixed * (depths - 1) // depths
        if work.products > 1:
            extra = np.where(self.sums, engine.psum_fixed, 0)
        over = np.minimum(engine.fixed, engine.start + busy // engine.bubble_every)
        return (busy + over + extra) * work.products


def ceil(a: Ints | int, b: Ints | int) -> Ints:
    """Return a / b rounded up, element by element."""
    return np.asarray(-(-a // b))


def up(a: Ints | int, step: int) -> Ints:
    """Return the multiples of ``step`` not below a."""
    return ceil(a, step) * step


def _width(chip: Chip, channels: Ints, size: int) -> Ints:
    """Padded channels of a row, as ``Blocking.width`` gives them."""
    block = chip.blocking.of(size)
    tails = np.array([chip.blocking.tail(rest, size) for rest in range(block)])
    return channels // block * block + tails[channels % block]


def grain(work: Work, chip: Chip) -> int:
    """Channels of the result are cut at multiples of this."""
    pairs = 2 if work.coded and work.coded[0] == 4 else 1
    block = chip.blocking.of(FORMAT_BYTES[work.fmt])
    return max(pairs * block, chip.blocking.of(FORMAT_BYTES[work.out_fmt]))


def sizes_of(work: Work, chip: Chip, cut: Cut) -> Sizes:
    """Return the sizes of one chosen cut."""
    return Sizes(work, chip, *(np.asarray(x) for x in (*cut.grid, *cut.chunk)))
