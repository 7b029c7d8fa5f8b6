"""Sends: routes, contention, multicast; signals and barriers."""

from __future__ import annotations

import pytest
from tests.timing.building import Item, chip, program

from drawloom.program.commands import Arm, Barrier, Send, Signal, Wait
from drawloom.timing import Trace, time
from drawloom.timing.routes import EAST, EJECT, INJECT, NORTH, SOUTH, WEST, link_name, route

# Tile ids of the 4 x 4 mesh: id = x * 4 + y.


def at(tile: int, which: int) -> int:
    return tile * 6 + which


def run(streams: dict[int, tuple[Item, ...]], profile: str = "lean") -> Trace:
    last = max(streams)
    return time(program(*(streams.get(tile, ()) for tile in range(last + 1))), chip(), profile)


def spans(trace: Trace, kind: type) -> dict[int, list[tuple[int, int]]]:
    """Start and end in ns of the commands of a kind, by tile."""
    found: dict[int, list[tuple[int, int]]] = {}
    for i, row in enumerate(trace.command):
        if isinstance(trace.table.commands[row], kind):
            span = int(trace.start_ps[i]) // 1000, int(trace.end_ps[i]) // 1000
            found.setdefault(int(trace.tile[i]), []).append(span)
    return found


def test_a_route_goes_along_x_first() -> None:
    there = route(chip(), 0, (9,))  # from (0, 0) to (2, 1)
    assert there.links == (at(0, EAST), at(4, EAST), at(8, SOUTH))
    assert set(there.resources) - set(there.links) == {at(0, INJECT), at(9, EJECT)}
    assert there.hops == 3
    back = route(chip(), 9, (0,))
    assert set(back.links) == {at(9, WEST), at(5, WEST), at(1, NORTH)}
    assert [link_name(chip(), link) for link in there.links] == ["0->4", "4->8", "8->9"]


def test_a_multicast_is_a_tree() -> None:
    tree = route(chip(), 0, (8, 9, 0))
    assert tree.links == (at(0, EAST), at(4, EAST), at(8, SOUTH))
    assert tree.hops == 3


def test_a_send_to_itself_holds_nothing() -> None:
    assert route(chip(), 5, (5,)).resources == ()


def test_a_send_pays_the_message_then_the_route() -> None:
    trace = run({0: (Send(0, 0, 8192, (9,), 0),), 9: (Arm(0), Wait(0))})
    # issue 50, message 200, 3 hops, 8192 bytes at 116.48 a cycle
    assert spans(trace, Send) == {0: [(50, 250 + 3 + 71)]}
    assert spans(trace, Wait) == {9: [(20, 324 + 20)]}
    assert trace.link_bytes() == {"0->4": 8192, "4->8": 8192, "8->9": 8192}


def test_a_tiles_first_message_may_cost_more() -> None:
    send = Send(0, 0, 8192, (1,), 0)
    trace = run({0: (send, send), 1: (Arm(0), Arm(0))}, "vendor")
    first, second = spans(trace, Send)[0]
    assert first[1] - first[0] == 10000 + 1 + 71
    assert second[1] - second[0] == 1420 + 1 + 71


def test_two_sends_over_one_link_take_turns() -> None:
    streams = {
        0: (Send(0, 0, 8192, (8,), 0),),
        4: (Send(0, 0, 8192, (12,), 0),),  # shares 4->8
        8: (Arm(0),),
        12: (Arm(0),),
    }
    found = spans(run(streams), Send)
    assert found[0] == [(50, 250 + 2 + 71)]
    assert found[4] == [(50, 250 + 2 + 71 + 2 + 71)]


def test_sends_on_different_links_overlap() -> None:
    streams = {
        0: (Send(0, 0, 8192, (4,), 0),),
        4: (Send(0, 0, 8192, (0,), 0), Arm(0)),
    }
    streams = {tile: (Arm(0), *stream[:1]) for tile, stream in streams.items()}
    found = spans(run(streams), Send)
    assert found == {0: [(70, 70 + 200 + 1 + 71)], 4: [(70, 70 + 200 + 1 + 71)]}


def test_two_sends_to_one_tile_share_its_port() -> None:
    streams = {
        1: (Send(0, 0, 8192, (0,), 0),),
        4: (Send(0, 0, 8192, (0,), 0),),
        0: (Arm(0), Arm(0)),
    }
    ends = [end for each in spans(run(streams), Send).values() for _, end in each]
    assert ends == [250 + 72, 250 + 72 + 72]


def test_a_free_route_may_overtake() -> None:
    streams = {
        0: (Send(0, 0, 1 << 16, (8,), 0),),  # holds 0->4 and 4->8 for long
        4: (Send(0, 0, 64, (8,), 0),),  # must wait
        5: (Send(0, 0, 64, (9,), 0),),  # need not
        8: (Arm(0), Arm(0)),
        9: (Arm(0),),
    }
    found = spans(run(streams), Send)
    assert found[5][0][1] < found[0][0][1] < found[4][0][1]


def test_a_multicast_reaches_all_at_once() -> None:
    targets = (1, 5, 10, 0)
    streams: dict[int, tuple[Item, ...]] = {each: (Arm(2), Wait(2)) for each in targets}
    streams[0] = (Arm(2), Send(0, 64, 1000, targets, 2), Wait(2))
    trace = run(streams)
    assert {end for each in spans(trace, Wait).values() for _, end in each} == {
        20 + 50 + 200 + 4 + 9 + 20
    }
    assert list(trace.link_bytes()) == ["0->4", "0->1", "4->8", "4->5", "8->9", "9->10"]
    assert trace.noc_byte_hops == 1000 * 6


def test_a_signal_travels_hop_by_hop() -> None:
    trace = run({0: (Signal(15, 1),), 15: (Wait(1),)})
    assert spans(trace, Wait) == {15: [(0, 50 + 6 + 20)]}
    assert spans(trace, Signal) == {0: [(0, 50)]}
    assert trace.spent_ps[15].tolist()[2] == 56_000


def test_a_wait_takes_its_count_off() -> None:
    signals = tuple(Signal(1, 0) for _ in range(5))
    trace = run({0: signals, 1: (Wait(0, 2), Wait(0, 3))})
    assert spans(trace, Wait) == {1: [(0, 101 + 20), (121, 251 + 20)]}


def test_a_barrier_lets_all_go_together() -> None:
    both = Barrier((0, 1))
    trace = run({0: (both, both), 1: (Signal(1, 0), Barrier((1, 0)), both)})
    assert spans(trace, Barrier) == {0: [(0, 250), (250, 450)], 1: [(50, 250), (250, 450)]}


@pytest.mark.parametrize("profile", ["lean", "vendor"])
def test_a_send_that_finds_its_target_armed_at_that_very_time_goes_through(profile: str) -> None:
    costs = chip().profiles[profile]
    arms = (Arm(0),) * ((costs.issue + costs.first_message) // costs.wait)
    trace = run({0: (Send(0, 0, 64, (1,), 9),), 1: (*arms[:-1], Arm(9))}, profile)
    assert spans(trace, Send)[0][0][1] == costs.issue + costs.first_message + 2
