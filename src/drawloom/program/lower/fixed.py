"""What never changes in a flash piece: made by the engines, once.

ones   sum the weights
eye    turns the result
scale  a diagonal: scales queries, where the scale is as good in the tensor's format
edge   bytes, keys x queries: which scores of a diagonal are hidden
low    what stands in their place
pick   turns lines of a mask into its columns
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drawloom.chip.layout import Blocked
from drawloom.graph.dtypes import DType
from drawloom.graph.rounding import LARGEST
from drawloom.mapping.pieces import FlashPiece
from drawloom.program.commands import Fill, Move
from drawloom.program.streams import TileStream

TWO = 2  # bytes of an element
HIDDEN, SEEN = 1.0, 0.0
BYTE = "u8"


@dataclass(frozen=True, slots=True)
class Fixed:
    """Constants of a flash piece on one tile."""

    piece: FlashPiece
    stream: TileStream
    origin: int

    def make(self, widths: Iterable[int]) -> None:
        """Make all that strips of these numbers of queries need."""
        piece = self.piece
        ones, eye = piece.buffers["ones"].at(0), piece.buffers["eye"].at(0)
        self._fill(ones, piece.span * piece.k.blocking.min_tail, 1.0)
        if "scale" in piece.buffers:
            scale = piece.buffers["scale"].at(0)
            self._fill(eye, 1, piece.scale)
            self._diagonal(eye, scale, piece.features, piece.features)
        self._diagonal(ones, eye, piece.values, piece.values)
        kinds = [kind for kind, far in enumerate((piece.ahead, piece.behind)) if far is not None]
        if kinds:
            low = piece.buffers["low"]
            self._fill(low.at(0), low.bytes // TWO, -LARGEST[DType(piece.fmt)])
        for n in sorted(widths):
            for kind in kinds:
                self._triangle(kind, n)
            if piece.mask:
                self._pick(n)

    def edge(self, kind: int, n: int) -> int:
        """Return where the edge of a kind (0 ahead, 1 behind) for n queries lies."""
        buffer = self.piece.buffers["edge"]
        return buffer.at(kind) + (buffer.bytes // 2 if n < self.piece.strip else 0)

    def _fill(self, at: int, count: int, value: float) -> None:
        self.stream.add(Fill(at, self.piece.fmt, count, value, self.origin))

    def _diagonal(self, source: int, at: int, rows: int, channels: int) -> None:
        """Make a matrix with one value, that at ``source``, on its diagonal, and else 0."""
        blocking = self.piece.k.blocking
        lies, block = Blocked(blocking, 1, rows, channels, TWO), blocking.of(TWO)
        self._fill(at, lies.matrix_bytes // TWO, 0.0)
        for first in range(0, channels, block):
            n = min(block, channels - first)
            line = (block if first < lies.full * block else lies.tail) * TWO
            dst = at + lies.offset(0, first, first)
            self.stream.add(Move(source, dst, TWO, ((0, line + TWO, n),), self.origin))

    def _pick(self, n: int) -> None:
        """Make what turns lines of a mask into its columns: an identity, or ones for a single line."""
        mask = self.piece.mask
        assert mask is not None
        at = self.piece.buffers["pick"].at(int(n < self.piece.strip))
        if mask.shape[2] > 1:
            self._diagonal(self.piece.buffers["ones"].at(0), at, n, n)
        else:
            self._fill(at, Blocked(self.piece.k.blocking, 1, 1, n, TWO).width, 1.0)

    def _triangle(self, kind: int, n: int) -> None:
        """Make an edge: line j hides queries before j, or those behind it.

        Each line is a window on one long line, which goes back by a byte from line to line.
        """
        lanes = Blocked(self.piece.k.blocking, 1, 1, n, TWO).width
        line = self.piece.buffers["line"].at(kind)
        begin, rest = (HIDDEN, SEEN) if kind == 0 else (SEEN, HIDDEN)
        before = n + kind  # bytes up to the diagonal, which is seen
        self.stream.add(Fill(line, BYTE, before, begin, self.origin))
        self.stream.add(Fill(line + before, BYTE, lanes + n - before, rest, self.origin))
        dims = ((-1, lanes, n),)
        self.stream.add(Move(line + n, self.edge(kind, n), lanes, dims, self.origin))
