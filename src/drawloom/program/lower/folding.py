"""An operand with few channels, folded in the scratchpad: neighbouring pixels side by side.

Rows of the image come in as they lie. Moves then take each result's pixels of a row in one run, and
put those of the rows of a group beside each other. What stands outside of the image is zero: runs
that begin before a row, or end behind it, are corrected at those ends.
"""

from __future__ import annotations

from dataclasses import replace

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.cut.sizes import FOLD_GUARD
from drawloom.mapping.layout.storage import Transfer
from drawloom.mapping.pieces import Fold, MatrixPiece, Span
from drawloom.program.commands import Fill, Move
from drawloom.program.streams import TileStream

MOST_RUNS = 16384


def unfolded_box(piece: MatrixPiece, fold: Fold, batch: int, groups: Span) -> tuple[Transfer, ...]:
    """Return what a chunk is folded from: whole rows, behind the guard."""
    pixels = groups[0] * fold.rows * fold.width, groups[1] * fold.rows * fold.width
    box = piece.a.box(batch, pixels, (0, fold.channels))
    return tuple(replace(t, offset=t.offset + FOLD_GUARD) for t in box)


def clear(stream: TileStream, piece: MatrixPiece, origin: int) -> None:
    """Fill the buffers of what is folded: runs at the ends of a chunk reach into its guards."""
    buffer, size = piece.buffers["a"], FORMAT_BYTES[piece.fmt]
    count = buffer.copies * buffer.bytes // size
    stream.add(Fill(buffer.at(0), piece.fmt, count, 0.0, origin))


def fold(
    stream: TileStream,
    piece: MatrixPiece,
    fold: Fold,
    groups: Span,
    places: tuple[int, int],
    origin: int,
) -> None:
    """Fold groups of rows from one place to another."""
    window = piece.window
    assert window is not None
    pixel = fold.channels * FORMAT_BYTES[piece.fmt]
    run, line = fold.pixels * pixel, fold.width * pixel
    width = run * fold.rows
    n, wide = groups[1] - groups[0], window.ow
    source, target = places[0] + FOLD_GUARD, places[1]
    most = max(1, MOST_RUNS // wide)
    for first in range(0, n, most):
        count = min(most, n - first)
        for row in range(fold.rows):
            src = source + (first * fold.rows + row) * line - fold.left * pixel
            dst = target + first * wide * width + row * run
            levels = (fold.rows * line, wide * width, count), (fold.step * pixel, width, wide)
            stream.add(Move(src, dst, run, levels, origin))
    for at, low, high in _outside(fold, wide):
        for row in range(fold.rows):
            dst = target + at * width + row * run + low * pixel
            levels = ((0, wide * width, n),)
            stream.add(Move(places[0], dst, (high - low) * pixel, levels, origin))


def _outside(fold: Fold, wide: int) -> list[tuple[int, int, int]]:
    """Return results whose pixels stand in part outside of a row: which of them do."""
    out: list[tuple[int, int, int]] = []
    for at in range(wide):
        first = at * fold.step - fold.left
        if first < 0:
            out.append((at, 0, min(-first, fold.pixels)))
        if first + fold.pixels > fold.width:
            out.append((at, max(0, fold.width - first), fold.pixels))
    return out
