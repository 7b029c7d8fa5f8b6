"""Reads and writes over one-way tori: ways, delays, what they share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.chip.noc import load_noc
from drawloom.timing.torus import Transfers, done_cycles, hops, steps

NOC = load_noc("wormhole")
PACKET = 32 * (1 + 4096 // 32)  # with its header


def transfers(
    rows: list[tuple[tuple[int, int], tuple[int, int], int]],
    network: int = 0,
    *,
    is_read: bool = True,
) -> Transfers:
    """Return transfers of 4096 bytes: tile, other, cycle."""
    count = len(rows)
    return Transfers(
        is_read=np.full(count, is_read),
        network=np.full(count, network),
        tile=np.array([each[0] for each in rows]),
        other=np.array([each[1] for each in rows]),
        size=np.full(count, 4096),
        issued=np.array([each[2] for each in rows]),
    )


def test_network_0_goes_right_then_down_and_round() -> None:
    assert [each[:3] for each in steps(NOC, 0, (8, 11), (0, 1))] == [
        ("x", 8, 11),
        ("x", 9, 11),
        ("y", 0, 11),
        ("y", 0, 0),
    ]
    assert [each[3] for each in steps(NOC, 0, (8, 11), (1, 1))] == [0, 0, 1, 0, 1]


def test_network_1_goes_up_then_left_and_round() -> None:
    assert [each[:3] for each in steps(NOC, 1, (1, 1), (9, 11))] == [
        ("y", 1, 1),
        ("y", 1, 0),
        ("x", 1, 11),
        ("x", 0, 11),
    ]


@pytest.mark.parametrize("network", [0, 1])
def test_hops_are_the_steps_and_both_ways_go_round(network: int) -> None:
    for start, end in (((1, 1), (4, 7)), ((8, 11), (0, 0)), ((3, 5), (3, 2)), ((2, 2), (2, 2))):
        assert hops(NOC, network, start, end) == len(list(steps(NOC, network, start, end)))
        there = hops(NOC, network, start, end)
        round_trip = there + hops(NOC, network, end, start)
        differs = (start[0] != end[0]) * NOC.columns + (start[1] != end[1]) * NOC.rows
        assert round_trip == differs


def test_a_read_alone_takes_both_ways_the_answer_and_its_flits() -> None:
    (done,) = done_cycles(NOC, transfers([((1, 1), (4, 1), 100)]))
    both_ways = 4 * NOC.port + NOC.hop * NOC.columns
    assert done == pytest.approx(100 + both_ways + NOC.answer + PACKET / NOC.port_rate)


def test_a_write_takes_as_long_and_memory_longer() -> None:
    read, write = (
        done_cycles(NOC, transfers([((1, 1), (4, 1), 0)], is_read=word)) for word in (True, False)
    )
    assert read == pytest.approx(write)
    (memory,) = done_cycles(NOC, transfers([((1, 1), (5, 1), 0)]))
    assert memory - read[0] == pytest.approx(NOC.memory_answer)


def test_a_tile_answers_one_at_a_time_and_memory_two_in_the_same_time() -> None:
    alone = done_cycles(NOC, transfers([((1, 1), (4, 1), 0)]))
    both = done_cycles(NOC, transfers([((1, 1), (4, 1), 0), ((1, 2), (4, 1), 0)]))
    assert max(both) > alone + 0.9 * PACKET / NOC.port_rate
    memory = done_cycles(NOC, transfers([((1, 1), (5, 1), 0), ((1, 2), (5, 1), 0)]))
    serial = done_cycles(
        replace(NOC, memory_answers=1), transfers([((1, 1), (5, 1), 0), ((1, 2), (5, 1), 0)])
    )
    assert max(memory) == pytest.approx(max(serial), abs=NOC.hop)
    assert min(memory) > min(serial)


def test_networks_share_nothing_and_links_are_shared() -> None:
    rows = [((4, y), (1, 1), 0) for y in (1, 2)] + [((4, y), (2, 1), 0) for y in (1, 2)]
    shared = done_cycles(NOC, transfers(rows))
    assert max(shared) > 4 * PACKET / NOC.flit  # all over the link from 2,1 to 3,1
    first, second = transfers(rows[:2]), transfers(rows[:2], network=1)
    joined = Transfers(
        *(np.concatenate([getattr(each, name) for each in (first, second)])
          for name in ("is_read", "network", "tile", "other", "size", "issued"))
    )  # fmt: skip
    np.testing.assert_allclose(
        done_cycles(NOC, joined),
        np.concatenate([done_cycles(NOC, first), done_cycles(NOC, second)]),
    )
