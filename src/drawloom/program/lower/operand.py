"""Loading a matrix operand: each tile for itself, or once for a group and multicast.

Shared loading of one chunk, for every tile of a group:

    1. its slot is free (the command that last used it is done, and so are sends from it)
    2. arm for what the others will send, tell each of them that this tile is ready
    3. read the tile's own part from DRAM
    4. when that part is there and the others are ready, multicast it
    5. before use, wait for the others' parts

The hardware orders a tile's own reads and uses; 1, 4 and 5 are explicit because sends are
not covered by its hazard checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drawloom.mapping.pieces import Buffer
from drawloom.mapping.storage import Transfer, split
from drawloom.program.commands import Arm, Engine, Send, Signal, Wait
from drawloom.program.lower.context import Context, read

Key = tuple[int, int, int]


@dataclass(slots=True)
class Operand:
    """One operand of a matrix piece: its buffer, who shares it, what is in which slot."""

    context: Context
    buffer: Buffer
    share: bool
    first_flag: int
    group: Callable[[int], tuple[int, ...]]  # tile -> the tiles that need the same chunk
    transfers: Callable[[int, Key], tuple[Transfer, ...]]  # tile, key -> what the chunk is made of
    origin: int
    used: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    sent: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    read_mark: dict[int, int] = field(default_factory=dict[int, int])
    parts: dict[tuple[tuple[int, ...], Key], tuple[tuple[Transfer, ...], ...]] = field(
        default_factory=dict
    )

    def address(self, slot: int) -> int:
        """Scratchpad address of a slot."""
        return self.buffer.at(slot)

    def shared(self, tile: int) -> bool:
        """Whether this tile loads together with others."""
        return self.share and len(self.group(tile)) > 1

    def _parts(self, tile: int, key: Key) -> tuple[tuple[Transfer, ...], ...]:
        group = self.group(tile)
        if (group, key) not in self.parts:
            self.parts[group, key] = split(self.transfers(tile, key), len(group))
        return self.parts[group, key]

    def _targets(self, tile: int) -> tuple[int, ...]:
        """Tiles a send goes to: the others, and the sender where the fan-out must be made up."""
        group = self.group(tile)
        others = tuple(t for t in group if t != tile)
        return others if len(others) in self.context.chip.send.fanout else group

    def begin(self, tile: int, key: Key, slot: int) -> None:
        """Steps 1 to 3."""
        stream = self.context.streams.tiles[tile]
        address = self.address(slot)
        if not self.shared(tile):
            read(stream, self.transfers(tile, key), address, self.origin)
            return
        chip = self.context.chip
        stream.join_since(
            Engine.MATRIX, self.used.get((tile, slot), 0), chip.matrix.depth, self.origin
        )
        stream.join_since(Engine.SEND, self.sent.get((tile, slot), 0), chip.send.depth, self.origin)
        group, parts = self.group(tile), self._parts(tile, key)
        for _ in range(self._incoming(tile, key)):
            stream.add(Arm(self.first_flag + 2 * slot, self.origin))
        for other in group:
            if other != tile:
                stream.add(Signal(other, self.first_flag + 2 * slot + 1, self.origin))
        read(stream, parts[group.index(tile)], address, self.origin)
        self.read_mark[tile] = stream.issued[Engine.READ]

    def _incoming(self, tile: int, key: Key) -> int:
        group, parts = self.group(tile), self._parts(tile, key)
        senders = (other for other in group if tile in self._targets(other))
        return sum(len(parts[group.index(other)]) for other in senders)

    def deliver(self, tile: int, key: Key, slot: int) -> None:
        """Step 4."""
        if not self.shared(tile):
            return
        stream = self.context.streams.tiles[tile]
        group, parts = self.group(tile), self._parts(tile, key)
        own = parts[group.index(tile)]
        if own:
            depth = self.context.chip.dram_read.depth
            stream.join_since(Engine.READ, self.read_mark[tile], depth, self.origin)
        # Every member tells every other; the count is taken even by one that has nothing to send.
        stream.add(Wait(self.first_flag + 2 * slot + 1, len(group) - 1, self.origin))
        for t in own:
            place = self.address(slot) + t.offset
            stream.add(
                Send(
                    place,
                    place,
                    t.bytes,
                    self._targets(tile),
                    self.first_flag + 2 * slot,
                    (),
                    self.origin,
                )
            )
        self.sent[tile, slot] = stream.issued[Engine.SEND]

    def wait(self, tile: int, key: Key, slot: int) -> None:
        """Step 5."""
        if self.shared(tile) and (count := self._incoming(tile, key)):
            self.context.streams.tiles[tile].add(
                Wait(self.first_flag + 2 * slot, count, self.origin)
            )

    def use(self, tile: int, slot: int) -> None:
        """Note that all matrix commands given so far may use the slot."""
        self.used[tile, slot] = self.context.streams.tiles[tile].issued[Engine.MATRIX]


def slots_of(keys: list[Key], copies: int) -> list[tuple[int, bool]]:
    """For each use of a key: its slot, and whether it must be loaded first (least recently used goes)."""
    held: dict[Key, int] = {}
    out: list[tuple[int, bool]] = []
    for key in keys:
        if key in held:
            held[key] = held.pop(key)
            out.append((held[key], False))
            continue
        if len(held) < copies:
            slot = len(held)
        else:
            slot = held.pop(next(iter(held)))
        held[key] = slot
        out.append((slot, True))
    return out
