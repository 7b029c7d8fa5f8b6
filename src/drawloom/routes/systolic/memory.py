"""What of a kernel passes through DRAM: tiles in an SRAM that software fills, and values that stay.

Half of the SRAM holds tiles, twice: while one set is worked on the next one comes in. A product whose
operands do not fit in one set is cut into tiles of results; for each, a panel of the left operand
and one of the right come in, whole or by strips along k, so that

    bytes from DRAM = left x (tiles across) + right x (tiles down) + results

where a panel that is held whole comes in once, and the tiles are those for which that is least. The
other half holds results for the kernels that read them; they pass through DRAM only where they do
not fit, or are the graph's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from drawloom.graph.ir import Graph
from drawloom.routes.fuse import Kernel
from drawloom.routes.systolic.array import over
from drawloom.routes.work import Products

SUM_BYTES = 4  # of a sum that is being built
TILES_SHARE = 0.5
STEPS_K = 4  # array heights of k that a strip holds at a time


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a product is cut for the SRAM: tiles of results down and across, and its traffic."""

    down: int
    across: int
    left_bytes: int
    right_bytes: int

    @property
    def count(self) -> int:
        """Tiles of results."""
        return self.down * self.across


@cache
def tiling(work: Products, room: int, rows: int, columns: int) -> Tiling:
    """Return the tiles of one product of the batch with the least traffic.

    Args:
        work: the products; each is cut alike.
        room: bytes for one set of tiles.
        rows: of an array; strips of k are ``STEPS_K`` times as long.
        columns: of an array, which tiles are multiples of.
    """
    left, right = work.left_bytes // work.batch, work.right_bytes // work.batch
    out = SUM_BYTES * work.m * work.n
    if left + right + out <= room:
        return Tiling(1, 1, left, right)
    strip = min(1.0, STEPS_K * rows / work.k)
    found: list[Tiling] = []
    for across in _counts(over(work.n, columns)):
        sums = SUM_BYTES * over(work.n, across)
        # Shares of the operands' panels that are held at a time: a strip of k, or all of it, which
        # then need not come in again for the next tile beside it.
        for left_share, right_share in ((strip, strip), (strip, 1.0), (1.0, strip)):
            rest = room - right * right_share / across
            high = int(rest // (left * left_share / work.m + sums))
            if high > 0:
                down = over(work.m, high)
                left_times = across if left_share < 1 else 1
                right_times = down if right_share < 1 else 1
                found.append(Tiling(down, across, left * left_times, right * right_times))
    if not found:  # not one row beside the widest strip: every row takes all of the right operand
        return Tiling(work.m, over(work.n, columns), left, right * work.m)
    return min(found, key=lambda cut: cut.left_bytes + cut.right_bytes)


def _counts(most: int) -> list[int]:
    """Return all numbers of tiles up to 64, and a geometric choice of larger ones."""
    counts = list(range(1, min(most, 64) + 1))
    while counts[-1] < most:
        counts.append(min(most, counts[-1] * 5 // 4))
    return counts


@dataclass(slots=True)
class Residents:
    """Values that stay in the SRAM from the kernel that makes them to the last that reads them."""

    room: int
    last_read: dict[str, int]
    outputs: frozenset[str]
    held: dict[str, int] = field(default_factory=dict[str, int])

    @staticmethod
    def of(graph: Graph, kernels: Sequence[Kernel], room: int) -> Residents:
        """Return an empty SRAM with room for so many bytes of values."""
        last = {value: at for at, kernel in enumerate(kernels) for value in kernel.reads}
        return Residents(room, last, frozenset(graph.outputs))

    def pass_kernel(self, at: int, kernel: Kernel, graph: Graph) -> tuple[int, int]:
        """Return the bytes of activations read from and written to DRAM, and note what stays.

        Args:
            at: place of the kernel among all.
            kernel: it.
            graph: whose values they are.
        """
        read = sum(size for value, size in kernel.reads.items() if value not in self.held)
        written = 0
        for value, size in kernel.writes.items():
            # Less than all of an output are new entries of a cache.
            is_whole = size == graph.types[value].bytes or value not in self.outputs
            fits = sum(self.held.values()) + size <= self.room
            if is_whole and fits and value in self.last_read:
                self.held[value] = size
                written += size if value in self.outputs else 0
            else:
                written += size
        for value in [each for each in self.held if self.last_read[each] <= at]:
            del self.held[value]
        return read, written
