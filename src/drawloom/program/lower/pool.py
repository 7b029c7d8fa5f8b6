"""Pool pieces: windows over images, or one value a channel for the whole image."""

from __future__ import annotations

from drawloom.mapping.pieces import PoolPiece
from drawloom.program.commands import Pool, Reduce, Vector
from drawloom.program.lower.context import Context, read, write
from drawloom.program.streams import TileStream
from drawloom.units import ceil_div

Place = tuple[int, tuple[int, int], tuple[int, int]]  # image, channels, output rows


def places(piece: PoolPiece) -> list[Place]:
    """Return the chunks (image, channels, output rows) in order."""
    rows, width = piece.chunk
    height = piece.window.oh if piece.window is not None else 1
    blocked = piece.src.blocked
    return [
        (image, (c, min(c + width, blocked.channels)), (r, min(r + rows, height)))
        for image in range(blocked.batch)
        for c in range(0, blocked.channels, width)
        for r in range(0, height, rows)
    ]


def lower(piece: PoolPiece, context: Context) -> None:
    """Write a pool piece's commands: chunks are dealt out in runs of neighbours."""
    origin = context.origin(piece.name, piece.nodes[0])
    every = places(piece)
    n_tiles, images = context.chip.n_tiles, piece.src.blocked.batch
    share = ceil_div(len(every), n_tiles)
    if piece.by_batch:
        share = ceil_div(images, n_tiles) * (len(every) // images)
    for tile, stream in enumerate(context.streams.tiles):
        mine = every[tile * share : (tile + 1) * share]
        for copy, place in enumerate(mine):
            src, dst = piece.buffers["src"].at(copy), piece.buffers["dst"].at(copy)
            if copy == 0:
                _load(piece, stream, place, src, origin)
            if copy + 1 < len(mine):
                # Ahead of the result: what is resident comes and goes by one engine.
                _load(piece, stream, mine[copy + 1], piece.buffers["src"].at(copy + 1), origin)
            if piece.window is not None:
                _window(piece, stream, place, src, dst, origin)
            else:
                _whole(piece, stream, place, src, dst, origin)


def _load(piece: PoolPiece, stream: TileStream, place: Place, src: int, origin: int) -> None:
    window, (image, channels, outs) = piece.window, place
    span = (0, piece.src.blocked.rows)
    if window is not None:
        rows, _, _ = window.rows_for(outs)
        span = rows[0] * window.w, rows[1] * window.w
    read(stream, piece.src.box(image, span, channels), src, origin)


def _window(
    piece: PoolPiece, stream: TileStream, place: Place, src: int, dst: int, origin: int
) -> None:
    window, (image, channels, outs) = piece.window, place
    assert window is not None
    rows, above, below = window.rows_for(outs)
    stream.add(
        Pool(
            piece.op, src, dst, rows[1] - rows[0], window.w, channels[1] - channels[0], *window.kernel,
            window.strides, (above, below, window.pads[2], window.right), window.dilations,
            piece.src.dtype.value, piece.count_pad, origin,
        )
    )  # fmt: skip
    box = piece.dst.box(image, (outs[0] * window.ow, outs[1] * window.ow), channels)
    write(stream, box, dst, origin)


def _whole(
    piece: PoolPiece, stream: TileStream, place: Place, src: int, dst: int, origin: int
) -> None:
    image, channels, _ = place
    rows, fmt = piece.src.blocked.rows, piece.src.dtype.value
    count = channels[1] - channels[0]
    # A mean is summed and divided in f32, and rounded once.
    wide = "f32" if piece.scale is not None else fmt
    total = piece.buffers["sum"].at(0) if piece.scale is not None else dst
    stream.add(Reduce(piece.op, src, total, rows, 1, count, "hw", fmt, wide, origin))
    if piece.scale is not None:
        padded = piece.src.blocking.width(count, 4)
        stream.add(Vector("div", total, dst, padded, wide, fmt, None, piece.scale, 0, origin))
    write(stream, piece.dst.box(image, (0, 1), channels), dst, origin)
