"""How many rows a strip takes at a time: few have much to hand over, many leave little to overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.chip.model import Chip
from drawloom.mapping.body import Body, Slot, Step, slot_elements
from drawloom.mapping.layout.storage import Storage
from drawloom.units import ceil_div

PARTS = range(1, 9)  # into which a tile's rows may be cut


@dataclass(frozen=True, slots=True)
class Strip:
    """What a strip does to rows of so many channels; ``values`` are what it loads and stores."""

    chip: Chip
    body: Body
    channels: int
    values: dict[str, Storage]

    def quickest(self, share: int, most: int, room: int, taken: Iterable[int] = ()) -> int:
        """Return the rows at a time for which a tile's share takes least; 0 where nothing fits.

        Args:
            share: rows of a tile.
            most: rows that may be taken together.
            room: bytes of the scratchpad, of which all slots but constants take two places each.
            taken: rows that are looked at as well; of what costs the same they come first.
        """
        found = [*taken, *(ceil_div(share, parts) for parts in PARTS)]
        fits = [rows for rows in found if rows <= most and self.bytes(rows) <= room]
        return min(fits, key=lambda rows: self.cycles(share, rows), default=0)

    def bytes(self, rows: int) -> int:
        """Return the scratchpad bytes of all slots."""
        align = self.chip.blocking.align
        total = 0
        for slot in self.body.slots:
            size = self._elements(slot, rows) * FORMAT_BYTES[slot.fmt]
            total += ceil_div(size, align) * align * (1 if slot.kind == "channel" else 2)
        return total

    def cycles(self, share: int, rows: int) -> float:
        """Return about how long a tile is at its share: first in, then the slowest engine, last out."""
        parts = ceil_div(share, rows)
        come = sum(self._moved(slot, value, rows, read=True) for slot, value in self.body.loads)
        go = sum(self._moved(slot, value, rows, read=False) for slot, value in self.body.stores)
        work = sum(self._step(step, rows) for step in self.body.steps)
        return come + parts * max(work, come, go) + go

    def _elements(self, slot: Slot, rows: int) -> int:
        return slot_elements(self.chip.blocking, slot, rows, self.channels, flat=False)

    def _moved(self, name: str, value: str, rows: int, *, read: bool) -> float:
        """Cycles of bringing a slot's rows in, or of writing them out; what is constant comes once."""
        slot, chip = self.body.slot(name), self.chip
        if slot.kind == "channel":
            return 0.0
        size = self._elements(slot, rows) * FORMAT_BYTES[slot.fmt]
        if self.values[value].kind == "resident":
            return chip.move.fixed + size / chip.move.bytes_per_cycle
        rate = chip.dram.read if read else chip.dram.write
        latency = chip.dram_read.latency if read else chip.dram_write.latency
        return latency + size * chip.n_tiles / rate * chip.clock

    def _step(self, step: Step, rows: int) -> float:
        """Cycles of one step, as the vector and move engines do it one after the other."""
        a, chip = self.body.slot(step.a), self.chip
        size, engine = FORMAT_BYTES[a.fmt], chip.vector
        shape = Blocked(chip.blocking, 1, rows, self.channels, size)
        if step.op == "spread":
            moves = 1 + (shape.block if shape.full else shape.tail).bit_length()
            return moves * (chip.move.fixed + chip.move.inner_cycles * rows)
        wide = max(FORMAT_BYTES[self.body.slot(name).fmt] for name in (step.a, step.dst))
        lanes = engine.lanes_32 if wide > 2 else engine.lanes_16
        apart = bool(step.b) and self.body.slot(step.b).kind != a.kind
        # One command serves what stands behind rows, each block its own behind channels.
        blocks = shape.full + bool(shape.tail)
        commands = blocks if apart and self.body.slot(step.b).kind == "channel" else 1
        rate = engine.rates.get(step.op.split(".")[0], 1)
        return commands * engine.fixed + self._elements(a, rows) / lanes * rate
