"""Images that every tile holds: what a tile makes of one it sends to all others.

1. a tile is done with all before, and armed for what the others will send
2. all tiles meet at a barrier
3. each result goes to its place in the tile's own copy, and from there to the same place in the others
4. at the end each tile waits for what comes
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.pieces import MatrixPiece, Span
from drawloom.program.commands import Arm, Barrier, Engine, Join, Send, Wait
from drawloom.program.lower.context import Context
from drawloom.program.lower.operand import fans_of
from drawloom.program.lower.shares import Part, Shares

FLAG = 25  # that no operand of a matrix piece uses, nor the rows around a tile's own


@dataclass(frozen=True, slots=True)
class Handing:
    """What the tiles of a piece hand each other.

    Attributes:
        piece: makes the images.
        shares: how it is cut.
        context: of the whole program.
        origin: of the commands.
        images: what is handed over.
    """

    piece: MatrixPiece
    shares: Shares
    context: Context
    origin: int
    images: tuple[Storage, ...]

    @staticmethod
    def of(piece: MatrixPiece, shares: Shares, context: Context, origin: int) -> Handing | None:
        """Return what a piece hands over; None where that is nothing."""
        made = (piece.values[value] for _, value in piece.body.stores)
        images = tuple(storage for storage in made if storage.everywhere)
        return Handing(piece, shares, context, origin, images) if images else None

    @property
    def tiles(self) -> tuple[int, ...]:
        """Return all tiles of the chip: those without a part of the work get what others make."""
        return tuple(range(self.context.chip.n_tiles))

    def begin(self) -> None:
        """Step 1."""
        coming = self._coming()
        for tile in self.tiles:
            stream = self.context.streams.tiles[tile]
            stream.join_all(self.origin)
            for _ in range(coming[tile]):
                stream.add(Arm(FLAG, self.origin))

    def meet(self) -> None:
        """Step 2."""
        for tile in self.tiles:
            self.context.streams.tiles[tile].add(Barrier(self.tiles, self.origin))

    def send(self, tile: int, part: Part) -> None:
        """Step 3, behind the moves of a result to its place."""
        stream = self.context.streams.tiles[tile]
        runs = self._runs(part)
        if runs:
            stream.add(Join((Engine.MOVE,), 0, self.origin))
        for (at, size), fan in product(runs, self._fans(tile)):
            stream.add(Send(at, at, size, fan, FLAG, (), self.origin))

    def end(self) -> None:
        """Step 4."""
        coming = self._coming()
        for tile in self.tiles:
            if coming[tile]:
                stream = self.context.streams.tiles[tile]
                stream.add(Wait(FLAG, coming[tile], self.origin))

    def _fans(self, tile: int) -> tuple[tuple[int, ...], ...]:
        return fans_of(tile, self.tiles, self.context.chip.send.fanout)

    def _coming(self) -> list[int]:
        """Return how many sends each tile gets."""
        coming = [0] * len(self.tiles)
        results = [step for step in self.shares.steps() if step.ki == self.shares.chunks[2] - 1]
        _, gm, gn = self.piece.grid
        for tile in range(self.piece.grid[0] * gm * gn):
            runs = sum(len(self._runs(self.shares.part(tile, step))) for step in results)
            for target in (target for fan in self._fans(tile) for target in fan):
                coming[target] += runs
        return coming

    def _runs(self, part: Part) -> list[tuple[int, int]]:
        """Return where a result lies in a tile's copies: runs of bytes, each sent at once."""
        if part.empty:
            return []
        width = self.piece.window.ow if self.piece.window is not None else 1
        rows: Span = part.m[0] * width, part.m[1] * width
        runs: list[tuple[int, int]] = []
        for storage in self.images:
            for t in storage.box(part.batch, rows, part.n):
                steps = product(*(range(0, stride * count, stride) for stride, count in t.dims))
                runs += [(t.dram + sum(each), t.inner) for each in steps]
        return runs
