"""Packets over shared links: what they must take, what they share, lanes that are taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawloom.timing.packets import NONE, Floats, Links, Packets, delivered

Row = tuple[int, float, float, tuple[int, ...]]  # source, ready, size, links (lanes are the same)


def packets(rows: Sequence[Row]) -> Packets:
    longest = max(len(each[3]) for each in rows)
    paths = np.array([[*each[3], *[NONE] * (longest - len(each[3]))] for each in rows])
    source, ready, size = (np.array([each[i] for each in rows]) for i in range(3))
    return Packets(source, ready.astype(float), size.astype(float), paths, paths)


def send(rows: Sequence[Row], rates: Sequence[float], places: int = 4, at_once: int = 1) -> Floats:
    n_sources = max(each[0] for each in rows) + 1
    links = Links(
        np.array(rates), np.full(len(rates), places), np.full(n_sources, at_once, np.int64)
    )
    return delivered(packets(rows), links)


def test_a_packet_alone_takes_its_bytes_over_the_slowest_link() -> None:
    assert send([(0, 5, 96, (0, 1, 2))], [32, 16, 32]).tolist() == [11]


def test_a_source_sends_in_order() -> None:
    rows = [(0, 0, 64, (0,)), (0, 0, 64, (0,)), (0, 10, 32, (0,))]
    assert send(rows, [32]).tolist() == [2, 4, 11]


def test_two_sources_share_a_link_and_the_rest_is_the_others() -> None:
    rows = [(0, 0, 32, (0, 2)), (1, 0, 64, (1, 2))]
    assert send(rows, [32, 32, 32]).tolist() == [2, 3]
    # The first is bound by its own port; the second has what is left.
    assert send(rows, [8, 32, 32]).tolist() == pytest.approx([4, 64 / 24])


def test_a_source_may_send_more_than_one_at_a_time() -> None:
    rows = [(0, 0, 64, (0, 1)), (0, 0, 64, (0, 2))]
    assert send(rows, [32, 16, 16], at_once=1).tolist() == [4, 8]
    assert send(rows, [32, 16, 16], at_once=2).tolist() == [4, 4]


def test_who_waits_for_a_lane_keeps_the_lanes_behind_it() -> None:
    # 0 holds link 2; 1 waits for it and holds link 1, so that 2 waits although its way is free.
    rows = [(0, 0, 320, (0, 2)), (1, 1, 32, (1, 2)), (2, 2, 32, (1, 3))]
    alone = send(rows, [32] * 4, places=1)
    assert alone.tolist() == [10, 11, 12]
    beside = send(rows, [32] * 4, places=2)
    assert beside[2] < 5


def test_free_lanes_go_to_ways_in_by_turns() -> None:
    rows = [
        (0, 0, 32, (0, 3)),
        (1, 0, 32, (1, 3)),
        (1, 0, 32, (1, 3)),
        (2, 0, 32, (2, 3)),
        (2, 0, 32, (2, 3)),
    ]
    done = send(rows, [32] * 4, places=1)
    assert np.argsort(done).tolist() == [0, 1, 3, 2, 4]


def test_a_circle_of_waits_is_our_bug() -> None:
    # 2 holds back both others; let go, 0 has link 2 and waits for 1, which 1 holds and waits for 2.
    rows: list[Row] = [(0, 1, 64, (0, 2, 1)), (1, 1, 64, (1, 2, 0)), (2, 0, 64, (2,))]
    with pytest.raises(AssertionError, match="circle"):
        send(rows, [32] * 3, places=1)


paths = st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
many = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(1, 500), paths),
    min_size=1,
    max_size=30,
)


@given(many, st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None)
def test_no_link_is_outrun_and_no_packet_early(drawn: list[Row], places: int, at_once: int) -> None:
    rows = sorted(drawn, key=lambda each: (each[0], each[1]))
    numbers = {source: i for i, source in enumerate(dict.fromkeys(each[0] for each in rows))}
    rows = [(numbers[each[0]], *each[1:]) for each in rows]
    done = send(rows, [16.0] * 6, places, at_once)
    for link in range(6):
        over = [i for i, each in enumerate(rows) if link in each[3]]
        if over:
            first = min(rows[i][1] for i in over)
            total = sum(rows[i][2] for i in over)
            assert max(done[i] for i in over) >= first + total / 16 - 1e-6
    for each, end in zip(rows, done, strict=True):
        assert end >= each[1] + each[2] / 16 - 1e-6


@given(many)
@settings(deadline=None)
def test_links_twice_as_fast_and_packets_ready_at_once_take_half(drawn: list[Row]) -> None:
    rows = [(each[0], 0.0, *each[2:]) for each in sorted(drawn, key=lambda each: each[0])]
    numbers = {source: i for i, source in enumerate(dict.fromkeys(each[0] for each in rows))}
    rows = [(numbers[each[0]], *each[1:]) for each in rows]
    slow, fast = send(rows, [16.0] * 6), send(rows, [32.0] * 6)
    np.testing.assert_allclose(slow, 2 * fast, rtol=1e-6)
