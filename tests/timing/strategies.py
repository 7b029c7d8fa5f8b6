"""Random programs that never hang, for the laws of this room.

Addresses are few and small, so that byte ranges often conflict. Tiles meet in rounds in which
all of them say the same of who sends what to whom, so that nobody waits for ever.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hypothesis import strategies as st
from tests.timing.building import Item, program

from drawloom.program.commands import (
    Affine,
    Arm,
    Barrier,
    Command,
    Cpu,
    Engine,
    Fill,
    Join,
    Loop,
    MatMul,
    Move,
    Operand,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.program import Program

SIZES = st.sampled_from((64, 256, 1000, 4096))
FORMATS = st.sampled_from(("f16", "f32", "i8"))
LOCAL_ENGINES = (Engine.MATRIX, Engine.VECTOR, Engine.READ, Engine.WRITE, Engine.MOVE, Engine.SEND)


@cache
def addresses(depth: int) -> st.SearchStrategy[int | Affine]:
    """Return addresses inside 16 KiB, some of which move with the loops around them."""
    plain = st.sampled_from(range(0, 1 << 14, 512))
    strides = st.tuples(*[st.sampled_from((0, 256, 4096))] * depth)
    return st.one_of(plain, st.builds(Affine, plain, strides)) if depth else plain


@cache
def moves(depth: int) -> st.SearchStrategy[Command]:
    """Return commands that carry bytes within a tile and between it and DRAM."""
    at, origin = addresses(depth), st.integers(-1, 1)
    runs = st.sampled_from((4, 32, 2048))
    strided = st.sampled_from(((), ((8192, 3),)))
    gathers = st.sampled_from(((), ((64, 32, 20),)))
    return st.one_of(
        st.builds(Read, at, at, SIZES, strided, origin),
        st.builds(Write, at, at, SIZES, strided, origin),
        st.builds(Move, at, at, runs, gathers, origin),
        st.builds(Fill, at, FORMATS, SIZES, st.just(0.0), origin),
        st.builds(Select, at, at, at, st.just(2), SIZES, origin),
    )


@cache
def computes(depth: int) -> st.SearchStrategy[Command]:
    """Return commands of the matrix and the vector engine."""
    at, origin = addresses(depth), st.integers(-1, 1)
    size = st.sampled_from((1, 64, 100))
    f16 = st.just("f16")
    psum = st.sampled_from((None, 8192))
    pool = Pool("max", 0, 0, 4, 4, 64, 2, 2, (2, 2), (0, 0, 0, 0), (1, 1), "f16")
    reduce = Reduce("sum", 0, 0, 4, 4, 64, "hw", "f16", "f32")
    return st.one_of(
        st.builds(MatMul, at, at, at, size, size, size, FORMATS, f16, psum, origin=origin),
        st.builds(Vector, st.just("add"), at, at, SIZES, FORMATS, f16, at, origin=origin),
        st.builds(Vector, st.just("exp"), at, at, SIZES, f16, f16, origin=origin),
        st.builds(replace, st.sampled_from((pool, reduce)), src=at, dst=at, origin=origin),
    )


@cache
def joins() -> st.SearchStrategy[Command]:
    """Return joins of one or two engines."""
    engines = st.lists(st.sampled_from(LOCAL_ENGINES), min_size=1, max_size=2, unique=True)
    return st.builds(Join, engines.map(tuple), st.integers(0, 2))


@cache
def local(depth: int) -> st.SearchStrategy[Command]:
    """Return commands that concern one tile and DRAM."""
    return st.one_of(moves(depth), computes(depth), joins())


@cache
def streams(depth: int = 0) -> st.SearchStrategy[tuple[Item, ...]]:
    """Return a few commands, some of them in loops."""
    item: st.SearchStrategy[Item] = local(depth)
    if depth < 2:
        loop = st.builds(Loop, st.integers(0, 3), streams(depth + 1))
        item = st.one_of(item, item, loop)
    return st.lists(item, max_size=4).map(tuple)


@st.composite
def rounds(draw: st.DrawFn, n_tiles: int) -> list[tuple[Item, ...]]:
    """Return, for every tile, its part in one exchange."""
    tiles = tuple(range(n_tiles))
    sender = draw(st.integers(0, n_tiles - 1))
    targets = tuple(draw(st.lists(st.sampled_from(tiles), min_size=1, max_size=4, unique=True)))
    how = draw(st.integers(0, 3))
    if how == 0:
        return [(Barrier(tiles),) for _ in tiles]
    if how == 1:
        operand = Operand("dram", 0, "f32", (draw(st.integers(1, 99)),))
        work = Cpu("TopK", (operand, None), (Operand("spm", 0, "f32", (7,)),), origin=0)
        signal = tuple(Signal(target, 7) for target in targets)
        return [
            ((work, *signal) if tile == sender else ()) + ((Wait(7),) if tile in targets else ())
            for tile in tiles
        ]
    n = draw(SIZES)
    parts: list[tuple[Item, ...]] = []
    for tile in tiles:
        part: list[Item] = [Arm(3)] if tile in targets else []
        part.append(Barrier(tiles))
        if tile == sender:
            part.append(Send(0, 8192, n, targets, 3, origin=1))
        elif how == 3 and targets == tiles:
            part.append(Send(512, 4096, 64, (tile,), 4) if tile in targets else Join(()))
            part.insert(0, Arm(4))
        if tile in targets:
            part.append(Wait(3))
        parts.append(tuple(part))
    times = draw(st.integers(1, 2))
    return [(Loop(times, part),) for part in parts]


@st.composite
def programs(draw: st.DrawFn, exchanges: bool = True) -> Program:
    """Return a program of up to four tiles that comes to its end."""
    n_tiles = draw(st.integers(1, 4))
    tiles: list[list[Item]] = [list(draw(streams())) for _ in range(n_tiles)]
    for _ in range(draw(st.integers(0, 3)) if exchanges else 0):
        for tile, part in enumerate(draw(rounds(n_tiles))):
            tiles[tile] += [*part, *draw(streams())]
    return program(*tiles)
