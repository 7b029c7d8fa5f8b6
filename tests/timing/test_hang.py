"""Programs that never end are told apart, with where each tile stands."""

from __future__ import annotations

import pytest
from tests.timing.building import Item, add, chip, plain_python, program

from drawloom.program.commands import Arm, Barrier, Engine, Join, Loop, Send, Signal, Wait
from drawloom.timing import Hang, time


def story(*streams: tuple[Item, ...]) -> str:
    with pytest.raises(Hang) as caught:
        time(program(*streams), chip())
    with plain_python(), pytest.raises(Hang) as again:
        time(program(*streams), chip())
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def test_a_send_to_a_flag_that_is_not_armed_hangs() -> None:
    sender = (add(0, 0, 64000), Send(0, 0, 64, (1, 2, 3), 5, origin=1))
    late = (Loop(100, (Signal(0, 0),)), Arm(5))
    assert story(sender, (Arm(5),), late, (Arm(4), Wait(4, origin=0))) == (
        "error[timing.hang]: at 0.300 us tile 0 sends to tiles 2, 3, where flag 5 is not armed\n"
        "  send    Send of node 'second'\n"
        "  tile 0   is at the end of its stream\n"
        "  tile 1   is at the end of its stream\n"
        "  tile 2   at command 0, Signal: is at work on it\n"
        "  tile 3   at command 1, Wait of node 'first': waits for flag 4 to reach 1, it is 0\n"
        "  try    arm flag 5 on tiles 2, 3 and tell tile 0 before it sends"
    )


def test_one_arming_is_good_for_one_send() -> None:
    send = Send(0, 0, 64, (1,), 5)
    assert "tile 0 sends to tile 1, where flag 5 is not armed" in story((send, send), (Arm(5),))


def test_a_wait_that_nobody_answers_is_a_deadlock() -> None:
    assert story((Signal(1, 3), Wait(9, 2, origin=0)), (Wait(3, 2), Barrier((0, 1))), ()) == (
        "error[timing.hang]: at 0.051 us nothing can proceed; tiles 0, 1 would wait for ever\n"
        "  tile 0   at command 1, Wait of node 'first': waits for flag 9 to reach 2, it is 0\n"
        "  tile 1   at command 0, Wait: waits for flag 3 to reach 2, it is 1\n"
        "  tile 2   is at the end of its stream\n"
        "  try    match waits with sends and signals to their flags, barriers with all their tiles"
    )


def test_a_barrier_that_a_tile_does_not_reach_is_a_deadlock() -> None:
    text = story((Barrier((0, 1, 2)),), (Barrier((0, 1, 2)),), ())
    assert "tile 1   at command 0, Barrier: waits for tiles 0, 2 at the barrier" in text


def test_barriers_of_different_tiles_do_not_meet() -> None:
    text = story((Barrier((0, 1)),), (Barrier((0, 1, 2)),), (Barrier((0, 1, 2)),))
    assert "nothing can proceed; tiles 0, 1, 2 would wait for ever" in text


def test_a_tile_at_work_when_another_hangs_is_said_to_be_so() -> None:
    busy = (add(0, 0, 64000), Join((Engine.VECTOR,)))
    text = story((Send(0, 0, 64, (1,), 5),), busy, (add(0, 0, 64000),) * 9)
    assert "tile 1   at command 1, Join: waits for vector" in text
    assert "tile 2   at command 5, Vector: is at work on it" in text
