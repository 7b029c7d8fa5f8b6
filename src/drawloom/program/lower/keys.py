"""Keys and values of a flash piece: loaded by one tile of a team, handed on to the others.

For each part, on every tile of the team:

    begin    what lay in its place is done with; arm for the part, tell its owner. The owner reads
    deliver  the owner: all others are armed and the read is done; send
    expect   wait until it is there

The hardware orders a tile's own reads and uses; what sends touch is ordered by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from drawloom.chip.layout import Blocked
from drawloom.mapping.layout.storage import Transfer
from drawloom.mapping.pieces import FlashPiece, Span
from drawloom.program.commands import Arm, Engine, Join, Send, Signal, Wait
from drawloom.program.lower.context import Context, read
from drawloom.program.lower.operand import fans_of
from drawloom.program.lower.parts import Act, Part
from drawloom.program.lower.turns import Stay
from drawloom.program.streams import TileStream

TWO = 2  # bytes of an element
READY, THERE = 16, 48  # first flags: a tile of the team is armed; a part of an owner is there


@dataclass(slots=True)
class Keys:
    """The keys and values that one tile holds, two stays of them."""

    context: Context
    piece: FlashPiece
    stays: list[Stay]
    team: tuple[int, ...]
    tile: int
    origin: int
    stream: TileStream = field(init=False)
    used: dict[int, int] = field(default_factory=dict[int, int])  # by stay: products given so far
    sent: dict[int, int] = field(default_factory=dict[int, int])  # by stay: sends given so far
    asked: dict[Part, int] = field(default_factory=dict[Part, int])  # reads given so far
    cleared: set[int] = field(default_factory=set[int])  # stays whose place is known to be free

    def __post_init__(self) -> None:
        """Find the tile's stream."""
        self.stream = self.context.streams.tiles[self.tile]

    @property
    def block(self) -> int:
        """Keys of a block."""
        return self.piece.k.blocking.of(TWO)

    @property
    def block_bytes(self) -> int:
        """Bytes of a block of keys."""
        return self._bytes(self.block)

    def _bytes(self, keys: int) -> int:
        return Blocked(self.piece.k.blocking, 1, keys, self.piece.features, TWO).matrix_bytes

    def key_address(self, stay: int, key: int) -> int:
        """Return where a block of keys of a stay lies."""
        inside = key - self.stays[stay].first
        return self.piece.buffers["k"].at(stay) + inside // self.block * self.block_bytes

    def value_blocks(self) -> list[tuple[Span, int, int]]:
        """Return each channel block of the values: channels, where it lies in its buffer, line bytes."""
        piece, width = self.piece, self.block * TWO
        lies = Blocked(piece.k.blocking, 1, piece.span, piece.values, TWO)
        out = [
            ((i * self.block, (i + 1) * self.block), i * piece.span * width, width)
            for i in range(lies.full)
        ]
        if lies.tail:
            first = lies.full * self.block
            out.append(((first, piece.values), first * piece.span * TWO, lies.tail * TWO))
        return out

    def use(self, stay: int) -> None:
        """Note that all products given so far may use a stay's keys and values."""
        self.used[stay] = self.stream.issued[Engine.MATRIX]

    # What is done for a part.

    def act(self, act: Act, part: Part) -> None:
        """Do one thing for a part."""
        if act is Act.BEGIN:
            if len(self.team) > 1:
                self._make_room(part)
            if self.team[part.owner] == self.tile:
                self._read(part)
        elif len(self.team) > 1:
            if act is Act.DELIVER:
                self._deliver(part)
            elif count := self._coming(part):
                self.stream.add(Wait(THERE + part.owner, count, self.origin))

    def end(self) -> None:
        """Let no send read on when the piece is over."""
        if len(self.team) > 1:
            self.stream.add(Join((Engine.SEND,), 0, self.origin))

    def _make_room(self, part: Part) -> None:
        if part.stay not in self.cleared:
            self.cleared.add(part.stay)
            before, chip = part.stay - 2, self.context.chip
            self.stream.join_since(
                Engine.MATRIX, self.used.get(before, 0), chip.matrix.depth, self.origin
            )
            self.stream.join_since(
                Engine.SEND, self.sent.get(before, 0), chip.send.depth, self.origin
            )
        for _ in range(self._coming(part)):
            self.stream.add(Arm(THERE + part.owner, self.origin))
        owner = self.team[part.owner]
        if owner != self.tile:
            self.stream.add(Signal(owner, READY + self.team.index(self.tile), self.origin))

    def _read(self, part: Part) -> None:
        piece, stay = self.piece, self.stays[part.stay]
        reads = [
            (transfers, self.key_address(part.stay, first))
            for transfers, first in self._key_parts(stay, part)
        ]
        for channels, at, _ in self._value_places(part):
            reads.append((piece.v.box(stay.held, (part.first, part.end), channels), at))
        # Tiles that read alike would all stand in the latency of a read at once: each begins elsewhere.
        turn = self.tile % len(reads)
        for transfers, at in reads[turn:] + reads[:turn]:
            read(self.stream, transfers, at, self.origin)
        self.asked[part] = self.stream.issued[Engine.READ]

    def _key_parts(self, stay: Stay, part: Part) -> list[tuple[tuple[Transfer, ...], int]]:
        """Return transfers of keys with the first key of each: block by block, as products want them."""
        piece, block = self.piece, self.block
        firsts = range(part.first, part.end, block)
        boxes = [
            piece.k.box(stay.held, (at, min(at + block, part.end)), (0, piece.features))
            for at in firsts
        ]
        full = (part.end - part.first) // block
        if full < 2 or len(boxes[0]) > 1 or any(len(t.dims) > 2 for t in boxes[0]):
            return list(zip(boxes, firsts, strict=True))
        (one,), (other,) = boxes[:2]
        together = replace(one, dims=((other.dram - one.dram, full), *one.dims))
        return [((together,), part.first), *list(zip(boxes, firsts, strict=True))[full:]]

    def _value_places(self, part: Part) -> list[tuple[Span, int, int]]:
        """Return each channel block of a part's values: channels, address, bytes."""
        values, stay = self.piece.buffers["v"].at(part.stay), self.stays[part.stay]
        return [
            (channels, values + start + (part.first - stay.first) * line, (part.end - part.first) * line)
            for channels, start, line in self.value_blocks()
        ]  # fmt: skip

    def _places(self, part: Part) -> list[tuple[int, int]]:
        """Return what a part fills of the scratchpad: address, bytes."""
        full, rest = divmod(part.end - part.first, self.block)
        keys = full * self.block_bytes + (self._bytes(rest) if rest else 0)
        values = [(at, size) for _, at, size in self._value_places(part)]
        return [(self.key_address(part.stay, part.first), keys), *values]

    def _fans(self, part: Part) -> tuple[tuple[int, ...], ...]:
        return fans_of(self.team[part.owner], self.team, self.context.chip.send.fanout)

    def _coming(self, part: Part) -> int:
        """Return how many sends of a part come to this tile."""
        return len(self._places(part)) * sum(self.tile in fan for fan in self._fans(part))

    def _deliver(self, part: Part) -> None:
        if self.team[part.owner] != self.tile:
            return
        for place, tile in enumerate(self.team):
            if tile != self.tile:
                self.stream.add(Wait(READY + place, 1, self.origin))
        depth = self.context.chip.dram_read.depth
        self.stream.join_since(Engine.READ, self.asked[part], depth, self.origin)
        flag = THERE + part.owner
        for at, size in self._places(part):
            for fan in self._fans(part):
                self.stream.add(Send(at, at, size, fan, flag, (), self.origin))
        self.sent[part.stay] = self.stream.issued[Engine.SEND]
