"""One matrix kernel with a given tile: waves over SMs, main loop, epilogue, DRAM, power → seconds.

    tiles  = ceil(M / tile M) x ceil(N / tile N), whole clusters, times the parts of a split sum
    waves  = tiles over SMs: full ones, and a last one that is as long but loads less
    tile   = K steps x the slowest of: tensor cores, L2, tiles in flight over load latency
    DRAM   = operands once while they stay in L2, else each wave's panels; results once
    power  = useful multiply-adds over what the board sustains: waves take at least that

Waves and DRAM are joined by a norm, because a kernel that is bound by one of them still waits for
the other now and then. All functions take arrays of shapes and give seconds of the same length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import Behaviour

Floats = NDArray[np.float64]

WHOLE_TILE = 128 * 256  # results of the largest common tile, at which mma_share is stated
RESULT_BYTES = 2  # 16-bit results
PARTIAL_BYTES = 8  # a float32 partial sum, written and read
OPERAND_SHARE = 0.9  # of the scratchpad; the rest holds the epilogue's tile and barriers


@dataclass(frozen=True, slots=True)
class Tile:
    """What one thread block computes at a time: M x N results, K at a step, blocks of a cluster."""

    m: int
    n: int
    k: int
    cluster_m: int = 1
    cluster_n: int = 1
    is_overlapped: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Products of [m, k] by [k, n], any number of them: arrays of one length, as float64.

    Attributes:
        m: rows.
        n: columns.
        k: the inner size.
        batch: products of one kernel, each with operands of its own.
        copies: how often a number of the left operand stands in it: more than once in the windows
            of a convolution, which come from one image.
    """

    m: Floats
    n: Floats
    k: Floats
    batch: Floats | float = 1.0
    copies: Floats | float = 1.0

    def of(self, chosen: NDArray[np.bool_]) -> Shapes:
        """Return the chosen shapes."""
        batch, copies = (
            each[chosen] if isinstance(each, np.ndarray) else each
            for each in (self.batch, self.copies)
        )
        return Shapes(self.m[chosen], self.n[chosen], self.k[chosen], batch, copies)

    def turned(self) -> Shapes:
        """Return the shapes with M and N exchanged: the transposed product of matrices."""
        return Shapes(self.n, self.m, self.k, self.batch)

    def macs(self) -> Floats:
        """Return the multiply-adds of each."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Kernel:
    """A tile on a GPU by a library's habits, for operands of one format."""

    gpu: Gpu
    behaviour: Behaviour
    tile: Tile
    number_format: str
    operand_bytes: float

    def seconds(self, shapes: Shapes, parts: int = 1) -> Floats:
        """Return how long a kernel takes that splits K into parts, its launch included."""
        habits = self.behaviour
        sustained = self.gpu.rated_peak(self.number_format) * self.gpu.sustained
        sustained *= habits.power_share
        working = np.maximum(self.waves(shapes, parts), shapes.macs() / sustained)
        exponent = habits.sharpness
        moving = self.dram_seconds(shapes)
        together = (working**exponent + moving**exponent) ** (1 / exponent)
        return habits.launch + together + self._adding(shapes, parts)

    def blocks(self, shapes: Shapes, parts: int = 1) -> Floats:
        """Return the number of thread blocks, those that only fill a cluster included."""
        tile = self.tile
        rows = np.ceil(np.ceil(shapes.m / tile.m) / tile.cluster_m) * tile.cluster_m
        columns = np.ceil(np.ceil(shapes.n / tile.n) / tile.cluster_n) * tile.cluster_n
        return shapes.batch * rows * columns * parts

    def waves(self, shapes: Shapes, parts: int = 1) -> Floats:
        """Return the seconds of all waves, were DRAM and power no bounds."""
        sms = float(self.gpu.sms)
        blocks = self.blocks(shapes, parts)
        full = np.floor(blocks / sms)
        rest = blocks - full * sms
        steps = np.ceil(np.ceil(shapes.k / parts) / self.tile.k) * self.tile.k
        loop, end = steps * self._step(sms), self._epilogue(sms)
        last_loop, last_end = steps * self._step(rest), self._epilogue(rest)
        has_rest = rest > 0
        habits = self.behaviour
        if self.tile.is_overlapped:
            each = np.maximum(loop, end) + habits.overlap * np.minimum(loop, end)
            last = np.where(has_rest, last_loop + last_end, end)
        else:
            each = loop + end
            last = np.where(has_rest, last_loop + last_end, 0)
        return full * (each + habits.tile_switch) + last

    def dram_seconds(self, shapes: Shapes) -> Floats:
        """Return the seconds that DRAM needs for operands and results."""
        gpu, tile, habits = self.gpu, self.tile, self.behaviour
        rows, columns = np.ceil(shapes.m / tile.m), np.ceil(shapes.n / tile.n)
        # A wave covers a patch of tiles that is about as high as it is wide.
        high = np.minimum(rows, np.maximum(1, np.sqrt(gpu.sms * tile.n / tile.m)))
        wide = np.minimum(columns, gpu.sms / high)
        panels = (high * tile.m / shapes.copies + wide * tile.n) * shapes.k * self.operand_bytes
        waves = np.maximum(1, rows * columns / (high * wide))
        once = (shapes.m / shapes.copies + shapes.n) * shapes.k * self.operand_bytes
        again = np.maximum(once, waves * panels * habits.panel_share)
        read = np.where(once > habits.l2_share * gpu.l2, again, once)
        written = RESULT_BYTES * shapes.m * shapes.n
        return shapes.batch * (read + written) / (habits.dram_share * gpu.dram_rate)

    def _step(self, active: Floats | float) -> Floats:
        """Return seconds for one element of K when so many SMs work on tiles."""
        gpu, tile, habits = self.gpu, self.tile, self.behaviour
        results = tile.m * tile.n
        share = min(1.0, habits.mma_share * (results / WHOLE_TILE) ** habits.mma_exponent)
        tensor = results / (gpu.macs(self.number_format) * gpu.rated_clock * share)
        operands = (tile.m + tile.n) * self.operand_bytes
        in_flight = min(habits.stages * tile.k, OPERAND_SHARE * gpu.scratchpad / operands)
        loaded = (tile.m / tile.cluster_n + tile.n / tile.cluster_m) * self.operand_bytes
        from_l2 = np.asarray(active) * loaded / (gpu.sms * gpu.clock * habits.l2_width)
        return np.maximum(max(tensor, habits.load_latency / in_flight), from_l2)

    def _epilogue(self, active: Floats | float) -> Floats:
        """Return seconds from a tile's last product until its results are written."""
        gpu, habits = self.gpu, self.behaviour
        written = self.tile.m * self.tile.n * RESULT_BYTES
        rate = gpu.sms * gpu.clock * habits.store_width
        return habits.tile_start + np.asarray(active) * written / rate

    def _adding(self, shapes: Shapes, parts: int) -> Floats:
        """Return seconds for adding up the parts of split sums."""
        gpu, habits = self.gpu, self.behaviour
        if parts == 1:
            return np.zeros_like(shapes.m)
        rate = gpu.sms * gpu.clock * habits.store_width
        partial = parts * PARTIAL_BYTES * shapes.batch * shapes.m * shapes.n
        return habits.split_start + partial / rate
