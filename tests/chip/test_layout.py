"""The channel-blocked layout: packing and unpacking are inverse, and ``offset`` says where."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawloom.chip.layout import Blocked, pack, unpack
from drawloom.chip.model import Blocking
from drawloom.units import Bytes

BLOCKING = Blocking(block=64, block_8bit=128, min_tail=4, align=Bytes(256))
DTYPES = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

shapes = st.builds(
    Blocked,
    blocking=st.builds(
        Blocking,
        block=st.sampled_from([16, 64]),
        block_8bit=st.sampled_from([32, 128]),
        min_tail=st.sampled_from([1, 4, 8]),
        align=st.sampled_from([Bytes(1), Bytes(256)]),
    ),
    batch=st.integers(0, 3),
    rows=st.integers(0, 4),
    channels=st.integers(0, 200),
    element=st.sampled_from([1, 2, 4, 8]),
)


def numbered(blocked: Blocked) -> np.ndarray:
    """Values of which neighbours differ in every byte that the element has."""
    n = blocked.batch * blocked.rows * blocked.channels
    values = (np.arange(1, n + 1, dtype=np.uint64) * 0x9E3779B97F4A7C15).view(np.uint64)
    return values.astype(DTYPES[blocked.element]).reshape(
        blocked.batch, blocked.rows, blocked.channels
    )


@given(shapes)
def test_unpack_undoes_pack(blocked: Blocked) -> None:
    values = numbered(blocked)
    raw = pack(blocked, values)
    assert raw.size == blocked.bytes
    np.testing.assert_array_equal(unpack(blocked, raw, values.dtype), values)


@given(shapes, st.data())
def test_offset_is_where_pack_puts_an_element(blocked: Blocked, data: st.DataObject) -> None:
    values = numbered(blocked)
    if values.size == 0:
        return
    at = tuple(data.draw(st.integers(0, size - 1)) for size in values.shape)
    start = blocked.offset(*at)
    raw = pack(blocked, values)[start : start + blocked.element]
    assert raw.view(values.dtype)[0] == values[at]


@given(shapes)
def test_no_two_elements_share_a_byte_and_all_lie_inside(blocked: Blocked) -> None:
    starts = [
        blocked.offset(b, r, c)
        for b in range(min(blocked.batch, 2))
        for r in range(min(blocked.rows, 2))
        for c in range(blocked.channels)
    ]
    ordered = sorted(starts)
    assert all(b - a >= blocked.element for a, b in pairwise(ordered))
    assert not ordered or ordered[-1] + blocked.element <= blocked.bytes


@given(shapes)
def test_padding_is_less_than_the_data_or_the_smallest_tail(blocked: Blocked) -> None:
    rest = blocked.channels % blocked.block
    assert rest <= blocked.tail <= max(2 * rest, blocked.blocking.min_tail if rest else 0)


@given(shapes)
def test_batches_start_at_the_alignment(blocked: Blocked) -> None:
    assert blocked.step % blocked.blocking.align == 0
    assert blocked.step >= blocked.matrix_bytes


@pytest.mark.parametrize(
    ("element", "rest", "tail"),
    [
        *((2, 0, 0), (2, 1, 4), (2, 4, 4), (2, 5, 8), (2, 9, 16), (2, 17, 32), (2, 32, 32)),
        *((2, 33, 64), (2, 63, 64), (4, 3, 4), (4, 33, 64)),
        *((1, 1, 4), (1, 33, 64), (1, 64, 64), (1, 65, 128), (1, 127, 128)),
    ],
)
def test_tails_are_padded_as_the_chip_does(element: int, rest: int, tail: int) -> None:
    full = BLOCKING.of(element)
    assert BLOCKING.tail(rest, element) == tail
    assert BLOCKING.tail(3 * full + rest, element) == tail
    assert BLOCKING.width(3 * full + rest, element) == 3 * full + tail


def test_a_small_array_byte_by_byte() -> None:
    blocking = Blocking(block=4, block_8bit=4, min_tail=2, align=Bytes(16))
    blocked = Blocked(blocking, batch=2, rows=2, channels=5, element=1)
    values = np.arange(1, 21, dtype=np.uint8).reshape(2, 2, 5)
    assert pack(blocked, values).tolist() == [
        *(1, 2, 3, 4, 6, 7, 8, 9, 5, 0, 10, 0, 0, 0, 0, 0),
        *(11, 12, 13, 14, 16, 17, 18, 19, 15, 0, 20, 0),
    ]
