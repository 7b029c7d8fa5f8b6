from __future__ import annotations

import numpy as np
import pytest
from tests.execute.building import get, one_tile, program, put

from drawloom.execute.faults import IllegalCommand
from drawloom.execute.machine import Machine
from drawloom.program.commands import Arm, Fill, Move, Pick, Read, Select, Send, Write


def counting(n: int) -> np.ndarray:
    return (np.arange(n) % 251).astype(np.uint8)


def test_read_compacts_three_strided_levels() -> None:
    machine = one_tile(Read(dram=10, spm=7, inner=3, dims=((500, 2), (40, 3), (5, 4))))
    machine.dram[:] = counting(4096)
    machine.run()
    expected = [
        machine.dram[10 + 500 * i + 40 * j + 5 * k :][:3]
        for i in range(2)
        for j in range(3)
        for k in range(4)
    ]
    assert machine.spm[0][7 : 7 + 72].tolist() == np.concatenate(expected).tolist()
    assert machine.spm[0][79] == 0xFF


def test_write_spreads_and_leaves_the_gaps() -> None:
    machine = one_tile(Write(spm=3, dram=100, inner=2, dims=((10, 2), (3, 3))))
    machine.spm[0][:100] = counting(100)
    machine.run()
    gap = 0xFF
    assert machine.dram[99:120].tolist() == [
        *(gap, 3, 4, gap, 5, 6, gap, 7, 8, gap, gap),
        *(9, 10, gap, 11, 12, gap, 13, 14, gap, gap),
    ]


def test_move_reads_all_before_it_writes() -> None:
    machine = one_tile(Move(src=0, dst=2, inner=2, dims=((2, 2, 5),)))
    machine.spm[0][:20] = counting(20)
    machine.run()
    assert machine.spm[0][:14].tolist() == [0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13]


def test_move_transposes_elements() -> None:
    a = np.arange(15, dtype=np.int32).reshape(3, 5)
    machine = one_tile(Move(src=0, dst=400, inner=4, dims=((20, 4, 3), (4, 12, 5))))
    put(machine.spm[0], 0, a)
    machine.run()
    assert get(machine.spm[0], 400, "i32", 5, 3).tolist() == a.T.tolist()


@pytest.mark.parametrize(
    ("fmt", "value", "stored"),
    [
        ("f16", 1.0002, 1.0),
        ("bf16", -2.5, -2.5),
        ("f32", 0.1, float(np.float32(0.1))),
        ("tf32", 1 + 2**-11, 1.0),
        ("i8", -3.0, -3),
        ("u8", 300.0, 255),
        ("i32", 2.0**31, 2**31 - 1),
        ("i64", 2.0**53, 2**53),
        ("bool", 2.0, True),
    ],
)
def test_fill_writes_copies_rounded_to_the_format(fmt: str, value: float, stored: float) -> None:
    machine = one_tile(Fill(dst=5, fmt=fmt, count=3, value=value))
    machine.run()
    found = get(machine.spm[0], 5, fmt, 3)
    assert found.tolist() == [stored] * 3
    assert machine.spm[0][5 + found.nbytes] == 0xFF
    assert machine.spm[0][4] == 0xFF


def test_select_keeps_the_target_where_the_mask_is_zero() -> None:
    machine = one_tile(Select(mask=0, src=100, dst=200, element=4, count=4))
    put(machine.spm[0], 0, np.array([0, 1, 0, 255], np.uint8))
    put(machine.spm[0], 100, np.array([1, 2, 3, 4], np.int32))
    put(machine.spm[0], 200, np.array([10, 20, 30, 40], np.int32))
    machine.run()
    assert get(machine.spm[0], 200, "i32", 4).tolist() == [10, 2, 30, 4]


def test_send_gathers_and_lands_compact_on_every_target_the_sender_too() -> None:
    send = Send(src=0, dst=1, inner=2, targets=(0, 2), flag=4, dims=((3, 3),))
    machine = Machine(program([Arm(4), send], [], [Arm(4)]))
    machine.spm[0][:9] = counting(9)
    machine.run()
    assert machine.spm[0][:8].tolist() == [0, 0, 1, 3, 4, 6, 7, 7]
    assert machine.spm[2][:8].tolist() == [255, 0, 1, 3, 4, 6, 7, 255]
    assert set(machine.spm[1].tolist()) == {255}
    assert [tile.counters for tile in machine.tiles] == [{4: 1}, {}, {4: 1}]
    assert [tile.armed for tile in machine.tiles] == [{4: 0}, {}, {4: 0}]


def test_pick_reads_the_place_whose_number_stands_in_dram() -> None:
    machine = one_tile(Pick(dram=100, index=8, spm=7, inner=3, step=50, entries=4, dims=((10, 2),)))
    machine.dram[:] = counting(4096)
    put(machine.dram, 8, np.array([3], np.int64))
    machine.run()
    assert machine.spm[0][7:13].tolist() == [250, 0, 1, 9, 10, 11]


@pytest.mark.parametrize("number", [-1, 4])
def test_pick_refuses_a_number_that_has_no_place(number: int) -> None:
    machine = one_tile(Pick(dram=100, index=8, spm=7, inner=3, step=50, entries=4))
    put(machine.dram, 8, np.array([number], np.int64))
    with pytest.raises(IllegalCommand, match=f"entry {number}; there are 4, from 0 on"):
        machine.run()
