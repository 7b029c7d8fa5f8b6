"""Rows of an image that tiles hold, and those of their neighbours that a convolution sees beside them.

Before it begins, each tile sends its first rows to the tile above and its last to the one below:

    1. a tile is done with all before, and armed for what its neighbours will send
    2. all tiles meet at a barrier, and send
    3. each waits for what comes
"""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.mapping.layout.storage import Storage, Transfer
from drawloom.mapping.pieces import MatrixPiece, Span
from drawloom.program.commands import Arm, Barrier, Send, Wait
from drawloom.program.lower.context import Context
from drawloom.program.lower.shares import Shares

FLAG = 24  # that no operand of a matrix piece uses


def halo_box(
    piece: MatrixPiece, shares: Shares, tile: int, rows: Span, channels: Span
) -> tuple[Transfer, ...]:
    """Return the moves of the rows of an image that a tile's results need."""
    assert piece.window is not None, piece.name
    wide = piece.window.w
    own = shares.place(tile)[1] * shares.per_m * wide
    return piece.a.around(own, (rows[0] * wide, rows[1] * wide), channels)


def exchange(context: Context, piece: MatrixPiece, tiles: list[int], origin: int) -> None:
    """Give every tile the rows around its own."""
    held = piece.a
    runs = list(_runs(held))
    coming = {
        tile: len(runs) * sum(other in tiles for other in (tile - 1, tile + 1)) for tile in tiles
    }
    for tile in tiles:
        stream = context.streams.tiles[tile]
        stream.join_all(origin)
        for _ in range(coming[tile]):
            stream.add(Arm(FLAG, origin))
    for tile in tiles:
        stream = context.streams.tiles[tile]
        stream.add(Barrier(tuple(tiles), origin))
        for other, first, into in (
            (tile + 1, held.held_rows, 0),
            (tile - 1, held.halo, held.halo + held.held_rows),
        ):
            for start, width in runs if other in tiles else ():
                src, dst = start + first * width, start + into * width
                stream.add(Send(src, dst, held.halo * width, (other,), FLAG, (), origin))
    for tile in tiles:
        if coming[tile]:
            context.streams.tiles[tile].add(Wait(FLAG, coming[tile], origin))


def _runs(held: Storage) -> Iterator[tuple[int, int]]:
    """Yield where each block of channels begins in a tile's scratchpad, and the bytes of a row of it."""
    shape = held.held
    for block in range(shape.full + bool(shape.tail)):
        channel = block * shape.block
        width = shape.block if block < shape.full else shape.tail
        yield held.address + shape.offset(0, 0, channel), width * shape.element
