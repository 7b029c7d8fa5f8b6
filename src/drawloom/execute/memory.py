"""Byte-addressed memories with bounds, and the tile that owns one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Blocking
from drawloom.execute.faults import Index, Outside, Refused
from drawloom.execute.host import require
from drawloom.graph.lazy import values
from drawloom.program.commands import Address, Affine
from drawloom.program.program import Program

POISON = 0xFF
"""Every byte of memory before it is written: NaN in each float format, -1 in integers."""

WHOLE_DRAM_BYTES = 1 << 28
"""DRAM up to this size is held whole; larger, as far as regions and data reach."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """One address space: its bytes, and the name it has in messages."""

    name: str
    bytes: NDArray[np.uint8]

    def array(self, address: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return ``count`` contiguous elements at a byte address, as a view.

        Raises:
            Outside: some of them do not lie in this memory.
        """
        last = address + count * dtype.itemsize
        if address < 0 or count < 0 or last > self.bytes.size:
            raise Outside(self.name, address, last, self.bytes.size)
        return self.bytes[address:last].view(dtype)

    def strided(
        self, address: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return elements at ``address + sum(stride * index)`` (bytes), as a view.

        Raises:
            Outside: some of them do not lie in this memory.
        """
        if 0 in shape:
            return np.empty(shape, dtype)
        first, last = address, address + dtype.itemsize
        for n, stride in zip(shape, strides, strict=True):
            reach = (n - 1) * stride
            if reach > 0:
                last += reach
            else:
                first += reach
        if first < 0 or last > self.bytes.size:
            raise Outside(self.name, first, last, self.bytes.size)
        return np.ndarray(shape, dtype, self.bytes, address, strides)


@dataclass(slots=True, eq=False)
class Tile:
    """One tile as its commands see it: its memories, its counters, the other tiles."""

    number: int
    spm: Memory
    dram: Memory
    blocking: Blocking
    peers: list[Tile] = field(repr=False)
    counters: dict[int, int] = field(default_factory=dict[int, int])
    armed: dict[int, int] = field(default_factory=dict[int, int])
    chips: list[list[Tile]] = field(default_factory=list["list[Tile]"], repr=False)  # of a span

    def peer(self, number: int, chip: int = -1) -> Tile:
        """Return another tile, of this chip or of one of a span; Refused when there is none."""
        peers = self.peers
        if chip >= 0:
            if chip >= len(self.chips):
                raise Refused(f"there is no chip {chip} beside this one, only {len(self.chips)}")
            peers = self.chips[chip]
        if not 0 <= number < len(peers):
            raise Refused(f"there is no tile {number}, only 0 to {len(peers) - 1}")
        return peers[number]


def at(address: Address, index: Index) -> int:
    """Return an address in bytes at the given loop indices."""
    return address.at(index) if isinstance(address, Affine) else address


def scratchpad(tile: int, n: int, poison: int = POISON) -> Memory:
    """Return a tile's scratchpad of ``n`` bytes, each of them ``poison``."""
    return Memory(f"the scratchpad of tile {tile}", np.full(n, poison, np.uint8))


def dram_image(
    program: Program, before: NDArray[np.uint8] | None = None, poison: int = POISON
) -> Memory:
    """Return DRAM as a program finds it: constants in place, all else ``poison``.

    Where there are bytes ``before``, from an earlier program, they stay as far as no constant
    is loaded over them.

    Of a large DRAM only what the program's regions and data reach is held: a
    chip may have more of it than the host has memory. An access behind that is
    outside, as no region could have asked for it.
    """
    ends = [region.address + region.bytes for region in program.regions]
    ends += [address + raw.size for address, raw in program.data]
    whole = program.dram_bytes <= WHOLE_DRAM_BYTES
    size = program.dram_bytes if whole else max(ends, default=0)
    require(program, size)
    image = np.empty(size, np.uint8)
    start = 0
    for address, raw in sorted(program.data, key=lambda item: item[0]):
        image[start:address] = poison
        image[address : address + raw.size] = values(raw)
        start = max(start, address + raw.size)
    image[start:] = poison
    if before is not None:
        _keep(image, before, program)
    return Memory("DRAM" if whole else "the part of DRAM that the program uses", image)


def _keep(image: NDArray[np.uint8], before: NDArray[np.uint8], program: Program) -> None:
    """Put bytes from before into an image wherever a program loads none."""
    start = 0
    for address, raw in sorted(program.data, key=lambda item: item[0]):
        last = min(address, before.size)
        image[start:last] = before[start:last]
        start = max(start, address + raw.size)
    last = min(image.size, before.size)
    image[start:last] = before[start:last]
