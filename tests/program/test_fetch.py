"""Constants that are read in pieces before the one that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from drawloom.chip.files import load_chip
from drawloom.program.commands import Command, Engine, Join, MatMul, Move, Read, Send
from drawloom.program.fetch import Stage, ahead, fetched
from drawloom.units import PS_PER_S

CONSTANTS = [(0, 100_000)]
SIZE = 1024
_TX81 = load_chip("tx81")
SCRATCHPAD = replace(_TX81.scratchpad, bytes=65536, reserve_low=0, reserve_high=0)
CHIP = replace(_TX81, scratchpad=SCRATCHPAD)


def read(at: int, spm: int) -> Read:
    return Read(at, spm, SIZE)


def stage(start: int, spare: int, *extents: tuple[int, int]) -> Stage:
    return Stage((start,), extents[:1], extents[1:], spare)


def work(at: int) -> MatMul:
    return MatMul(at, at + 2048, at + 4096, 16, 16, 16, "f16", "f16")


def moved(commands: list[Command], *stages: Stage) -> list[Command]:
    (made,) = ahead(CHIP, [commands], stages, CONSTANTS)
    return made


def test_a_constant_is_read_in_the_piece_before_and_moved_where_it_was_read() -> None:
    made = moved(
        [work(0), read(0, 8192), work(8192)],
        stage(0, SIZE, (0, 8192)),
        stage(1, 0, (8192, 16384)),
    )
    assert made == [read(0, 16384), work(0), Move(16384, 8192, SIZE), work(8192)]


def test_what_has_no_time_or_no_room_stays() -> None:
    commands: list[Command] = [work(0), read(0, 8192), work(8192)]
    busy = stage(0, SIZE - 1, (0, 8192)), stage(1, 0, (8192, 16384))
    assert moved(commands, *busy) == commands
    # What tiles hold for later pieces is in use in those between.
    full = stage(0, SIZE, (0, 8192), (8192, 65536)), stage(1, 0, (8192, 16384))
    assert moved(commands, *full) == commands


def test_what_is_no_constant_stays() -> None:
    commands: list[Command] = [work(0), read(200_000, 8192), work(8192)]
    assert moved(commands, stage(0, SIZE, (0, 8192)), stage(1, 0, (8192, 16384))) == commands


def test_a_join_waits_for_the_move_and_lets_later_reads_go_on() -> None:
    made = moved(
        [
            *(read(200_000, 0), work(0)),
            *(read(0, 8192), read(SIZE, 9216), Join((Engine.READ,), 0), work(8192)),
        ],
        stage(0, 2 * SIZE, (0, 8192)),
        stage(2, 0, (8192, 16384)),
    )
    # The last read that is left stands before the one that was brought forward.
    assert made[-3:-1] == [Join((Engine.READ,), 1), Join((Engine.MOVE,), 0)]


def test_a_send_waits_for_what_more_reads_than_a_queue_holds_would_have_ended() -> None:
    others: list[Command] = [read(SIZE * n, 16384 + SIZE * n) for n in range(1, 8)]
    send = Send(8192, 8192, SIZE, (1,), 3)
    made = moved(
        [work(0), read(200_000, 8192), *others, send],
        stage(0, 7 * SIZE, (0, 8192)),
        stage(1, 0, (8192, 32768)),
    )
    assert sum(isinstance(each, Move) for each in made) == len(others)
    assert made[-2:] == [Join((Engine.READ,), 0), send]


def test_a_buffer_that_is_filled_ahead_of_its_piece_is_in_use() -> None:
    """Here the second piece's own reads stand in the first one already, and the third's buffers are free."""
    early = read(200_000, 16384)
    made = moved(
        [work(0), early, work(8192), read(0, 8192), work(16384)],
        stage(0, SIZE, (0, 8192)),
        stage(2, SIZE, (8192, 16384)),
        stage(4, 0, (16384, 24576)),
    )
    places = [each.src for each in made if isinstance(each, Move)]
    assert places == [16384 + SIZE]


def test_what_comes_in_time_where_it_is_read_stays() -> None:
    commands: list[Command] = [work(0), read(0, 8192), work(8192)]
    stages = stage(0, SIZE, (0, 8192)), stage(1, 4 * SIZE, (8192, 16384))
    assert moved(commands, *stages) == commands


def test_a_clock_tells_how_much_time_there_is() -> None:
    """The first piece lasts for as long as DRAM takes for two reads, of which its own takes half."""
    commands = [work(0), read(200_000, 0), read(0, 8192), work(8192)]
    pieces = [((0,), ((0, 8192),), ()), ((2,), ((8192, 16384),), ())]
    took = 2 * SIZE * PS_PER_S // CHIP.dram.read

    def clock(streams: Sequence[Sequence[Command]], ends: int) -> list[list[int]]:
        assert streams == [[work(0), read(200_000, 0), work(8192)]]
        return [[0, ends, ends]]

    for ends, moves in ((took + 1, 1), (took - 1000, 0)):
        (made,) = fetched(CHIP, [commands], pieces, CONSTANTS, partial(clock, ends=ends))
        assert sum(isinstance(each, Move) for each in made) == moves
