"""Random programs that never hang, for the laws of this room.

Addresses are few and small, so that byte ranges often conflict. Tiles meet in rounds in which
all of them say the same of who sends what to whom, so that nobody waits for ever.
"""

from __future__ import annotations

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

    def pool(src: int | Affine, dst: int | Affine, origin: int) -> Command:
        sizes = (4, 4, 64, 2, 2, (2, 2), (0, 0, 0, 0), (1, 1))
        return Pool("max", src, dst, *sizes, "f16", origin=origin)

    def reduce(src: int | Affine, dst: int | Affine, origin: int) -> Command:
        return Reduce("sum", src, dst, 4, 4, 64, "hw", "f16", "f32", origin)

    return st.one_of(
        st.builds(MatMul, at, at, at, size, size, size, FORMATS, f16, psum, origin=origin),
        st.builds(Vector, st.just("add"), at, at, SIZES, FORMATS, f16, at, origin=origin),
        st.builds(Vector, st.just("exp"), at, at, SIZES, f16, f16, origin=origin),
        st.builds(pool, at, at, origin),
        st.builds(reduce, at, at, origin),
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
        loop = st.builds(Loop, st.sampled_from((0, 1, 3, 12)), streams(depth + 1))
        item = st.one_of(item, item, loop)
    return st.lists(item, max_size=4).map(tuple)


@st.composite
def works(draw: st.DrawFn, n_tiles: int) -> list[tuple[Item, ...]]:
    """Return a piece of work of one tile's processor that other tiles wait for."""
    worker = draw(st.integers(0, n_tiles - 1))
    told = draw(st.sets(st.integers(0, n_tiles - 1), min_size=1))
    operand = Operand("dram", 0, "f32", (draw(st.integers(1, 99)),))
    work = Cpu("TopK", (operand, None), (Operand("spm", 0, "f32", (7,)),), origin=0)
    signals = tuple(Signal(tile, 7) for tile in sorted(told))
    return [
        ((work, *signals) if tile == worker else ()) + ((Wait(7),) if tile in told else ())
        for tile in range(n_tiles)
    ]


@st.composite
def exchanges(draw: st.DrawFn, n_tiles: int) -> list[tuple[Item, ...]]:
    """Return, for every tile, its part in a round in which several tiles send at once."""
    tiles = range(n_tiles)
    some = st.lists(st.sampled_from(tiles), max_size=4, unique=True).map(tuple)
    targets = [draw(some) for _ in tiles]
    times = draw(st.integers(1, 2))
    parts: list[tuple[Item, ...]] = []
    for tile in tiles:
        due = sum(each.count(tile) for each in targets)
        n = draw(SIZES)
        send = (Send(0, 8192, n, targets[tile], 3, origin=1),) if targets[tile] else ()
        part = (*[Arm(3)] * due, Barrier(tuple(tiles)), *send, Wait(3, due))
        parts.append((Loop(times, part),))
    return parts


@st.composite
def programs(draw: st.DrawFn, alone: bool = False) -> Program:
    """Return a program of up to four tiles that comes to its end."""
    n_tiles = draw(st.integers(1, 4))
    tiles: list[list[Item]] = [list(draw(streams())) for _ in range(n_tiles)]
    for _ in range(0 if alone else draw(st.integers(0, 3))):
        meet = exchanges if draw(st.integers(0, 2)) else works
        for tile, part in enumerate(draw(meet(n_tiles))):
            tiles[tile] += [*part, *draw(streams())]
    return program(*tiles)
