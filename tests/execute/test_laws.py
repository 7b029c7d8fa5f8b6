"""Laws: strided transfers are NumPy's strided copies; a loop is its unrolled form."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.execute.building import one_tile, program

from drawloom.execute.machine import Machine
from drawloom.program.commands import Affine, Fill, Loop, Move, Read, Vector, Write
from drawloom.program.extents import moved_bytes

Dims = tuple[tuple[int, int], ...]


@st.composite
def spread(draw: st.DrawFn, inner: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    """Draw strides for which no two runs share a byte, innermost first made, in any order."""
    strides = [0] * len(counts)
    reach = inner
    for level in draw(st.permutations(range(len(counts)))):
        strides[level] = reach + draw(st.integers(0, 5))
        reach = strides[level] * (counts[level] - 1) + reach
    return tuple(strides)


@st.composite
def transfers(draw: st.DrawFn) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    inner = draw(st.integers(1, 9))
    counts = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    return inner, counts, draw(spread(inner, counts)), draw(spread(inner, counts))


def places(
    address: int, inner: int, strides: tuple[int, ...], counts: tuple[int, ...]
) -> np.ndarray:
    """Return the address of every byte of a strided access, in order."""
    found = np.array([address])
    for stride, count in zip(strides, counts, strict=True):
        found = (found[:, None] + stride * np.arange(count)).reshape(-1)
    return (found[:, None] + np.arange(inner)).reshape(-1)


@given(transfers(), st.integers(0, 30), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_read_then_write_is_a_strided_copy(
    transfer: tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    source: int,
    target: int,
    seed: int,
) -> None:
    inner, counts, apart, spread_out = transfer
    target += 1 << 14
    machine = one_tile(
        Read(source, 11, inner, tuple(zip(apart, counts, strict=True))),
        Write(11, target, inner, tuple(zip(spread_out, counts, strict=True))),
        dram=1 << 15,
    )
    machine.dram[:] = np.random.default_rng(seed).integers(0, 256, machine.dram.size, np.uint8)
    expected = machine.dram.copy()
    moved = places(source, inner, apart, counts)
    expected[places(target, inner, spread_out, counts)] = expected[moved]
    machine.run()
    assert np.array_equal(machine.dram, expected)
    assert moved.size == moved_bytes(inner, tuple(zip(apart, counts, strict=True)))


@given(transfers(), st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_move_is_a_strided_copy_even_onto_itself(
    transfer: tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    source: int,
    target: int,
    seed: int,
) -> None:
    inner, counts, apart, spread_out = transfer
    dims = tuple(zip(apart, spread_out, counts, strict=True))
    machine = one_tile(Move(source, target, inner, dims), spm=1 << 14)
    machine.spm[0][:] = np.random.default_rng(seed).integers(0, 256, 1 << 14, np.uint8)
    expected = machine.spm[0].copy()
    expected[places(target, inner, spread_out, counts)] = machine.spm[0][
        places(source, inner, apart, counts)
    ]
    machine.run()
    assert np.array_equal(machine.spm[0], expected)


@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.tuples(st.integers(-20, 40), st.integers(-20, 40)),
)
def test_a_loop_is_its_unrolled_form(
    outer: int, inner: int, first: tuple[int, int], second: tuple[int, int]
) -> None:
    source, target = Affine(100, first), Affine(400, second)
    body = (Read(source, target, 8), Vector("add", target, target, 2, "i32", "i32", scalar=1.0))
    after = Fill(Affine(300, first), "i8", 1, 5.0)  # strides of loops it does not stand in
    looped = Machine(program([Loop(outer, (Loop(inner, body), after))]))
    flat = []
    for i in range(outer):
        for j in range(inner):
            at = source.at((i, j)), target.at((i, j))
            flat += [Read(*at, 8), Vector("add", at[1], at[1], 2, "i32", "i32", scalar=1.0)]
        flat.append(Fill(300 + first[0] * i, "i8", 1, 5.0))
    unrolled = Machine(program(flat))
    for machine in (looped, unrolled):
        machine.dram[:] = np.arange(machine.dram.size) % 253
        machine.run()
    assert np.array_equal(looped.spm[0], unrolled.spm[0])
