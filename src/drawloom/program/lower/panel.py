"""Large products that sum many channels side by side while their operands come in.

``panel_turns`` says what is loaded and computed in which turn; here it becomes commands. What all
tiles have to do in a turn stands in each stream before the next: loads some turns ahead, products,
what is to be handed on, and some of the results made before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.layout.storage import Transfer
from drawloom.mapping.pieces import MatrixPiece, Span
from drawloom.program.commands import Engine, Join, MatMul
from drawloom.program.extents import psum_format
from drawloom.program.lower.context import Context
from drawloom.program.lower.matrix import Lowering
from drawloom.program.lower.operand import Group, Key, Operand
from drawloom.program.lower.panel_turns import Turn, turns_of
from drawloom.program.lower.shares import Part
from drawloom.units import ceil_div

PHASES = 4  # ways in which tiles are kept out of step in their own reads and writes
QUEUED = 4  # results whose writes are handed over as soon as they are there
WRITES = 2  # results written out a turn, where there are so many
AHEAD = 2  # turns between asking for what all tiles read and using it


@dataclass(frozen=True, slots=True)
class _Load:
    """A chunk of an operand, the slot it goes to, and the turns between which it is begun and handed on."""

    operand: Operand
    key: Key
    slot: int
    begins: int
    delivers: int


class Panels(Lowering):
    """Writes the commands of a piece whose channels are summed side by side."""

    def __init__(self, piece: MatrixPiece, context: Context) -> None:
        """Settle what is loaded when."""
        assert piece.panel is not None, piece.name
        super().__init__(piece, context)
        self.panel = panel = piece.panel
        self.per_m, self.per_n = self.shares.per_m, self.shares.per_n
        self.turns = turns_of(piece, self.shares.chunks[0], self.per_n)
        self.b_spans = {turn.b_key: turn for turn in self.turns}
        self.parts = {part.key: part for turn in self.turns for part in turn.loads}
        self.few = self._few()
        self.a.transfers, self.b.transfers = self._a_panel, self._b_panel
        self.a.place = self._a_place
        if not panel.always:
            self.b.readers = self._readers
        self.a.phases = self.b.phases = PHASES
        self.a.skipped = self.b.skipped = 1  # the first chunk is waited for
        self.loads = self._load_all()
        self.made: list[tuple[Span, Turn]] = []  # results so far: their channels, their turn
        self.written = [0 for _ in self.tiles]  # how many of them each tile has written out

    def _a_group(self, tile: int) -> Group:
        return tuple(range(tile % self.piece.grid[1], len(self.tiles), self.piece.grid[1]))

    def _b_group(self, tile: int) -> Group:
        gm = self.piece.grid[1]
        return tuple(range(tile // gm * gm, tile // gm * gm + gm))

    # Where and what.

    def _rows_of(self, tile: int, mi: int) -> Span:
        _, im, _ = self.shares.place(tile)
        first, mt = im * self.per_m + mi * self.piece.chunk[0], self.piece.chunk[0]
        return first, max(first, min(first + mt, (im + 1) * self.per_m, self.piece.m))

    def _part(self, tile: int, turn: Turn, n: Span | None = None) -> Part:
        """What a tile does in a turn, or in some channels of it."""
        first, end = n or turn.n
        _, _, jn = self.shares.place(tile)
        low = jn * self.per_n + first
        high = min(jn * self.per_n + min(end, self.per_n), self.piece.n)
        return Part(0, self._rows_of(tile, turn.mi), (low, max(low, high)), turn.k)

    def _a_panel(self, tile: int, key: Key) -> tuple[Transfer, ...]:
        rows = self._rows_of(tile, key[1])
        if rows[0] == rows[1] or (not self.piece.share_a and not self.shares.has_work(tile)):
            return ()
        return self.piece.a.box(0, rows, self.parts[key].k)

    def _b_panel(self, tile: int, key: Key) -> tuple[Transfer, ...]:
        part = self._part(tile, self.b_spans[key])
        idle = part.m[0] == part.m[1] and not self.piece.share_b
        return () if idle or part.n[0] == part.n[1] else self.piece.b.box(0, part.k, part.n)

    def _a_place(self, tile: int, key: Key, slot: int) -> int:
        """Where a part of a lies."""
        rows, part = self._rows_of(tile, key[1]), self.parts[key]
        line = (rows[1] - rows[0]) * FORMAT_BYTES[self.piece.fmt]
        return self.a.buffer.at(part.copy) + (part.k[0] - part.start) * line

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
        last: dict[tuple[str, int], float] = {}
        # A tile reads in order: what it reads alone must not stand before what others wait for.
        beside = max(1, min(AHEAD, self.b.buffer.copies - 1))
        if self.piece.beside:
            beside = 1  # what it reads is being made meanwhile
        for index, turn in enumerate(self.turns):
            b_slot = index % self.b.buffer.copies
            # All tiles read what is summed side by side: more would fill their queues.
            ahead = AHEAD if self._all_read(turn.b_key) else self.b.buffer.copies
            # What must be sent on to more comes first.
            fresh = [(self.b, turn.b_key, b_slot, ahead)]
            fresh += [(self.a, part.key, part.slot, beside) for part in turn.loads]
            for operand, key, slot, most in fresh:
                # One turn after the last use: by then the engine has the next turn to work on.
                free = last.get((operand.buffer.name, slot), -inf) + 1
                begin = int(min(index - 1, max(index - most, free, -1)))
                out.append(_Load(operand, key, slot, begin, index - 1))
            last |= dict.fromkeys((("a", part.slot) for part in turn.held), index)
            last["b", b_slot] = index
        return out

    def reach(self, index: int) -> int:
        """Return up to which depth the commands of a turn read the first operand."""
        begun = [load for load in self.loads if load.operand is self.a and load.begins <= index]
        return max((self.parts[load.key].k[1] for load in begun), default=0)

    def run(self) -> Iterator[None]:
        """Write all commands: before the first turn, and then those of each turn."""
        shared = self.piece.share_a or self.piece.share_b
        for tile in self.tiles if shared and not self.piece.beside else ():
            self.context.streams.tiles[tile].join_all(self.origin)
        self._constants()
        if not self.piece.beside:
            self._between(-1)
        yield
        if self.piece.beside:
            self._between(-1)
        for index, turn in enumerate(self.turns):
            self._wait(index)
            if self.panel.within and not turn.side and not turn.k[0]:
                self._write(len(self.made))  # new sums come over them
            if turn.ends:
                self._ending(index, turn)
            else:
                self._summing(index, turn)
            self._write_some(index)
            yield
        self._write(len(self.made))
        # No hazard check covers what a send reads: the next piece must not write over it.
        for tile in self.tiles if shared else ():
            self.context.streams.tiles[tile].add(Join((Engine.SEND,), 0, self.origin))

    def _use(self, index: int) -> None:
        """Note which slots the products of a turn have used."""
        for tile in self.tiles:
            for part in self.turns[index].held:
                self.a.use(tile, part.slot)
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

    def _summing(self, index: int, turn: Turn) -> None:
        """A part of a sum: one product of all channels."""
        for tile in self.tiles:
            part = self._part(tile, turn)
            if not part.empty:
                self._product(tile, index, part, part.n[0], self._sums(part, turn, tile))
        self._use(index)
        self._between(index)

    def _ending(self, index: int, turn: Turn) -> None:
        """The last part of a sum, chunk by chunk, each with the work behind it."""
        nt, (start, end) = self.piece.chunk[1], turn.n
        for n in range(start, end, nt):
            span = n, min(n + nt, end)
            for tile in self.tiles:
                part = self._part(tile, turn, span)
                if part.empty:
                    continue
                self._body_loads(tile, part, self.outs)
                target = self._slot(self.piece.result, self.outs)
                self._product(tile, index, part, self._part(tile, turn).n[0], target)
                self._finish(tile, part, self.outs)
            self.made.append((span, turn))
            self.outs += 1
            self._use(index)
            if n == min(start + nt, (end - 1 - start) // nt * nt + start):
                self._between(index)
            # A place that comes round must have been written out before.
            hurry = self._hurries(turn, n)
            self._write(len(self.made) if hurry else self.outs - self._copies() + 1)

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

    def _hurries(self, turn: Turn, n: int) -> bool:
        """Whether a result is written as soon as it is there: of many together the first few."""
        if self.panel.always:
            final = self.turns[-1]
            return (turn.mi, turn.side) == (final.mi, final.side)
        return turn is self.turns[-1] or n < turn.n[0] + QUEUED * self.piece.chunk[1]

    def _write_some(self, index: int) -> None:
        """Write some results out, no more than the queue has room for.

        Where sums take many turns tiles write by turns: their reads hardly suffer then.
        """
        if not self.panel.always:
            self._write(min(self.written) + WRITES)
            return
        copies = self._copies()
        for tile in self.tiles:
            due = self.turns[index].since * copies * 1.25 - tile % PHASES / PHASES
            self._write_tile(tile, len(self.made) - copies + int(max(0, min(due, copies))))

    def _write(self, upto: int) -> None:
        """Write the first so many results out, those that are not yet."""
        for tile in self.tiles:
            self._write_tile(tile, upto)

    def _write_tile(self, tile: int, upto: int) -> None:
        for copy in range(self.written[tile], min(upto, len(self.made))):
            span, turn = self.made[copy]
            pieces = 1 if copy else 1 + tile % PHASES
            self._store(tile, self._part(tile, turn, span), copy, pieces)
            self.written[tile] = copy + 1

    def _sums(self, part: Part, turn: Turn, tile: int) -> int:
        """Where the sums of some channels lie, behind those beside them."""
        _, _, jn = self.shares.place(tile)
        before = part.n[0] - jn * self.per_n - turn.side
        line = (part.m[1] - part.m[0]) * FORMAT_BYTES[psum_format(self.piece.fmt)]
        return self.piece.buffers["psum"].address + before * line

    def _product(self, tile: int, index: int, part: Part, first: int, target: int) -> None:
        """One product of a turn: all channels, or a chunk of them; ``first`` begins the chunk of b."""
        piece, turn = self.piece, self.turns[index]
        rows, depth = part.m[1] - part.m[0], part.k[1] - part.k[0]
        held = next(p for p in turn.held if p.k[0] == part.k[0])
        a = self._a_place(tile, held.key, held.slot)
        b = self.b.buffer.at(index % self.b.buffer.copies)
        b += (part.n[0] - first) * depth * FORMAT_BYTES[piece.fmt]
        source = self._sums(part, turn, tile) if part.k[0] else None
        out = piece.out_fmt if part.k[1] == piece.k else psum_format(piece.fmt)
        self.context.streams.tiles[tile].add(
            MatMul(
                a, b, target, rows, depth, part.n[1] - part.n[0], piece.fmt, out, source,
                origin=self.origin,
            )
        )  # fmt: skip
