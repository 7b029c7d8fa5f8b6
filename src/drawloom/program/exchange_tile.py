"""The commands of one tile of a chip in an exchange, round by round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.program.commands import (
    Arm,
    Command,
    Engine,
    Join,
    Read,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.lowered import UNITS, Buffers, Lowered, Transfer

if TYPE_CHECKING:
    from drawloom.program.exchange import Exchanger

Dims = tuple[tuple[int, int], ...]


class TileWriter:
    """The commands of one tile of a chip as they are written."""

    def __init__(
        self, of: Exchanger, chip: int, tile: int, chain: int, buffers: Buffers, origin: int
    ) -> None:
        """Begin with no command: tile ``tile`` of a chip, which has one chain of the schedule."""
        self.of, self.chip, self.tile, self.buffers, self.origin = of, chip, tile, buffers, origin
        self.chain = chain
        self.width = FORMAT_BYTES[buffers.fmt]
        self.made = Lowered()
        self.pending: list[tuple[int, int]] = []  # bytes that sends may still read
        self.unjoined: tuple[Engine, ...] = ()  # engines that may still make what is sent
        self.size = 0
        self.adds = False  # what is added to the sum is on its way

    def put(self, *commands: Command) -> None:
        """Add commands."""
        self.made.body += commands

    def bytes_of(self, move: Transfer, first: int) -> tuple[int, int]:
        """Return the address and the bytes of units in the buffer."""
        start, n = self.of.units(move, first, self.size)
        return self.of.area.base + start * self.width, n * self.width

    def round(self, low: int, high: int, *, is_first: bool) -> None:
        """Exchange the elements from ``low`` to ``high`` of each chip's own value."""
        of, origin = self.of, self.origin
        self.size = high - low
        if not is_first:
            self.put(Join((Engine.SEND, Engine.WRITE), 0, origin))
        # Of reads a round has one, its first: joins behind the first send wait for no others.
        self.pending, self.unjoined = [], (Engine.READ, Engine.VECTOR)
        self._expect(is_first=is_first)
        self._load(low)
        self.adds = False
        ready: set[int] = set()
        for sends, takes in of.own[self.chip]:
            for move in sends:
                if move.chain == self.chain:
                    self._send(move, ready)
            if self.buffers.addend >= 0 and not self.adds:
                self._fetch(low)
            for move in takes:
                if move.chain == self.chain:
                    self._take(move)
        if self.adds:
            self._add()
        if of.kind != "hand" or of.senders[self.chip]:
            self._store(low)

    def _load(self, low: int) -> None:
        """Read what is exchanged; of a spread or join the own part goes where it is to arrive."""
        of, b, width = self.of, self.buffers, self.width
        size = self.size * width
        if of.kind == "hand" and not of.targets[self.chip]:
            return
        if of.kind == "scatter":
            for run in of.runs(self.chain):
                at = b.source + (run.chip * b.count + low) * width
                dims = run.dims(b.count * width)
                self.put(Read(at, of.area.base + run.unit * size, size, dims, self.origin))
            return
        if of.mates == 1:
            own = of.home(self.chip, self.chain) * size if of.kind == "gather" else 0
            self.put(Read(b.source + low * width, of.area.base + own, size, (), self.origin))
            return
        own = of.place[self.chip] % of.mates
        for unit in range(of.mates):
            to = of.area.base + (unit + of.mates * (unit == own)) * size
            at, inner, dims = (
                self._block(unit, low) if of.kind == "spread" else self._beside(unit, low)
            )
            self.put(Read(b.source + at, to, inner, dims, self.origin))

    def _block(self, unit: int, low: int) -> tuple[int, int, Dims]:
        """Return where a chip's rows lie that are behind each other: offset, bytes, how they repeat."""
        each = self.buffers.count // self.of.mates
        return (unit * each + low) * self.width, self.size * self.width, ()

    def _beside(self, unit: int, low: int) -> tuple[int, int, Dims]:
        """Return where a chip's rows lie that are beside those of others."""
        run, width = self.buffers.run, self.width
        row, offset = divmod(low, run)
        rows = self.size // run if self.size > run else 1
        held = self.of.mates if self.of.mates > 1 else self.of.held
        at = ((row * held + unit) * run + offset) * width
        dims = ((held * run * width, rows),) if rows > 1 else ()
        return at, (run if rows > 1 else self.size) * width, dims

    def _expect(self, *, is_first: bool) -> None:
        """Arm for all that comes in this round, and tell its senders."""
        of, origin = self.of, self.origin
        mine = (m for m in of.comes[self.chip] if m.chain == self.chain)
        comes = [m for m in mine if of.taken(m, self.size)]
        put = self.made.ahead if is_first else self.made.body
        put += [Arm(of.data_flag(self.chip, m.source), origin) for m in comes]
        for source in dict.fromkeys(m.source for m in comes):
            flag, to = of.word(self.chip, source, self.chain)
            put.append(Signal(self.tile, flag, origin, to))

    def _send(self, move: Transfer, ready: set[int]) -> None:
        of, origin = self.of, self.origin
        src, nbytes = self.bytes_of(move, move.first)
        if not nbytes:
            return
        if self.unjoined:
            self.put(Join(self.unjoined, 0, origin))
            self.unjoined = ()
        if move.target not in ready:
            ready.add(move.target)
            self.put(Wait(of.ready_flag(self.chip, move.target), 1, origin))
        to, flag, dst = of.arrival(move, self.size, self.width)
        self.put(Send(src, dst, nbytes, (self.tile,), flag, (), origin, to))
        self.pending.append((src, src + nbytes))

    def _take(self, move: Transfer) -> None:
        """Wait for what comes, and add it."""
        of, origin, fmt = self.of, self.origin, self.buffers.fmt
        into = self.bytes_of(move, move.into)[0]
        nbytes = of.taken(move, self.size) * self.width
        if not nbytes:
            return
        self.put(Wait(of.data_flag(self.chip, move.source), 1, origin))
        if not move.adds:
            return
        if any(low < into + nbytes and into < high for low, high in self.pending):
            self.put(Join((Engine.SEND,), 0, origin))
            self.pending = []
        slot = of.slots(self.chip, self.chain, self.size, self.width)[move.place]
        self.put(Vector("add", into, into, nbytes // self.width, fmt, fmt, slot, origin=origin))
        self.unjoined = tuple(dict.fromkeys((*self.unjoined, Engine.VECTOR)))

    def _fetch(self, low: int) -> None:
        """Read what is added to the sum, behind what is sent first."""
        width, slot = self.width, self._slot()
        self.put(Read(self.buffers.addend + low * width, slot, self.size * width, (), self.origin))
        self.adds = True

    def _add(self) -> None:
        """Add it, when nothing more is sent."""
        base, fmt = self._own(), self.buffers.fmt
        if self.pending:
            self.put(Join((Engine.SEND,), 0, self.origin))
            self.pending = []
        self.put(Vector("add", base, base, self.size, fmt, fmt, self._slot(), origin=self.origin))

    def _own(self) -> int:
        """Return where the result of a sum lies: of a scatter the chip's own unit."""
        of = self.of
        unit = of.home(self.chip, self.chain) if of.kind == "scatter" else 0
        return of.area.base + unit * self.size * self.width

    def _slot(self) -> int:
        return self.of.slots(self.chip, self.chain, self.size, self.width)[-1]

    def _store(self, low: int) -> None:
        of, b, origin, width, size = self.of, self.buffers, self.origin, self.width, self.size
        base = of.area.base
        if of.kind not in UNITS or of.kind == "scatter":
            self.put(Write(self._own(), b.target + low * width, size * width, (), origin))
            return
        if of.kind == "gather" and b.count <= b.run:
            for run in of.runs(self.chain):
                at = b.target + (run.chip * b.count + low) * width
                dims = run.dims(b.count * width)
                self.put(Write(base + run.unit * size * width, at, size * width, dims, origin))
            return
        shift = of.mates if of.mates > 1 else 0
        for unit in range(of.held - shift):
            at, inner, dims = (
                self._block(unit, low) if of.kind == "join" else self._beside(unit, low)
            )
            from_ = base + (shift + unit) * size * width
            self.put(Write(from_, b.target + at, inner, dims, origin))
