"""The results of a matrix piece: where they lie, the body on each, and how they are written out."""

from __future__ import annotations

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.layout.storage import Storage, Transfer, split
from drawloom.mapping.pieces import MatrixPiece, Span
from drawloom.program.lower.body import Chunk, Emitter
from drawloom.program.lower.context import Context, read, read_channels, write_all
from drawloom.program.lower.shares import Part, Shares
from drawloom.units import ceil_div


class Results:
    """Writes what is done with results; ``outs`` of them have been begun so far."""

    def __init__(self, piece: MatrixPiece, context: Context) -> None:
        """Settle what each tile has of the piece."""
        self.piece, self.context = piece, context
        self.shares = Shares.of(piece)
        self.origin = context.origin(piece.name, piece.nodes[0])
        self.origins = {node: context.origin(piece.name, node) for node in piece.nodes}
        self.tiles = range(piece.grid[0] * piece.grid[1] * piece.grid[2])
        self.outs: int = 0  # which copy of the body's buffers is in use

    def _slot(self, slot: str, copy: int) -> int:
        return self.piece.buffers[f"slot.{slot}"].at(copy)

    def _rows(self, part: Part) -> Span:
        width = self.piece.window.ow if self.piece.window is not None else 1
        return part.m[0] * width, part.m[1] * width

    def _constants(self) -> None:
        """Load the channel operands of each tile's share once."""
        body = self.piece.body
        for tile in self.tiles:
            _, im, jn = self.shares.place(tile)
            first = jn * self.shares.per_n
            rows = min(self.shares.per_m, self.piece.m - im * self.shares.per_m)
            most = self._rows(Part(0, (0, rows), (0, 0), (0, 0)))
            for slot, value in body.loads:
                if body.slot(slot).kind == "channel" and self.shares.has_work(tile):
                    storage = self.piece.values[value]
                    end = min(first + self.shares.per_n, self.piece.n)
                    stream, place = self.context.streams.tiles[tile], self._slot(slot, 0)
                    read_channels(stream, storage, (first, end), place, self.origin, most[1])

    def _body_loads(self, tile: int, part: Part, index: int) -> None:
        if part.empty:
            return
        copy = index // self.shares.chunks[2]
        for slot, value in self.piece.body.loads:
            if self.piece.body.slot(slot).kind != "channel":
                box = self._box(self.piece.values[value], part)
                read(self.context.streams.tiles[tile], box, self._slot(slot, copy), self.origin)

    def _box(self, storage: Storage, part: Part, *, into: bool = False) -> tuple[Transfer, ...]:
        batch = part.batch % storage.blocked.batch
        return storage.worked(batch, self._rows(part), part.n, into=into)

    def _is_long(self) -> bool:
        """Whether a body has more commands than the queue of the vector engine holds.

        The processor then waits for that engine, and has nothing new for the others until it has handed
        nearly all of them over.
        """
        body, piece = self.piece.body, self.piece
        blocks = ceil_div(piece.chunk[1], piece.a.blocking.of(FORMAT_BYTES[piece.out_fmt]))
        kinds = {slot.name: slot.kind for slot in body.slots}
        by_block = [step.b and kinds[step.b] != kinds[step.a] for step in body.steps]
        return sum(blocks if each else 1 for each in by_block) > self.context.chip.vector.depth

    def _finish(self, tile: int, part: Part, copy: int) -> None:
        """Do the body's work on a result, in a copy of the body's buffers."""
        if part.empty:
            return
        stream, body = self.context.streams.tiles[tile], self.piece.body
        rows = self._rows(part)
        chunk = Chunk(self.piece.a.blocking, rows[1] - rows[0], part.n[1] - part.n[0])
        _, _, jn = self.shares.place(tile)
        inside = part.n[0] - jn * self.shares.per_n

        def address(slot: str) -> int:
            kind = body.slot(slot)
            if kind.kind == "channel":
                return self._slot(slot, 0) + inside * FORMAT_BYTES[kind.fmt]
            return self._slot(slot, copy)

        Emitter(stream, body, chunk, address, self.origins).emit()

    def _store(self, tile: int, part: Part, copy: int, pieces: int = 1) -> None:
        """Write a result out, in so many pieces at least."""
        if part.empty:
            return
        stores = [
            (self._box(self.piece.values[value], part, into=True), self._slot(slot, copy))
            for slot, value in self.piece.body.stores
        ]
        if pieces > 1 and not any(t.pitch for box, _ in stores for t in box):
            stores = [(sum(split(box, pieces), ()), slot) for box, slot in stores]
        write_all(self.context.streams.tiles[tile], stores, self.origin)
