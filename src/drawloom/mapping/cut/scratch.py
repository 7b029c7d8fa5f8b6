"""Scratchpad addresses inside a piece: buffers one after the other."""

from __future__ import annotations

from dataclasses import replace

from drawloom.chip.model import Chip
from drawloom.mapping.pieces import Buffer
from drawloom.units import align_down, align_up


class Scratch:
    """Hands out aligned scratchpad areas of a tile."""

    def __init__(self, chip: Chip, reserved: int = 0) -> None:
        """Start at the lowest usable address; the top ``reserved`` bytes belong to others."""
        self.chip = chip
        self.at = chip.scratchpad.reserve_low
        self.end = chip.scratchpad.bytes - chip.scratchpad.reserve_high - reserved
        self.buffers: dict[str, Buffer] = {}

    def add(self, name: str, size: int, copies: int = 1) -> None:
        """Give ``copies`` areas of ``size`` bytes to a name."""
        size = align_up(max(size, 1), self.chip.blocking.align)
        self.buffers[name] = Buffer(name, self.at, size, copies)
        self.at += size * copies
        assert self.at <= self.end, (name, size, copies, self.at, self.end)

    def raised(self) -> dict[str, Buffer]:
        """Return the buffers as near to the end of the scratchpad as they go."""
        up = align_down(self.end - self.at, self.chip.blocking.align)
        return {
            name: replace(buffer, address=buffer.address + up)
            for name, buffer in self.buffers.items()
        }
