"""DRAM shared as a fluid, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.timing.building import Item, chip, program, read, write

from drawloom.chip.model import Chip
from drawloom.errors import InputError
from drawloom.timing import Trace, time

GB = 10**9
N = 1 << 20
START = {"read": 50 + 320 + 1, "write": 50 + 230 + 1}  # ns: issue, latency, one run


def dram(**rates: int) -> Chip:
    return replace(chip(), dram=replace(chip().dram, **rates))


def ends(trace: Trace) -> dict[int, float]:
    """End of each tile's only command in nanoseconds."""
    pairs = zip(trace.tile, trace.end_ps, strict=True)
    return {int(tile): int(end) / 1000 for tile, end in pairs}


def run(machine: Chip, *streams: Item) -> dict[int, float]:
    return ends(time(program(*[(each,) for each in streams]), machine))


def test_one_tile_gets_no_more_than_its_port() -> None:
    fast = dram(read=200 * GB, port=100 * GB)
    assert run(fast, read(0, 0, N)) == {0: START["read"] + N / 100}


def test_one_tile_gets_no_more_than_the_memory_gives() -> None:
    slow = dram(write=50 * GB, port=100 * GB)
    assert run(slow, write(0, 0, N)) == {0: START["write"] + N / 50}


def test_readers_share_equally() -> None:
    machine = dram(read=100 * GB, port=100 * GB)
    assert run(machine, *[read(0, 0, N)] * 4) == dict.fromkeys(range(4), START["read"] + N / 25)


def test_who_is_left_gets_the_freed_share() -> None:
    machine = dram(read=100 * GB, port=100 * GB)
    first = START["read"] + N / 50
    assert run(machine, read(0, 0, N), read(0, 0, 2 * N)) == {0: first, 1: first + N / 100}


def test_who_comes_later_shares_what_is_left() -> None:
    machine = dram(read=100 * GB, write=100 * GB, port=100 * GB, combined=100 * GB)
    trace = run(machine, read(0, 0, N), write(0, 0, N))
    # The write flows alone for 90 ns, then both share; then the read's rest flows alone.
    second = START["read"] + (N - 9000) / 50
    assert trace == {1: second, 0: second + 9000 / 100}


def test_the_combined_limit_is_shared_equally() -> None:
    machine = dram(read=100 * GB, write=100 * GB, port=100 * GB, combined=100 * GB)
    trace = run(machine, *[read(0, 0, N)] * 3, write(0, 0, N))
    assert max(trace.values()) == pytest.approx(START["read"] + (4 * N - 90 * 100) / 100, abs=0.01)


def test_who_asks_for_less_than_an_equal_share_keeps_its_rate() -> None:
    machine = dram(read=20 * GB, write=100 * GB, port=100 * GB, combined=100 * GB)
    trace = run(machine, read(0, 0, N), write(0, 0, 8 * N))
    assert trace[0] == START["read"] + N / 20
    left = 8 * N - 90 * 100 - N / 20 * 80  # when the read is through
    assert trace[1] == pytest.approx(trace[0] + left / 100, abs=0.01)


def test_a_time_is_never_shorter_than_the_rate_allows() -> None:
    odd = dram(read=123_456_789_123, port=123_456_789_123)
    exact = START["read"] * 1000 + N * 10**12 / odd.dram.read
    found = run(odd, read(0, 0, N))[0] * 1000
    assert exact <= found <= exact * (1 + 1e-6) + 1


def test_a_memory_that_is_too_slow_to_count_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        run(dram(read=1000), read(0, 0, N))
    assert str(caught.value) == (
        "error[timing.chip]: the DRAM of chip 'tx81' is too slow\n"
        "  dram.read: 1000 B/s (at least 1 MB/s)"
    )
