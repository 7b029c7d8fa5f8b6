"""Constants that are read while an exchange goes on, and moved to their place when it is free."""

from __future__ import annotations

from drawloom.program.commands import (
    Affine,
    Barrier,
    Command,
    Engine,
    Join,
    Loop,
    MatMul,
    Move,
    Read,
    Send,
    Wait,
)
from drawloom.program.lowered import Area
from drawloom.program.parked import Pace, Parker, Stretch

ROOM = Area(100_000, 4096)
CONSTANTS = [(0, 50_000)]
BARRIER = Barrier((0, 1))


def read(at: int, spm: int = 0, size: int = 1024) -> Read:
    return Read(at, spm, size)


def exchange(waits: int, budget: int) -> Stretch:
    items: list[Command | Loop] = [Wait(n, 1) for n in range(waits)]
    return Stretch([*items, BARRIER], is_exchange=True, budget=budget)


def join(keep: int, *engines: Engine) -> Join:
    return Join(engines or (Engine.READ,), keep)


def test_a_constant_is_read_behind_a_wait_and_moved_where_it_was_read() -> None:
    ahead, program = exchange(2, 1024), Stretch([read(0, 7), join(0), BARRIER])
    made = Parker(CONSTANTS, ROOM).park([Stretch([]), ahead, program])
    assert made == [
        Wait(0, 1), Wait(1, 1), Read(0, ROOM.base, 1024), BARRIER,
        Move(ROOM.base, 7, 1024), join(1), Join((Engine.MOVE,), 0), BARRIER,
    ]  # fmt: skip


def test_what_is_no_constant_or_has_no_time_stays() -> None:
    items: list[Command | Loop] = [read(60_000), read(0), read(1024), join(1)]
    made = Parker(CONSTANTS, ROOM).park([Stretch([]), exchange(1, 1500), Stretch(items)])
    assert made == [
        Wait(0, 1), Read(0, ROOM.base, 1024), BARRIER,
        read(60_000), Move(ROOM.base, 0, 1024), read(1024), join(1), Join((Engine.MOVE,), 0),
    ]  # fmt: skip


def test_a_join_counts_the_reads_that_are_left_among_those_it_let_go_on() -> None:
    items: list[Command | Loop] = [read(60_000), read(0), read(1024), join(2)]
    made = Parker(CONSTANTS, ROOM).park([Stretch([]), exchange(1, 2048), Stretch(items)])
    assert [item for item in made if isinstance(item, Join)] == [join(0)]
    later: list[Command | Loop] = [*items, Join((Engine.READ, Engine.WRITE), 1)]
    made = Parker(CONSTANTS, ROOM).park([Stretch([]), exchange(1, 2048), Stretch(later)])
    joins = [item for item in made if isinstance(item, Join)]
    assert joins == [
        join(0), join(0), join(1, Engine.WRITE), join(1, Engine.MOVE),
    ]  # fmt: skip


def test_the_room_is_used_again_behind_the_move_that_empties_it() -> None:
    items: list[Command | Loop] = [read(n * 1024, n) for n in range(6)]
    later: list[Command | Loop] = [read(8192 + n * 1024, n) for n in range(3)]
    first, second = exchange(8, 1 << 20), exchange(4, 1 << 20)
    stretches = [Stretch([]), first, Stretch(items), second, Stretch(later)]
    made = Parker(CONSTANTS, ROOM).park(stretches)
    places = {item.src: at for at, item in enumerate(made) if isinstance(item, Move)}
    assert len(places) == 4
    used: dict[int, int] = {}  # by place in the room: whose it is, moved on or not
    for item in made:
        if isinstance(item, Read) and isinstance(item.spm, int) and item.spm >= ROOM.base:
            assert item.spm not in used, "what is there has not been moved on"
            used[item.spm] = 1
        elif isinstance(item, Move):
            assert isinstance(item.src, int)
            del used[item.src]
    assert not used


def test_loops_are_written_out_and_joins_in_loops_behind_wait_for_all() -> None:
    loop = Loop(2, (Read(Affine(0, (1024,)), Affine(0, (1024,)), 1024),))
    behind = Loop(2, (read(60_000), join(1)))
    made = Parker(CONSTANTS, ROOM).park([Stretch([]), exchange(1, 2048), Stretch([loop, behind])])
    assert made[-4:] == [
        Move(ROOM.base, 0, 1024), Move(ROOM.base + 1024, 1024, 1024),
        Join((Engine.READ, Engine.MOVE), 0), behind,
    ]  # fmt: skip


def test_a_wait_for_a_target_is_no_time_to_read() -> None:
    send = Send(0, 0, 64, (0,), 1)
    ahead = Stretch([Wait(0, 1), send, BARRIER], is_exchange=True, budget=1 << 20)
    assert Parker(CONSTANTS, ROOM).park([Stretch([]), ahead, Stretch([read(0)])])[-1] == read(0)


PACE = Pace({"f16": 16.0}, 16, 32.0, 100.0)


def product(rows: int) -> MatMul:
    return MatMul(0, 0, 0, rows, 1024, 1024, "f16", "f16")


def test_a_long_product_is_a_pause_in_which_later_constants_are_read() -> None:
    first = Stretch([read(60_000), product(16), join(0), BARRIER])
    ahead, last = exchange(1, 0), Stretch([read(0, 7), join(0)])
    made = Parker(CONSTANTS, ROOM, 6, PACE).park([first, ahead, last])
    assert made == [
        read(60_000), product(16), Read(0, ROOM.base, 1024), join(1), BARRIER,
        Wait(0, 1), BARRIER, Move(ROOM.base, 7, 1024), join(0), Join((Engine.MOVE,), 0),
    ]  # fmt: skip
    unpaced = Parker(CONSTANTS, ROOM).park([first, ahead, last])
    assert unpaced[-2:] == [read(0, 7), join(0)]


def test_a_product_for_which_dram_is_needed_as_long_is_no_pause() -> None:
    read_on = Loop(2, (Read(60_000, 0, 1 << 20), product(16)))
    made = Parker(CONSTANTS, ROOM, 6, PACE).park([Stretch([read_on]), Stretch([read(0)])])
    assert made == [read_on, read(0)]


def test_a_read_is_waited_for_where_reads_behind_it_told_that_it_is_done() -> None:
    items: list[Command | Loop] = [read(60_000), *(read(n * 1024, n) for n in range(3)), BARRIER]
    parker = Parker(CONSTANTS, ROOM, 2)
    made = parker.park([Stretch([]), exchange(1, 1024), Stretch(items)])
    assert made[-6:] == [
        read(60_000), Move(ROOM.base, 0, 1024), read(1024, 1), read(2048, 2), join(2), BARRIER,
    ]  # fmt: skip
