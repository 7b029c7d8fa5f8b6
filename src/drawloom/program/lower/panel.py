"""Large products that sum many channels side by side while their operands come in.

A *turn* is what all tiles do between two loads: a span of a tile's channels over a span of depth. The
first turns of a round of rows go over many channels, a little depth at a time, so that there is work
from the first bytes on; the last of them makes the results chunk by chunk, so that some are written
while others are made. What follows, see ``Panel``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.panels import depths
from drawloom.mapping.pieces import MatrixPiece, Panel, Span
from drawloom.mapping.storage import Transfer
from drawloom.program.commands import Engine, Join, MatMul
from drawloom.program.extents import psum_format
from drawloom.program.lower import matrix
from drawloom.program.lower.context import Context
from drawloom.program.lower.matrix import Lowering
from drawloom.program.lower.operand import Group, Key, Operand
from drawloom.program.lower.shares import Part
from drawloom.units import ceil_div

PHASES = 4  # ways in which tiles are kept out of step in their own reads and writes
QUEUED = 4  # results whose writes are handed over as soon as they are there
WRITES = 2  # results written out a turn, where there are so many
AHEAD = 2  # turns between asking for what all tiles read and using it


def lower(piece: MatrixPiece, context: Context) -> None:
    """Write a matrix piece's commands into every tile's stream."""
    if piece.panel is None:
        matrix.lower(piece, context)
    else:
        _Panels(piece, piece.panel, context).run()


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn: a round of rows, a span of a tile's channels, a span of depth."""

    mi: int
    n: Span
    k: Span
    ends: bool  # whether its results are whole then


@dataclass(frozen=True, slots=True)
class _Load:
    """A chunk of an operand, the slot it goes to, and the turns between which it is begun and handed on."""

    operand: Operand
    key: Key
    slot: int
    begins: int
    delivers: int


class _Panels(Lowering):
    def __init__(self, piece: MatrixPiece, panel: Panel, context: Context) -> None:
        super().__init__(piece, context)
        self.panel = panel
        self.per_m, self.per_n = self.shares.per_m, self.shares.per_n
        self.depths = depths(piece.k, panel.depth, piece.a.blocked.block)
        self.since: list[
            tuple[int, int]
        ] = []  # by turn: how many since results were made, of how many
        self.turns = self._turns()
        self.b_spans = {self._b_load(turn): (turn.n, turn.k) for turn in self.turns}
        self.few = self._few()
        self.a_spans = {
            (0, turn.mi, turn.k[0]): turn.k for turn in self.turns if self._brings(turn)
        }
        self.a.transfers, self.b.transfers = self._a_panel, self._b_panel
        if not panel.always:
            self.a.place = self._a_place
            self.b.readers = self._readers
        self.a.phases = self.b.phases = PHASES
        self.a.skipped = self.b.skipped = 1  # the first chunk is waited for
        self.held: list[list[int]] = []  # by turn: the slots of a that it uses
        self.loads = self._load_all()
        self.made: list[tuple[Span, _Turn]] = []  # results so far: their channels, their turn
        self.written = [0 for _ in self.tiles]  # how many of them each tile has written out

    def _a_group(self, tile: int) -> Group:
        return tuple(range(tile % self.piece.grid[1], len(self.tiles), self.piece.grid[1]))

    def _b_group(self, tile: int) -> Group:
        gm = self.piece.grid[1]
        return tuple(range(tile // gm * gm, tile // gm * gm + gm))

    def _turns(self) -> list[_Turn]:
        out: list[_Turn] = []
        wide, end = self.panel.channels, min(self.per_n, self.piece.n)
        nt, rounds = self.piece.chunk[1], self.shares.chunks[0]
        starts = range(0, end if self.panel.always else wide, wide)
        for mi in range(rounds):
            for n in starts:
                span = n, min(n + wide, end)
                first, last = not (mi or n), mi == rounds - 1 and n == starts[-1]
                found = self._depths(first, last) if self.panel.always else self.depths
                out += [_Turn(mi, span, k, k[1] == self.piece.k) for k in found]
                self.since += [
                    (0 if first or i + 1 == len(found) else i + 1, len(found))
                    for i in range(len(found))
                ]
            if not self.panel.always:
                spans = [(n, min(n + nt, end)) for n in range(wide, end, nt)]
                out += [_Turn(mi, span, (0, self.piece.k), True) for span in spans]
        return out

    def _depths(self, first: bool, last: bool) -> tuple[Span, ...]:
        block = self.piece.a.blocked.block
        return depths(self.piece.k, self.panel.depth, block, first=first, last=last)

    def _brings(self, turn: _Turn) -> bool:
        """Whether a turn loads its part of a."""
        return self.panel.always or turn.n[0] == 0

    @staticmethod
    def _b_load(turn: _Turn) -> Key:
        return turn.mi, turn.n[0], turn.k[0]

    # Where and what.

    def _rows_of(self, tile: int, mi: int) -> Span:
        _, im, _ = self.shares.place(tile)
        first, mt = im * self.per_m + mi * self.piece.chunk[0], self.piece.chunk[0]
        return first, max(first, min(first + mt, (im + 1) * self.per_m, self.piece.m))

    def _part(self, tile: int, turn: _Turn) -> Part:
        _, _, jn = self.shares.place(tile)
        first = jn * self.per_n + turn.n[0]
        end = min(jn * self.per_n + min(turn.n[1], self.per_n), self.piece.n)
        return Part(0, self._rows_of(tile, turn.mi), (first, max(first, end)), turn.k)

    def _a_panel(self, tile: int, key: Key) -> tuple[Transfer, ...]:
        rows = self._rows_of(tile, key[1])
        if rows[0] == rows[1] or (not self.piece.share_a and not self.shares.has_work(tile)):
            return ()
        return self.piece.a.box(0, rows, self.a_spans[key])

    def _b_panel(self, tile: int, key: Key) -> tuple[Transfer, ...]:
        n, k = self.b_spans[key]
        part = self._part(tile, _Turn(key[0], n, k, False))
        idle = part.m[0] == part.m[1] and not self.piece.share_b
        return () if idle or part.n[0] == part.n[1] else self.piece.b.box(0, part.k, part.n)

    def _a_place(self, tile: int, key: Key, slot: int) -> int:
        """Where a part of rows that stay lies: the parts of a round make one matrix."""
        rows = self._rows_of(tile, key[1])
        size = FORMAT_BYTES[self.piece.fmt]
        base = self.a.buffer.at(slot // len(self.depths))
        return base + key[2] * (rows[1] - rows[0]) * size

    def _readers(self, key: Key) -> tuple[int, int]:
        """Which tiles of a group read a chunk of b for all.

        While results are written, reads have what writes leave of the DRAM: few at a time get that as
        well as many, and slow no write down.
        """
        if self._all_read(key):
            return 0, len(self.tiles)
        return self.few * (key[1] // self.piece.chunk[1]), self.few

    def _all_read(self, key: Key) -> bool:
        return self.panel.always or key[1] < self.panel.channels

    def _few(self) -> int:
        """How many tiles of a group read a chunk: so many that reads and writes of chunks take alike long."""
        piece = self.piece
        _, gm, gn = piece.grid
        mt, nt, _ = piece.chunk
        reads = piece.k * nt * gn * FORMAT_BYTES[piece.fmt]
        writes = gm * mt * nt * gn * FORMAT_BYTES[piece.out_fmt] * max(1, len(piece.body.stores))
        ahead = max(1, piece.buffers["b"].copies - 1)
        need = ceil_div(3 * len(self.tiles) * reads, 2 * writes * gn * ahead)
        return max(1, min(need, gm))

    # When.

    def _load_all(self) -> list[_Load]:
        """Return every load, ahead of its use and after its slot's last use."""
        out: list[_Load] = []
        last: dict[tuple[int, int], float] = {}
        parts, seen = len(self.depths), 0
        for index, turn in enumerate(self.turns):
            fresh: list[tuple[Operand, Key, int]] = []
            if self.panel.always:
                held = [index % self.a.buffer.copies]
            else:
                base = turn.mi % self.a.buffer.copies * parts
                held = (
                    [base + seen % parts]
                    if self._brings(turn)
                    else [base + i for i in range(parts)]
                )
            self.held.append(held)
            # What must be sent on comes first.
            fresh.append((self.b, self._b_load(turn), index % self.b.buffer.copies))
            if self._brings(turn):
                seen += 1
                fresh.append((self.a, (0, turn.mi, turn.k[0]), held[0]))
            for operand, key, slot in fresh:
                # One turn after the last use: by then the engine has the next turn to work on.
                free = last.get((id(operand), slot), -inf) + 1
                # All tiles read what is summed side by side: more would fill their queues.
                ahead = AHEAD if operand is self.a or self._all_read(key) else self.b.buffer.copies
                begin = int(min(index - 1, max(index - ahead, free, -1)))
                out.append(_Load(operand, key, slot, begin, index - 1))
            for slot in held:
                last[id(self.a), slot] = index
            last[id(self.b), index % self.b.buffer.copies] = index
        return out

    def run(self) -> None:
        """Write all commands."""
        shared = self.piece.share_a or self.piece.share_b
        for tile in self.tiles if shared else ():
            self.context.streams.tiles[tile].join_all(self.origin)
        self._constants()
        self._between(-1)
        for index, turn in enumerate(self.turns):
            self._wait(index)
            if self.panel.within and not turn.n[0] and not turn.k[0]:
                self._write(len(self.made))  # new sums come over them
            if turn.ends:
                self._ending(index, turn)
            else:
                self._summing(index, turn)
            self._write_some(index)
        self._write(len(self.made))
        # No hazard check covers what a send reads: the next piece must not write over it.
        for tile in self.tiles if shared else ():
            self.context.streams.tiles[tile].add(Join((Engine.SEND,), 0, self.origin))

    def _use(self, index: int) -> None:
        """Note which slots the products of a turn have used."""
        for tile in self.tiles:
            for slot in self.held[index]:
                self.a.use(tile, slot)
            self.b.use(tile, index % self.b.buffer.copies)

    def _between(self, index: int) -> None:
        """Start, and hand on, what is due after a turn."""
        for load in self.loads:
            if load.begins == index:
                for tile in self.tiles:
                    load.operand.begin(tile, load.key, load.slot)
        for load in self.loads:
            if load.delivers == index:
                for tile in self.tiles:
                    load.operand.deliver(tile, load.key, load.slot)

    def _wait(self, index: int) -> None:
        for load in self.loads:
            if load.delivers == index - 1:
                for tile in self.tiles:
                    load.operand.wait(tile, load.key, load.slot)

    # What is computed.

    def _summing(self, index: int, turn: _Turn) -> None:
        """A part of a sum: one product of all channels."""
        for tile in self.tiles:
            part = self._part(tile, turn)
            if not part.empty:
                sums = self.piece.buffers["psum"].address
                self._product(tile, index, part, part.n, sums)
        self._use(index)
        self._between(index)

    def _ending(self, index: int, turn: _Turn) -> None:
        """The last part of a sum, chunk by chunk, each with the work behind it."""
        nt, (start, end) = self.piece.chunk[1], turn.n
        count = ceil_div(end - start, nt)
        for each in range(count):
            span = start + each * nt, min(start + (each + 1) * nt, end)
            for tile in self.tiles:
                whole = self._part(tile, turn)
                part = self._part(tile, _Turn(turn.mi, span, turn.k, True))
                if part.empty:
                    continue
                self._body_loads(tile, part, self.outs)
                self._product(tile, index, part, whole.n, self._slot(self.piece.result, self.outs))
                self._finish(tile, part)
            self.made.append((span, turn))
            self.outs += 1
            self._use(index)
            if each == min(1, count - 1):
                self._between(index)
            # A place that comes round must have been written out before.
            self._write(
                len(self.made) if self._hurries(index, each) else self.outs - self._copies() + 1
            )

    def _copies(self) -> int:
        """After how many results a place is used again."""
        if self.panel.within:
            return ceil_div(self.panel.channels, self.piece.chunk[1])
        return self.piece.buffers[f"slot.{self.piece.result}"].copies

    def _slot(self, slot: str, copy: int) -> int:
        """Where a copy of a slot lies. Within sums: where those of the result before were.

        A result that is as wide as its sums lies in their very place.
        """
        if not self.panel.within or slot != self.piece.result:
            return super()._slot(slot, copy)
        mt, nt, _ = self.piece.chunk
        end = min(self.per_n, self.piece.n)
        copy %= ceil_div(end, nt)
        sums = FORMAT_BYTES[psum_format(self.piece.fmt)]
        base, size = self.piece.buffers["psum"].address, mt * nt * sums
        if FORMAT_BYTES[self.piece.out_fmt] == sums:
            return base + copy % self._copies() * size
        return base + (copy - 1) % self._copies() * size if copy else super()._slot(slot, 0)

    def _hurries(self, index: int, each: int) -> bool:
        """Whether a result is written as soon as it is there: of many together the first few."""
        last = index == len(self.turns) - 1
        return last or (each < QUEUED and not self.panel.always)

    def _write_some(self, index: int) -> None:
        """Write some results out, no more than the queue has room for.

        Where sums take many turns tiles write by turns: their reads hardly suffer then.
        """
        if not self.panel.always:
            self._write(min(self.written) + WRITES)
            return
        copies = self._copies()
        since, count = self.since[index]
        for tile in self.tiles:
            due = since / count * copies * 1.25 - tile % PHASES / PHASES
            self._write_tile(tile, len(self.made) - copies + int(max(0, min(due, copies))))

    def _write(self, upto: int) -> None:
        """Write the first so many results out, those that are not yet."""
        for tile in self.tiles:
            self._write_tile(tile, upto)

    def _write_tile(self, tile: int, upto: int) -> None:
        for copy in range(self.written[tile], min(upto, len(self.made))):
            span, turn = self.made[copy]
            part = self._part(tile, _Turn(turn.mi, span, turn.k, True))
            self._store(tile, part, copy, 1 + tile % PHASES if not copy else 1)
            self.written[tile] = copy + 1

    def _product(self, tile: int, index: int, part: Part, whole: Span, target: int) -> None:
        """One product of a turn: all channels, or a chunk of them."""
        piece = self.piece
        rows, depth = part.m[1] - part.m[0], part.k[1] - part.k[0]
        size, before = FORMAT_BYTES[piece.fmt], part.n[0] - whole[0]
        slot = self.held[index][0]
        key = 0, self.turns[index].mi, part.k[0]
        a = self._a_place(tile, key, slot) if not self.panel.always else self.a.buffer.at(slot)
        b = self.b.buffer.at(index % self.b.buffer.copies) + before * depth * size
        sums = psum_format(piece.fmt)
        source = None
        if part.k[0]:
            source = piece.buffers["psum"].address + before * rows * FORMAT_BYTES[sums]
        out = piece.out_fmt if part.k[1] == piece.k else sums
        self.context.streams.tiles[tile].add(
            MatMul(
                a, b, target, rows, depth, part.n[1] - part.n[0], piece.fmt, out, source,
                origin=self.origin,
            )
        )  # fmt: skip
