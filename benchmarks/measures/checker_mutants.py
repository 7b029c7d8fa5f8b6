"""Faults planted in programs, one at a time: what people leave out, swap or get wrong by a little.

Each kind is a function of a program and a random number generator; it returns the program with one fault, or None
where the place it drew does not offer one. Streams are flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from random import Random
from typing import Any

from drawloom.program.addresses import address_fields
from drawloom.program.commands import (
    Arm,
    Barrier,
    Command,
    Conv,
    Fill,
    Join,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Vector,
    Wait,
    Write,
)
from drawloom.program.extents import touched
from drawloom.program.program import Program

Kind = Callable[[Program, Random], Program | None]
Kinds = type | tuple[type, ...]
WORK = (Read, Pick, Write, Move, Fill, Select, MatMul, Conv, Vector, Reduce, Pool)
BEFORE = (Barrier, Wait, Join)
STEPS = (2, 16, 64, 256, 1024, 4096)  # bytes by which an address is off
FORMATS = {
    "f16": ("bf16",),
    "bf16": ("f16",),
    "f32": ("f16", "i32"),
    "i8": ("u8",),
    "i32": ("f32",),
}


# --- what a stream is changed with ---


def _sites(program: Program, kinds: Kinds) -> list[tuple[int, int]]:
    """Where commands of some kinds stand: tile and place."""
    return [
        (tile, place)
        for tile, stream in enumerate(program.streams)
        for place, item in enumerate(stream)
        if isinstance(item, kinds)
    ]


def _draw(program: Program, rng: Random, kinds: Kinds) -> tuple[int, int, Any] | None:
    sites = _sites(program, kinds)
    if not sites:
        return None
    tile, place = rng.choice(sites)
    return tile, place, program.streams[tile][place]


def _with(program: Program, tile: int, stream: list[Any]) -> Program:
    streams = list(program.streams)
    streams[tile] = tuple(stream)
    return replace(program, streams=tuple(streams))


def _put(program: Program, tile: int, place: int, *new: Command) -> Program:
    stream = list(program.streams[tile])
    stream[place : place + 1] = new
    return _with(program, tile, stream)


def _carry(program: Program, tile: int, place: int, to: int) -> Program | None:
    """Move a command to another place of its stream."""
    stream = list(program.streams[tile])
    if to == place or not 0 <= to < len(stream):
        return None
    stream.insert(to, stream.pop(place))
    return _with(program, tile, stream)


def _drop(kinds: Kinds) -> Kind:
    def mutate(program: Program, rng: Random) -> Program | None:
        drawn = _draw(program, rng, kinds)
        return drawn and _put(program, drawn[0], drawn[1])

    return mutate


# --- what orders commands ---


def _weaken_join(program: Program, rng: Random) -> Program | None:
    """Let one more command, or an engine, go on behind a join."""
    drawn = _draw(program, rng, Join)
    if drawn is None:
        return None
    tile, place, join = drawn
    if rng.random() < 0.5 and len(join.engines) > 1:
        left = list(join.engines)
        left.pop(rng.randrange(len(left)))
        return _put(program, tile, place, replace(join, engines=tuple(left)))
    return _put(program, tile, place, replace(join, keep=join.keep + 1))


def _lose_barrier(program: Program, rng: Random) -> Program | None:
    """Leave a barrier out on all its tiles."""
    drawn = _draw(program, rng, Barrier)
    if drawn is None:
        return None
    tile, place, barrier = drawn
    number = sum(item == barrier for item in program.streams[tile][:place])
    for other in barrier.tiles:
        places = [i for i, item in enumerate(program.streams[other]) if item == barrier]
        if number >= len(places):
            return None
        program = _put(program, other, places[number])
    return program


def _shift_barrier(program: Program, rng: Random) -> Program | None:
    """Move a barrier some commands up or down on one tile."""
    drawn = _draw(program, rng, Barrier)
    if drawn is None:
        return None
    tile, place, _ = drawn
    return _carry(program, tile, place, place + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8)))


def _few_at_barrier(program: Program, rng: Random) -> Program | None:
    """Leave a tile out of one tile's list of a barrier."""
    drawn = _draw(program, rng, Barrier)
    if drawn is None or len(drawn[2].tiles) < 3:
        return None
    tile, place, barrier = drawn
    others = [t for t in barrier.tiles if t != tile]
    out = rng.choice(others)
    left = tuple(t for t in barrier.tiles if t != out)
    return _put(program, tile, place, replace(barrier, tiles=left))


def _late_arm(program: Program, rng: Random) -> Program | None:
    """Arm behind the barrier or wait that should have told the sender."""
    drawn = _draw(program, rng, Arm)
    if drawn is None:
        return None
    tile, place, _ = drawn
    stream = program.streams[tile]
    behind = [i for i in range(place + 1, len(stream)) if isinstance(stream[i], (Barrier, Wait))]
    return _carry(program, tile, place, behind[0]) if behind else None


def _early_send(program: Program, rng: Random) -> Program | None:
    """Send before the barrier, wait or join in front of it."""
    drawn = _draw(program, rng, Send)
    if drawn is None:
        return None
    tile, place, _ = drawn
    stream = program.streams[tile]
    front = [i for i in range(place) if isinstance(stream[i], BEFORE)]
    return _carry(program, tile, place, front[-1]) if front else None


def _swap_send_arm(program: Program, rng: Random) -> Program | None:
    return rng.choice((_late_arm, _early_send))(program, rng)


def _wrong_flag(program: Program, rng: Random) -> Program | None:
    drawn = _draw(program, rng, (Send, Arm, Wait))
    if drawn is None:
        return None
    tile, place, command = drawn
    return _put(program, tile, place, replace(command, flag=command.flag ^ rng.choice((1, 2, 4))))


def _wrong_count(program: Program, rng: Random) -> Program | None:
    """Wait for one arrival more or fewer."""
    drawn = _draw(program, rng, Wait)
    if drawn is None:
        return None
    tile, place, wait = drawn
    count = wait.count + rng.choice((-1, 1))
    return _put(program, tile, place, replace(wait, count=count)) if count > 0 else None


def _wrong_target(program: Program, rng: Random) -> Program | None:
    """Send to one tile fewer, or to another."""
    drawn = _draw(program, rng, Send)
    if drawn is None:
        return None
    tile, place, send = drawn
    left = list(send.targets)
    which = rng.randrange(len(left))
    others = [n for n in range(len(program.streams)) if n not in left]
    if others and (len(left) == 1 or rng.random() < 0.5):
        left[which] = rng.choice(others)
    elif len(left) > 1:
        left.pop(which)
    else:
        return None
    return _put(program, tile, place, replace(send, targets=tuple(sorted(left))))


def _reorder(program: Program, rng: Random) -> Program | None:
    """Swap a command with the one after it."""
    drawn = _draw(program, rng, object)
    return drawn and _carry(program, drawn[0], drawn[1], drawn[1] + 1)


def _early_load(program: Program, rng: Random) -> Program | None:
    """Move a load ahead of what still uses the bytes that it fills."""
    drawn = _draw(program, rng, (Read, Pick))
    if drawn is None:
        return None
    tile, place, load = drawn
    stream = program.streams[tile]
    low, high = _range(load.spm, touched(load, program.blocking)[1])
    found: list[int] = []
    for at in range(place - 1, -1, -1):
        spans = [s for part in touched(_item(stream[at]), program.blocking) for s in part]
        if any(s[0] == "spm" and _meets(s, low, high) for s in spans):
            found.append(at)
    return (
        _carry(program, tile, place, found[min(len(found) - 1, rng.randrange(3))])
        if found
        else None
    )


def _item(item: Any) -> Command:
    return item


def _range(first: Any, spans: list[tuple[str, Any, int]]) -> tuple[int, int]:
    return first, first + spans[0][2]


def _meets(span: tuple[str, Any, int], low: int, high: int) -> bool:
    return span[1] < high and low < span[1] + span[2]


# --- where commands work ---


def _places(command: Command, *, dram: bool) -> list[str]:
    names = address_fields(type(command))
    return [
        n for n in names if (n in ("dram", "index")) == dram and getattr(command, n) is not None
    ]


def _shifted(program: Program, rng: Random, by: int, *, dram: bool) -> Program | None:
    drawn = _draw(program, rng, (Read, Pick, Write) if dram else (*WORK, Send))
    if drawn is None:
        return None
    tile, place, command = drawn
    name = rng.choice(_places(command, dram=dram))
    at = getattr(command, name) + by
    return _put(program, tile, place, replace(command, **{name: at})) if at >= 0 else None


def _shift_address(program: Program, rng: Random) -> Program | None:
    return _shifted(program, rng, rng.choice(STEPS) * rng.choice((-1, 1)), dram=False)


def _shift_dram(program: Program, rng: Random) -> Program | None:
    return _shifted(program, rng, rng.choice(STEPS) * rng.choice((-1, 1)), dram=True)


def _misalign(program: Program, rng: Random) -> Program | None:
    """Move an operand of the matrix engine, a reduction or a pool off its line."""
    drawn = _draw(program, rng, (MatMul, Conv, Reduce, Pool))
    if drawn is None:
        return None
    tile, place, command = drawn
    name = rng.choice(_places(command, dram=False))
    at = getattr(command, name) + rng.choice((2, 4, 8, 32, 64, 128))
    return _put(program, tile, place, replace(command, **{name: at}))


def _outside(program: Program, rng: Random) -> Program | None:
    """Reach past the end of a scratchpad or of DRAM, or before it."""
    if rng.random() < 0.3:
        return _shifted(program, rng, rng.choice((-1, 1)) * program.dram_bytes, dram=True)
    by = program.scratchpad_bytes - rng.choice((0, 2, 256))
    return _shifted(program, rng, by, dram=False)


def _other_operand(program: Program, rng: Random) -> Program | None:
    """Give a command the address of a neighbour's operand."""
    drawn = _draw(program, rng, WORK)
    if drawn is None:
        return None
    tile, place, command = drawn
    near = program.streams[tile][max(0, place - 12) : place + 12]
    pool = sorted({getattr(c, n) for c in map(_item, near) for n in _places(c, dram=False)})
    name = rng.choice(_places(command, dram=False))
    at = rng.choice(pool)
    if at == getattr(command, name):
        return None
    return _put(program, tile, place, replace(command, **{name: at}))


def _shrink_buffer(program: Program, rng: Random) -> Program | None:
    """Let all that lies above some buffer of a tile begin too low, for a span of the stream."""
    drawn = _draw(program, rng, WORK)
    if drawn is None:
        return None
    tile, _, command = drawn
    name = rng.choice(_places(command, dram=False))
    edge, by = getattr(command, name), rng.choice((64, 256, 1024))
    if edge < by:
        return None
    stream: list[Command] = []
    for item in map(_item, program.streams[tile]):
        names = _places(item, dram=False)
        moved = {n: getattr(item, n) - by for n in names if getattr(item, n) >= edge}
        stream.append(replace(item, **moved) if moved else item)
    return _with(program, tile, stream)


# --- what commands do ---

SIZES: Mapping[type, tuple[str, ...]] = {
    Read: ("inner",),
    Pick: ("inner",),
    Write: ("inner",),
    Move: ("inner",),
    Send: ("inner",),
    Fill: ("count",),
    Select: ("count",),
    Vector: ("count",),
    MatMul: ("m", "k", "n"),
    Conv: ("h", "w", "c", "oc"),
    Reduce: ("h", "w", "c"),
    Pool: ("h", "w", "c"),
}


def _wrong_size(program: Program, rng: Random) -> Program | None:
    """Make a size, or the count of a level, a little larger or smaller."""
    drawn = _draw(program, rng, (*WORK, Send))
    if drawn is None:
        return None
    tile, place, command = drawn
    dims = getattr(command, "dims", ())
    if dims and rng.random() < 0.5:
        which = rng.randrange(len(dims))
        level = (*dims[which][:-1], dims[which][-1] + rng.choice((-1, 1)))
        if level[-1] < 1:
            return None
        new = (*dims[:which], level, *dims[which + 1 :])
        return _put(program, tile, place, replace(command, dims=new))
    name = rng.choice(SIZES[type(command)])
    size = getattr(command, name)
    step = rng.choice((1, 2, 16, max(1, size // 2)))
    size += rng.choice((-step, step))
    return _put(program, tile, place, replace(command, **{name: size})) if size > 0 else None


def _wrong_layout(program: Program, rng: Random) -> Program | None:
    """Take an operand for its transpose, swap height and width, or miss a stride."""
    drawn = _draw(program, rng, (Read, Pick, Write, Move, Send, MatMul, Conv, Reduce, Pool))
    if drawn is None:
        return None
    tile, place, c = drawn
    match c:
        case MatMul():
            name = rng.choice(("trans_a", "trans_b"))
            new = replace(c, **{name: not getattr(c, name)})
        case Conv() | Pool() | Reduce():
            new = (
                replace(c, h=c.w, w=c.h)
                if c.h != c.w
                else replace(c, h=c.h * 2, c=max(1, c.c // 2))
            )
        case _:
            if not c.dims:
                return None
            which = rng.randrange(len(c.dims))
            level = list(c.dims[which])
            level[rng.randrange(len(level) - 1)] += rng.choice((-256, -64, -2, 2, 64, 256))
            new = replace(c, dims=(*c.dims[:which], tuple(level), *c.dims[which + 1 :]))
    return _put(program, tile, place, new) if new != c else None


def _wrong_format(program: Program, rng: Random) -> Program | None:
    """Take numbers of one format for numbers of another."""
    drawn = _draw(program, rng, (MatMul, Conv, Vector, Reduce, Pool, Fill))
    if drawn is None:
        return None
    tile, place, command = drawn
    names = [f.name for f in fields(command) if f.name in ("fmt", "out_fmt")]
    name = rng.choice(names)
    others = FORMATS.get(getattr(command, name), ())
    if not others:
        return None
    return _put(program, tile, place, replace(command, **{name: rng.choice(others)}))


MUTATIONS: Mapping[str, Kind] = {
    "drop a join": _drop(Join),
    "weaken a join": _weaken_join,
    "drop a wait": _drop(Wait),
    "wait for another count": _wrong_count,
    "drop a barrier on one tile": _drop(Barrier),
    "drop a barrier": _lose_barrier,
    "shift a barrier": _shift_barrier,
    "miss a tile at a barrier": _few_at_barrier,
    "drop an arm": _drop(Arm),
    "swap a send and an arm": _swap_send_arm,
    "drop a send": _drop(Send),
    "take another flag": _wrong_flag,
    "send to another tile": _wrong_target,
    "drop a command": _drop(WORK),
    "swap two commands": _reorder,
    "reuse a buffer too early": _early_load,
    "shrink a buffer": _shrink_buffer,
    "shift a scratchpad address": _shift_address,
    "shift a DRAM address": _shift_dram,
    "take another operand": _other_operand,
    "reach outside": _outside,
    "misalign an operand": _misalign,
    "take a wrong size": _wrong_size,
    "take a wrong layout": _wrong_layout,
    "take a wrong format": _wrong_format,
}


def mutants(kind: str, program: Program, seed: str) -> Iterator[Program]:
    """Yield mutants of a kind without end, or none where a program offers no place for it."""
    rng = Random(seed)
    failures = 0
    while failures < 200:
        mutant = MUTATIONS[kind](program, rng)
        if mutant is None or mutant.streams == program.streams:
            failures += 1
            continue
        failures = 0
        yield mutant
