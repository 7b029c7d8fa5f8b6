"""Tiles that wait for each other, and those that wait for ever."""

from __future__ import annotations

import numpy as np
import pytest
from tests.execute.building import get, program, put

from drawloom.execute.faults import IllegalCommand
from drawloom.execute.hang import Hang
from drawloom.execute.machine import Machine
from drawloom.program.commands import (
    Affine,
    Arm,
    Barrier,
    Engine,
    Fill,
    Join,
    Loop,
    Read,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.program import Origin


def test_two_tiles_hand_over_through_send_and_back_through_signal() -> None:
    """Tile 0 reads and sends three pieces; tile 1 doubles each and frees the buffer."""
    sender = [
        Loop(
            3,
            (
                Read(dram=Affine(0, (8,)), spm=0, inner=8),
                Join((Engine.READ,)),
                Send(src=0, dst=64, inner=8, targets=(1,), flag=1),
                Wait(flag=2),
            ),
        )
    ]
    receiver = [
        Loop(
            3,
            (
                Arm(flag=1),
                Wait(flag=1),
                Vector("add", 64, 128, 2, "i32", "i32", 64),
                Write(spm=128, dram=Affine(100, (8,)), inner=8),
                Signal(target=0, flag=2),
            ),
        )
    ]
    for streams in ((sender, receiver), (sender, receiver, [])):
        machine = Machine(program(*streams))
        put(machine.dram, 0, np.arange(6, dtype=np.int32))
        machine.run()
        assert get(machine.dram, 100, "i32", 6).tolist() == [0, 2, 4, 6, 8, 10]
        assert machine.tiles[0].counters == {2: 0}
        assert machine.tiles[1].counters == {1: 0}


def test_a_wait_takes_its_count_off_and_leaves_the_rest() -> None:
    machine = Machine(program([Signal(1, 5)] * 5, [Wait(5, 2), Wait(5, 2)]))
    machine.run()
    assert machine.tiles[1].counters == {5: 1}


def test_a_barrier_holds_each_time_it_is_met() -> None:
    """Each tile reads what the other wrote before the last barrier: rounds must not mix."""

    def rounds(mine: int, theirs: int) -> list[Loop]:
        return [
            Loop(
                4,
                (
                    Write(spm=0, dram=mine, inner=4),
                    Barrier((0, 1)),
                    Read(dram=theirs, spm=4, inner=4),
                    Barrier((1, 0)),
                    Vector("add", 0, 0, 1, "i32", "i32", 4),
                ),
            )
        ]

    machine = Machine(program(rounds(0, 4), rounds(4, 0)))
    put(machine.spm[0], 0, np.array([1], np.int32))
    put(machine.spm[1], 0, np.array([2], np.int32))
    machine.run()
    assert [int(get(spm, 0, "i32", 1)[0]) for spm in machine.spm] == [24, 24]


def test_barriers_of_groups_do_not_mix() -> None:
    groups = [(0, 1), (0, 1), (2, 3), (2, 3)]
    streams = [[Barrier(group), Barrier((0, 1, 2, 3)), Barrier(group)] for group in groups]
    Machine(program(*streams)).run()


def test_a_hang_names_every_stuck_tile_its_command_and_what_it_waits_for() -> None:
    origins = (Origin("p", "conv1", "features.0"), Origin("p", "fc", "fc"))
    streams = (
        [Send(src=0, dst=64, inner=8, targets=(1, 2), flag=3, origin=0)],
        [Loop(2, (Fill(0, "i8", 1, 0.0), Wait(flag=7, count=2, origin=1)))],
        [Signal(1, 7), Arm(3), Barrier((2, 3, 4))],
        [],
        [Barrier((4, 2))],
    )
    with pytest.raises(Hang) as caught:
        Machine(program(*streams, origins=origins)).run()
    assert str(caught.value) == (
        "error[run.hang]: 4 of 5 tiles can go no further\n"
        "  tile 0  at         Send(src=0, dst=64, inner=8, targets=(1, 2), flag=3)"
        " of node 'conv1', layer 'features.0'\n"
        "          waits for  flag 3 armed on tile 1\n"
        "  tile 1  at         Wait(flag=7, count=2) of node 'fc'\n"
        "          waits for  counter 7 at 2; is 1\n"
        "  tile 2  at         Barrier(tiles=(2, 3, 4))\n"
        "          waits for  tiles 3, 4\n"
        "  tile 4  at         Barrier(tiles=(4, 2))\n"
        "          waits for  tile 2"
    )
    assert [stuck.tile for stuck in caught.value.stuck] == [0, 1, 2, 4]


def test_a_send_that_was_armed_once_goes_once() -> None:
    streams = ([Send(0, 0, 1, (1,), 0), Send(0, 0, 1, (1,), 0)], [Arm(0)])
    with pytest.raises(Hang, match="1 of 2 tiles"):
        Machine(program(*streams)).run()


@pytest.mark.parametrize("command", [Signal(9, 0), Send(0, 0, 1, (9,), 0), Barrier((0, 9))])
def test_a_tile_that_does_not_exist(command: Signal | Send | Barrier) -> None:
    with pytest.raises(IllegalCommand, match="because  there is no tile 9, only 0 to 0"):
        Machine(program([command])).run()
