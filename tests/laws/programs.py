"""What laws of programs are tried on: random commands and programs, valid in every field.

Addresses and sizes are small: what a command touches lies in the first ``SPM`` bytes of the
scratchpad and the first ``DRAM`` bytes of DRAM. Nothing is said about order: streams may race
or wait forever. ``commands(Read, MatMul)`` draws of some classes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Blocking
from drawloom.program.commands import (
    Address,
    Affine,
    Command,
    Conv,
    Engine,
    Loop,
    Operand,
    Pool,
    Reduce,
    Stream,
    Vector,
)
from drawloom.program.fields import COMMANDS
from drawloom.program.program import Origin, Program, Region
from drawloom.program.vector_ops import BINARY_OPS, UNARY_OPS
from drawloom.units import Bytes

SPM = DRAM = 1 << 20
N_TILES = 3
BLOCKING = Blocking(block=64, block_8bit=128, min_tail=4, align=Bytes(256))

WORDS = st.text(max_size=8) | st.sampled_from(["conv1", "layers.0/attn", "a b", "#1", ";", '"'])
SIZES = st.integers(1, 16)
COUNTS = st.integers(0, 16)
STEPS = st.integers(0, 64).map(lambda n: 16 * n)
FORMATS = st.sampled_from(sorted(FORMAT_BYTES))
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 1e-5])
FLAGS = st.integers(0, 63)
TILES = st.integers(0, N_TILES - 1)
TILE_SETS = st.lists(TILES, min_size=1, unique=True).map(tuple)
SCALARS = st.integers(-(1 << 63), (1 << 63) - 1) | FLOATS | WORDS | st.booleans()


def pairs(low: int, high: int, n: int = 2) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(low, high)] * n)


def levels(n_strides: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    level = st.tuples(*[STEPS] * n_strides, st.integers(0, 4))
    return st.lists(level, max_size=3).map(tuple)


def addresses(loops: Sequence[int]) -> st.SearchStrategy[Address]:
    """Return addresses that stay within 0 and 512 KiB in the given loops."""
    plain = st.integers(0, 1 << 12).map(lambda n: 64 * n)
    if not loops:
        return plain

    def moving(base: int, strides: list[int]) -> Address:
        below = sum(min(0, s) * max(0, n - 1) for s, n in zip(strides, loops, strict=False))
        return Affine(base - below, tuple(strides))

    stride = st.integers(-64, 64).map(lambda n: 16 * n)
    strides = st.lists(stride, min_size=1, max_size=len(loops))
    return plain | st.builds(moving, plain, strides)


def operands(loops: Sequence[int]) -> st.SearchStrategy[Operand]:
    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
    return st.builds(Operand, st.sampled_from(["spm", "dram"]), addresses(loops), FORMATS, shapes)


BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("m", "k", "n", "h", "w", "c", "oc", "element", "batch", "entries"), SIZES),
    **dict.fromkeys(("a_step", "b_step", "dst_step", "psum_step", "step"), STEPS),
    **dict.fromkeys(("fmt", "out_fmt"), FORMATS),
    **dict.fromkeys(("trans_a", "trans_b", "depthwise", "count_pad"), st.booleans()),
    **dict.fromkeys(("kh", "kw"), st.integers(1, 3)),
    **dict.fromkeys(("strides", "dilations"), pairs(1, 2)),
    **dict.fromkeys(("targets", "tiles"), TILE_SETS),
    **dict.fromkeys(("count", "keep", "unit"), COUNTS),
    "pads": pairs(2, 4, 4),
    "inner": st.integers(0, 256),
    "flag": FLAGS,
    "target": TILES,
    "chip": st.integers(-1, 3),
    "value": FLOATS,
    "scalar": FLOATS,
    "axis": st.sampled_from(["c", "w", "h", "hw"]),
    "engines": st.lists(st.sampled_from(list(Engine)), min_size=1, unique=True).map(tuple),
    "op": WORDS,
}
OPS = {
    Vector: st.sampled_from(UNARY_OPS + BINARY_OPS),
    Reduce: st.sampled_from(["sum", "max", "min"]),
    Pool: st.sampled_from(["max", "min", "avg"]),
}


@cache
def _one(kind: type[Command], loops: tuple[int, ...], n_origins: int) -> st.SearchStrategy[Command]:
    where, operand = addresses(loops), operands(loops)
    attrs = st.dictionaries(
        WORDS, SCALARS | st.lists(SCALARS, max_size=3).map(tuple), max_size=3
    ).map(lambda d: tuple(d.items()))
    special = {
        "Address": where,
        "Address | None": st.none() | where,
        "tuple[Operand | None, ...]": st.lists(st.none() | operand, max_size=3).map(tuple),
        "tuple[Operand, ...]": st.lists(operand, max_size=2).map(tuple),
        "tuple[tuple[str, AttrValue], ...]": attrs,
        "Dims": levels(1),
        "tuple[tuple[int, int, int], ...]": levels(2),
    }
    named = BY_NAME | {"origin": st.integers(-1, n_origins - 1), "op": OPS.get(kind, WORDS)}
    values = {f.name: special.get(str(f.type), named.get(f.name)) for f in fields(kind)}
    assert None not in values.values(), kind
    return st.builds(kind, **values).map(_fitting)


def commands(
    *kinds: type[Command], loops: tuple[int, ...] = (), n_origins: int = 0
) -> st.SearchStrategy[Command]:
    """Return commands that stand in the given loops (their counts)."""
    return st.sampled_from(kinds or tuple(COMMANDS.values())).flatmap(
        lambda kind: _one(kind, loops, n_origins)
    )


def _fitting(command: Command) -> Command:
    """Return the command with its fields made to agree with each other."""
    if isinstance(command, Conv) and command.depthwise:
        return replace(command, oc=command.c)
    if isinstance(command, Vector):
        if command.op in UNARY_OPS:
            return replace(command, b=None, scalar=None, unit=0)
        if command.b is None:
            return replace(command, scalar=command.scalar, unit=0)
        return replace(command, scalar=None)
    return command


@st.composite
def streams(
    draw: st.DrawFn,
    *kinds: type[Command],
    loops: tuple[int, ...] = (),
    n_origins: int = 0,
    depth: int = 3,
) -> Stream:
    """Return commands and loops of them, up to ``depth`` deep."""
    items: list[Command | Loop] = []
    for _ in range(draw(st.integers(0, 3))):
        if len(loops) < depth and draw(st.integers(0, 3)) == 0:
            count = draw(st.integers(0, 4))
            inner = (*loops, count)
            body = draw(streams(*kinds, loops=inner, n_origins=n_origins, depth=depth))
            items.append(Loop(count, body))
        else:
            items.append(draw(commands(*kinds, loops=loops, n_origins=n_origins)))
    return tuple(items)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    kind = draw(st.sampled_from(["input", "output", "constant", "temporary"]))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    given = [] if kind == "input" else [""]
    fmt = draw(st.sampled_from([*given, *FORMAT_BYTES]))
    return Region(draw(WORDS), kind, draw(st.integers(0, 1 << 12)), 1 << 12, fmt, shape)


@st.composite
def data(draw: st.DrawFn) -> tuple[int, np.ndarray]:
    raw = draw(st.binary(max_size=100))
    return draw(st.integers(0, DRAM - 100)), np.frombuffer(raw, np.uint8)


@st.composite
def programs(draw: st.DrawFn, *kinds: type[Command]) -> Program:
    """Return a program of ``N_TILES`` tiles, some with equal streams."""
    origins = tuple(draw(st.lists(st.builds(Origin, WORDS, WORDS, WORDS), max_size=3)))
    stream = streams(*kinds, n_origins=len(origins))
    first = draw(stream)
    return Program(
        name=draw(WORDS),
        chip=draw(WORDS),
        blocking=BLOCKING,
        scratchpad_bytes=SPM,
        dram_bytes=DRAM,
        regions=tuple(draw(st.lists(regions(), max_size=3))),
        data=tuple(draw(st.lists(data(), max_size=3))),
        streams=tuple(first if draw(st.booleans()) else draw(stream) for _ in range(N_TILES)),
        origins=origins,
        notes=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
    )
