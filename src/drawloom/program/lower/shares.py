"""How a matrix piece is shared out: per tile, then in chunks, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.pieces import MatrixPiece, Span
from drawloom.units import align_up, ceil_div


@dataclass(frozen=True, slots=True)
class Part:
    """What one tile does in one step; empty spans mean nothing."""

    batch: int
    m: Span
    n: Span
    k: Span

    @property
    def empty(self) -> bool:
        """Whether there is nothing to compute."""
        return self.batch < 0 or self.m[0] >= self.m[1] or self.n[0] >= self.n[1]


@dataclass(frozen=True, slots=True)
class Step:
    """Chunk indices of one step."""

    b: int
    mi: int
    ni: int
    ki: int


@dataclass(frozen=True, slots=True)
class Shares:
    """How a piece's ranges are cut: per tile, then in chunks."""

    piece: MatrixPiece
    per_b: int
    per_m: int
    per_n: int
    chunks: tuple[int, int, int]  # numbers of row, channel and depth chunks

    @staticmethod
    def of(piece: MatrixPiece) -> Shares:
        """Cut a piece."""
        gb, gm, gn = piece.grid
        mt, nt, kt = piece.chunk
        per_b = ceil_div(piece.batch, gb)
        # A transposed operand's rows are its channels, and are cut at blocks.
        per_m = align_up(ceil_div(piece.m, gm), piece.a.blocked.block if piece.trans_a else 1)
        per_n = align_up(ceil_div(piece.n, gn), channel_grain(piece))
        counts = (
            ceil_div(min(per_m, piece.m), mt),
            ceil_div(min(per_n, piece.n), nt),
            ceil_div(piece.k, kt),
        )
        return Shares(piece, per_b, per_m, per_n, counts)

    def steps(self) -> list[Step]:
        """All steps in order."""
        mc, nc, kc = self.chunks
        outer = [(m, n) for m in range(mc) for n in range(nc)]
        if self.piece.order == "nm":
            outer = [(m, n) for n in range(nc) for m in range(mc)]
        return [Step(b, m, n, k) for b in range(self.per_b) for m, n in outer for k in range(kc)]

    def place(self, tile: int) -> tuple[int, int, int]:
        """Position of a tile in the grid."""
        _, gm, gn = self.piece.grid
        if self.piece.panel is not None:
            # Tiles that share channels are neighbours: what streams by is theirs together.
            return 0, tile % gm, tile // gm
        return tile // (gm * gn), tile // gn % gm, tile % gn

    def has_work(self, tile: int) -> bool:
        """Whether a tile has any part of the result."""
        ib, im, jn = self.place(tile)
        piece = self.piece
        inside = im * self.per_m < piece.m and jn * self.per_n < piece.n
        return ib < piece.grid[0] and ib * self.per_b < piece.batch and inside

    def part(self, tile: int, step: Step) -> Part:
        """What a tile does in a step."""
        ib, im, jn = self.place(tile)
        mt, nt, kt = self.piece.chunk
        batch = ib * self.per_b + step.b
        if batch >= self.piece.batch or ib >= self.piece.grid[0]:
            batch = -1
        return Part(
            batch,
            _cut(im * self.per_m, self.per_m, step.mi * mt, mt, self.piece.m),
            _cut(jn * self.per_n, self.per_n, step.ni * nt, nt, self.piece.n),
            (step.ki * kt, min(self.piece.k, (step.ki + 1) * kt)),
        )


def channel_grain(piece: MatrixPiece) -> int:
    """Channels must be cut at multiples of this: a block of the operands and of the result."""
    blocking = piece.a.blocking
    pairs = 2 if piece.coding and piece.coding.bits == 4 else 1  # blocks share bytes
    operand, result = FORMAT_BYTES[piece.fmt], FORMAT_BYTES[piece.out_fmt]
    return max(pairs * blocking.of(operand), blocking.of(result))


def _cut(start: int, length: int, offset: int, size: int, total: int) -> Span:
    first = start + offset
    return first, max(first, min(first + size, start + length, total))
