"""Strip pieces: a body over chunks of rows, or of flat elements, shared out over the tiles."""

from __future__ import annotations

from collections.abc import Container

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.layout.storage import Storage, Transfer
from drawloom.mapping.pieces import StripPiece
from drawloom.program.lower.body import Chunk, Emitter
from drawloom.program.lower.context import Context, read, read_channels, write_all
from drawloom.units import align_up, ceil_div

FLAT_GRAIN = 128  # elements: keeps every tile's share whole in all formats


def chunks(piece: StripPiece, n_tiles: int) -> list[list[tuple[int, int, int]]]:
    """Per tile, the chunks (matrix, first row, rows after) it works on."""
    if piece.across(n_tiles):
        return _across(piece, n_tiles)
    total = piece.batch * piece.rows
    share = (
        ceil_div(piece.batch, n_tiles) * piece.rows if piece.by_batch else ceil_div(total, n_tiles)
    )
    if piece.geometry == "flat":
        share = align_up(share, FLAT_GRAIN)
    out: list[list[tuple[int, int, int]]] = []
    for tile in range(n_tiles):
        mine: list[tuple[int, int, int]] = []
        at, end = tile * share, min(total, (tile + 1) * share)
        while at < end:
            batch, row = divmod(at, piece.rows)
            stop = min(end - batch * piece.rows, piece.rows, row + piece.chunk)
            mine.append((batch, row, stop))
            at += stop - row
        out.append(mine)
    return out


def _across(piece: StripPiece, n_tiles: int) -> list[list[tuple[int, int, int]]]:
    """Per tile, the chunks of its rows of every matrix: what these share is loaded once."""
    share = ceil_div(piece.rows, n_tiles)
    out: list[list[tuple[int, int, int]]] = []
    for tile in range(n_tiles):
        end = min(piece.rows, (tile + 1) * share)
        firsts = range(tile * share, end, piece.chunk)
        spans = [(first, min(first + piece.chunk, end)) for first in firsts]
        out.append([(matrix, *span) for span in spans for matrix in range(piece.batch)])
    return out


def lower(piece: StripPiece, context: Context) -> None:
    """Write a strip piece's commands into every tile's stream."""
    origins = {node: context.origin(piece.name, node) for node in piece.nodes}
    origin = origins[piece.nodes[0]]
    across = piece.across(context.chip.n_tiles)
    for tile, mine in enumerate(chunks(piece, context.chip.n_tiles)):
        stream = context.streams.tiles[tile]
        if mine:
            rows = max(stop - row for _, row, stop in mine)
            _constants(piece, context, tile, origin, rows)
            _loads(piece, context, tile, mine[0], 0, origin)
        for copy, place in enumerate(mine):
            if copy + 1 < len(mine):
                known = across if mine[copy + 1][1:] == place[1:] else ()
                _loads(piece, context, tile, mine[copy + 1], copy + 1, origin, known)
            flat = piece.geometry == "flat"
            chunk = Chunk(context.chip.blocking, place[2] - place[1], piece.channels, flat)

            def address(slot: str, copy: int = copy) -> int:
                number = copy // piece.batch if slot in across else copy
                return piece.buffers[f"slot.{slot}"].at(number)

            Emitter(stream, piece.body, chunk, address, origins).emit()
            stores = [
                (
                    _box(piece, piece.values[v], piece.body.slot(s).kind, place, into=True),
                    address(s),
                )
                for s, v in piece.body.stores
            ]
            write_all(stream, stores, origin)


def _constants(piece: StripPiece, context: Context, tile: int, origin: int, rows: int) -> None:
    for slot, value in piece.body.loads:
        if piece.body.slot(slot).kind == "channel":
            storage, place = piece.values[value], piece.buffers[f"slot.{slot}"].at(0)
            stream = context.streams.tiles[tile]
            read_channels(stream, storage, (0, piece.channels), place, origin, rows)


def _loads(
    piece: StripPiece,
    context: Context,
    tile: int,
    place: tuple[int, int, int],
    copy: int,
    origin: int,
    known: Container[str] = (),
) -> None:
    """Load a chunk, but for the slots that are ``known`` to hold it."""
    across = piece.across(context.chip.n_tiles)
    for slot, value in piece.body.loads:
        kind = piece.body.slot(slot).kind
        if kind != "channel" and slot not in known:
            box = _box(piece, piece.values[value], kind, place)
            number = copy // piece.batch if slot in across else copy
            read(context.streams.tiles[tile], box, piece.buffers[f"slot.{slot}"].at(number), origin)


def _box(
    piece: StripPiece,
    storage: Storage,
    kind: str,
    place: tuple[int, int, int],
    *,
    into: bool = False,
) -> tuple[Transfer, ...]:
    batch, row, stop = place
    if piece.geometry == "flat":
        size = FORMAT_BYTES[storage.dtype.value]
        return (Transfer(storage.address + row * size, (stop - row) * size, (), 0),)
    blocked = storage.blocked
    matrix = batch % blocked.batch
    width = 1 if kind == "stat" else piece.channels
    return storage.worked(matrix, (row, stop), (0, width), into=into)
