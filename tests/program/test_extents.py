"""Spans cover what a command touches, whichever way its levels run."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drawloom.chip.files import load_chip
from drawloom.program.commands import Affine, Move, Read, Send, Write
from drawloom.program.extents import lowest, strided_bytes, touched

BLOCKING = load_chip("tx81").blocking
LEVELS = st.lists(st.tuples(st.integers(-64, 64), st.integers(1, 4)), max_size=3).map(tuple)


def reached(base: int, inner: int, dims: tuple[tuple[int, int], ...]) -> set[int]:
    starts = np.array([base])
    for stride, count in dims:
        starts = (starts[:, None] + stride * np.arange(count)).ravel()
    return {int(start) + i for start in starts for i in range(inner)}


@given(st.integers(1, 16), LEVELS)
def test_a_span_runs_from_the_lowest_to_the_highest_byte(inner: int, dims: tuple) -> None:
    bytes_ = reached(1000, inner, dims)
    start = lowest(1000, dims)
    assert isinstance(start, int)
    assert start == min(bytes_)
    assert start + strided_bytes(inner, dims) == max(bytes_) + 1


def test_addresses_that_move_keep_their_strides() -> None:
    assert lowest(Affine(100, (8,)), ((-4, 3),)) == Affine(92, (8,))


def test_every_strided_command_says_where_it_begins() -> None:
    back = ((-16, 3),)
    assert touched(Read(100, 0, 4, back), BLOCKING)[0] == [("dram", 68, 36)]
    assert touched(Write(0, 100, 4, back), BLOCKING)[1] == [("dram", 68, 36)]
    assert touched(Send(100, 0, 4, (1,), 0, back), BLOCKING)[0] == [("spm", 68, 36)]
    reads, writes = touched(Move(100, 200, 4, ((-16, 8, 3),)), BLOCKING)
    assert (reads, writes) == ([("spm", 68, 36)], [("spm", 200, 20)])
