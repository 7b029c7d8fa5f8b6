"""Loading a matrix operand: each tile for itself, or once for a group and multicast.

Shared loading of one chunk, for every tile of a group:

    1. its slot is free (the command that last used it is done, and so are sends from it)
    2. arm for what the others will send
    3. read the tile's own part from DRAM
    4. when that part is there, meet the group at a barrier (all are armed), then multicast it;
       where they have met since they armed, as when several chunks are asked for at once, they need not
    5. before use, wait for the others' parts

The hardware orders a tile's own reads and uses; 1, 4 and 5 are explicit because sends are
not covered by its hazard checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product

from drawloom.mapping.layout.storage import Transfer, split
from drawloom.mapping.pieces import Buffer
from drawloom.program.commands import Arm, Barrier, Engine, Send, Wait
from drawloom.program.lower.context import Context, read, read_ahead

Key = tuple[int, int, int]
Group = tuple[int, ...]
MAX_PHASES = 6
Parts = tuple[tuple[Transfer, ...], ...]


@dataclass(slots=True)
class Operand:
    """One operand of a matrix piece: its buffer, who shares it, what is in which slot."""

    context: Context
    buffer: Buffer
    first_flag: int
    groups: list[Group]  # by tile: the tiles that load the same chunks together, itself included
    transfers: Callable[[int, Key], tuple[Transfer, ...]]  # tile, key -> what the chunk is made of
    origin: int
    fans: list[tuple[Group, ...]] = field(init=False)  # by tile: the targets of its sends
    used: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    sent: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    read_mark: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    met: Counter[int] = field(default_factory=Counter[int])  # by tile: barriers of its group
    # By tile and slot: how many there had been when it was armed.
    armed: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    early: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])  # read ahead
    # Where a chunk does not lie in a slot: tile, key, slot -> its address.
    place: Callable[[int, Key, int], int] | None = None
    # Which tiles of a group read a chunk for all, a part each: the first, and how many; if not all.
    readers: Callable[[Key], tuple[int, int]] | None = None
    phases: int = 1  # how many ways tiles are kept out of step in their own reads
    skipped: int = 0  # chunks before the one by which they get out of step
    begun: Counter[int] = field(default_factory=Counter[int])
    parts: dict[tuple[Group, Key], Parts] = field(default_factory=dict[tuple[Group, Key], Parts])

    def __post_init__(self) -> None:
        """Settle whom each tile sends to."""
        fanout = self.context.chip.send.fanout
        self.fans = [fans_of(tile, group, fanout) for tile, group in enumerate(self.groups)]

    def address(self, slot: int) -> int:
        """Scratchpad address of a slot."""
        return self.buffer.at(slot)

    def _at(self, tile: int, key: Key, slot: int) -> int:
        return self.place(tile, key, slot) if self.place else self.buffer.at(slot)

    def _parts(self, tile: int, key: Key) -> Parts:
        group = self.groups[tile]
        if (group, key) not in self.parts:
            found = self.transfers(tile, key)
            first, count = self.readers(key) if self.readers else (0, len(group))
            made: list[tuple[Transfer, ...]] = [()] * len(group)
            for i, part in enumerate(split(found, min(count, len(group)))):
                made[(first + i) % len(group)] = _joined(part)
            self.parts[group, key] = tuple(made)
        return self.parts[group, key]

    def begin_ahead(self, tile: int, key: Key, slot: int) -> None:
        """Load a chunk of a constant ahead of the piece's barrier: of a shared one the tile's part."""
        stream, group = self.context.streams.tiles[tile], self.groups[tile]
        if len(group) == 1:
            read_ahead(stream, self.transfers(tile, key), self.address(slot), self.origin)
            return
        own = self._parts(tile, key)[group.index(tile)]
        read_ahead(stream, own, self._at(tile, key, slot), self.origin)
        self.read_mark[tile, slot] = stream.issued[Engine.READ]
        self.early.add((tile, slot))

    def begin(self, tile: int, key: Key, slot: int) -> None:
        """Steps 1 to 3."""
        stream = self.context.streams.tiles[tile]
        address, group = self._at(tile, key, slot), self.groups[tile]
        if len(group) == 1:
            for part in self._in_phase(tile, self.transfers(tile, key)):
                read(stream, part, address, self.origin)
            return
        chip = self.context.chip
        used, sent = self.used.get((tile, slot), 0), self.sent.get((tile, slot), 0)
        stream.join_since(Engine.MATRIX, used, chip.matrix.depth, self.origin)
        stream.join_since(Engine.SEND, sent, chip.send.depth, self.origin)
        for _ in range(self._incoming(tile, key)):
            stream.add(Arm(self.first_flag + slot, self.origin))
        self.armed[tile, slot] = self.met[tile]
        if (tile, slot) in self.early:
            self.early.remove((tile, slot))
            return
        for part in self._in_phase(tile, self._parts(tile, key)[group.index(tile)]):
            read(stream, part, address, self.origin)
        self.read_mark[tile, slot] = stream.issued[Engine.READ]

    def _in_phase(self, tile: int, transfers: tuple[Transfer, ...]) -> Parts:
        """Return what a tile reads by the commands that read it: of a first chunk as many as its phase says.

        Tiles that read alike would all stand in the latency of their next read at once, and leave
        the DRAM idle. Each command more delays a tile by one latency: so they fall out of step,
        and stay so.
        """
        self.begun[tile] += 1
        if self.begun[tile] != 1 + self.skipped:
            return (transfers,)
        return split(transfers, 1 + tile % self.phases)

    def _incoming(self, tile: int, key: Key) -> int:
        senders = zip(self.groups[tile], self._parts(tile, key), strict=True)
        return sum(
            len(_runs(part)) * any(tile in fan for fan in self.fans[other])
            for other, part in senders
        )

    def deliver(self, tile: int, key: Key, slot: int) -> None:
        """Step 4."""
        group = self.groups[tile]
        if len(group) == 1:
            return
        stream = self.context.streams.tiles[tile]
        own = self._parts(tile, key)[group.index(tile)]
        if own:
            mark, depth = self.read_mark[tile, slot], self.context.chip.dram_read.depth
            stream.join_since(Engine.READ, mark, depth, self.origin)
        if self.armed[tile, slot] == self.met[tile]:
            stream.add(Barrier(group, self.origin))
            self.met[tile] += 1
        for (offset, size), fan in product(_runs(own), self.fans[tile]):
            place = self._at(tile, key, slot) + offset
            stream.add(Send(place, place, size, fan, self.first_flag + slot, (), self.origin))
        self.sent[tile, slot] = stream.issued[Engine.SEND]

    def wait(self, tile: int, key: Key, slot: int) -> None:
        """Step 5."""
        if len(self.groups[tile]) > 1 and (count := self._incoming(tile, key)):
            self.context.streams.tiles[tile].add(Wait(self.first_flag + slot, count, self.origin))

    def use(self, tile: int, slot: int) -> None:
        """Note that all matrix commands given so far may use the slot."""
        self.used[tile, slot] = self.context.streams.tiles[tile].issued[Engine.MATRIX]


def _joined(part: tuple[Transfer, ...]) -> tuple[Transfer, ...]:
    """Return transfers with those of equal runs at even steps as one: each command has a latency."""
    out: list[Transfer] = []
    for t in part:
        before = out[-1] if out else t
        step, count = before.dims[0] if before.dims else (t.dram - before.dram, 1)
        alike = replace(before, dram=0, offset=0, dims=()) == replace(t, dram=0, offset=0)
        follows = before.offset + before.bytes == t.offset
        if out and alike and follows and len(before.dims) < 2 and (
            t.dram == before.dram + step * count and step > t.inner
        ):  # fmt: skip
            out[-1] = replace(before, dims=((step, count + 1),))
        else:
            out.append(t)
    return tuple(out)


def _runs(part: tuple[Transfer, ...]) -> list[tuple[int, int]]:
    """Return where what transfers bring lies in the scratchpad: runs of bytes, each sent at once."""
    runs: list[tuple[int, int]] = []
    for t in part:
        if runs and sum(runs[-1]) == t.offset:
            runs[-1] = runs[-1][0], runs[-1][1] + t.bytes
        else:
            runs.append((t.offset, t.bytes))
    return runs


def fans_of(tile: int, group: Group, fanout: tuple[int, ...]) -> tuple[Group, ...]:
    """Return the targets of a tile's sends: all others, in as few sends as the fan-outs allow.

    A tile sends to itself as well where that makes up a number that the engine can do at once.
    """
    others = tuple(t for t in group if t != tile)
    if len(others) in fanout:
        return (others,)
    if len(group) in fanout:
        return (group,)
    out: list[Group] = []
    while others:
        n = max(size for size in fanout if size <= len(others))
        out.append(others[:n])
        others = others[n:]
    return tuple(out)


def slots_of(keys: list[Key], copies: int) -> list[tuple[int, bool]]:
    """For each use of a key: its slot, and whether it must be loaded first (least recently used goes)."""
    held: dict[Key, int] = {}
    out: list[tuple[int, bool]] = []
    for key in keys:
        if key in held:
            held[key] = held.pop(key)
            out.append((held[key], False))
            continue
        slot = len(held) if len(held) < copies else held.pop(next(iter(held)))
        held[key] = slot
        out.append((slot, True))
    return out
