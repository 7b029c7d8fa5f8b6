"""Barriers between pieces, and what may be read ahead of them."""

from __future__ import annotations

from drawloom.program.commands import Barrier, Command, Engine, Join, Read, Vector, Write
from drawloom.program.streams import StreamSet

TILES = (0, 1)
WEIGHTS = Read(0x9000, 0x800, 64)
LOW, HIGH = (0x0, 0x400), (0x800, 0xC00)


def work(spm: int) -> Vector:
    return Vector("neg", spm, spm, 8, "f16", "f16")


def first_piece(streams: StreamSet) -> None:
    """Tile 0 reads, computes and writes what tile 1 will read."""
    for command in (Read(0x0, 0x0, 64), work(0x0), Write(0x0, 0x100, 64)):
        streams.tiles[0].add(command)
    streams.close_piece(0, (LOW,))


def second_piece(streams: StreamSet, extent: tuple[int, int]) -> None:
    """Both tiles read that, and weights ahead of it."""
    for tile in streams.tiles:
        tile.add_ahead(WEIGHTS)
        tile.add(Read(0x100, 0x900, 64))
    streams.close_piece(1, extent and (extent,))


def seam(ahead: int) -> list[Command]:
    return [Join((Engine.READ,), ahead, 1), Join((Engine.WRITE,), 0, 1), Barrier(TILES, 1)]


def test_a_constant_is_read_ahead_of_the_barrier_behind_the_last_read() -> None:
    streams = StreamSet(2)
    first_piece(streams)
    second_piece(streams, HIGH)
    one, two = (stream.commands for stream in streams.tiles)
    rest = [Read(0x100, 0x900, 64)]
    made = [work(0x0), Write(0x0, 0x100, 64)]
    assert one == [Read(0x0, 0x0, 64), WEIGHTS, *made, *seam(1), *rest]
    assert two == [WEIGHTS, *seam(1), *rest]


def test_it_stays_behind_a_piece_that_uses_the_same_scratchpad() -> None:
    streams = StreamSet(2)
    for tile in streams.tiles:
        tile.add(work(0x800))
    streams.close_piece(0, (HIGH,))
    second_piece(streams, HIGH)
    assert streams.tiles[0].commands[:2] == [work(0x800), WEIGHTS]


def test_it_stays_behind_a_piece_whose_scratchpad_is_not_known() -> None:
    streams = StreamSet(2)
    for tile in streams.tiles:
        tile.add(work(0x0))
    streams.close_piece(0)
    second_piece(streams, HIGH)
    assert streams.tiles[0].commands[:2] == [work(0x0), WEIGHTS]


def test_it_goes_ahead_of_several_pieces() -> None:
    streams = StreamSet(2)
    first_piece(streams)
    for number in (1, 2):
        streams.tiles[1].add(work(0x40 * number))
        streams.close_piece(number, (LOW,))
    second_piece(streams, HIGH)
    assert streams.tiles[1].commands[:3] == [WEIGHTS, work(0x40), work(0x80)]


def test_two_pieces_that_read_ahead_keep_their_order() -> None:
    streams = StreamSet(1)
    later = Read(0xA000, 0x0, 64)
    tile = streams.tiles[0]
    tile.add_ahead(WEIGHTS)
    tile.add(work(0x800))
    streams.close_piece(0, (HIGH,))
    tile.add_ahead(later)
    tile.add(work(0x0))
    streams.close_piece(1, (LOW,))
    assert tile.commands == [WEIGHTS, later, work(0x800), work(0x0)]


def test_to_wait_for_all_engines_leaves_what_is_read_ahead() -> None:
    tile = StreamSet(1).tiles[0]
    tile.add(work(0x0))
    tile.add_ahead(WEIGHTS)
    tile.join_all(7)
    assert tile.commands[-1] == Join((Engine.READ,), 1, 7)
    assert Engine.READ not in getattr(tile.commands[-2], "engines", ())
