"""Mapping to Program: each piece is lowered, barriers go in where tiles depend on each other, loops are rolled."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, zip_longest
from typing import TypeGuard

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.graph.lazy import Held, derive
from drawloom.mapping.layout.contents import stored_bytes
from drawloom.mapping.layout.site import storages_in
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.pieces import (
    CopyPiece,
    CpuPiece,
    FlashPiece,
    MatrixPiece,
    NormPiece,
    Piece,
    PoolPiece,
    StripPiece,
)
from drawloom.program.addresses import addresses, dram_fields
from drawloom.program.commands import Address, Command, Loop, Stream
from drawloom.program.fetch import Streams, fetched
from drawloom.program.lower import copy, cpu, flash, matrix, norm, pair, pool, strip
from drawloom.program.lower.context import Context
from drawloom.program.program import Program, Region
from drawloom.program.roll import Steps, roll
from drawloom.program.streams import Extent, StreamSet

Used = tuple[tuple[Extent, ...], tuple[Extent, ...]]  # scratchpad: buffers, what tiles hold
Clock = Callable[[Program], Sequence[Sequence[int]]]
PARTS = slice(1), slice(1, None)  # of the extents of a piece
LOWER: dict[type[Piece], Callable[..., None]] = {
    MatrixPiece: matrix.lower,
    StripPiece: strip.lower,
    PoolPiece: pool.lower,
    CopyPiece: copy.lower,
    CpuPiece: cpu.lower,
    FlashPiece: flash.lower,
    NormPiece: norm.lower,
}


def assemble(mapping: Mapping, clock: Clock | None = None) -> Program:
    """Return the program that carries out a mapping.

    Args:
        mapping: which tile does what.
        clock: tells when the commands of a program without loops end. With it constants are read
            before the pieces that use them, where DRAM has the time.
    """
    chip = mapping.chip
    layers = {node.name: node.layer or node.name for node in mapping.graph.nodes}
    context = Context(chip, StreamSet(chip.n_tiles), layers)
    steps = partial(_steps, *_stepped(mapping))
    parts: list[tuple[Stream, ...]] = []
    done = 0
    for repeat in mapping.repeats:
        parts.append(_part(context, mapping.pieces[done : repeat.first]))
        parts.append(_loop(context, mapping.pieces[repeat.first : repeat.end], repeat.count, steps))
        done = repeat.end
    used = _lower(context, mapping.pieces[done:])
    stages = [(at, *each) for at, each in zip(context.streams.starts(), _alive(used), strict=True)]
    last = context.streams.take()
    # What repeats reads its weights as a stream: there is no time to spare.
    waits = clock is not None and not mapping.repeats
    parts.append(tuple(map(tuple if waits else roll, last)))
    data = tuple(
        (storage.address, _image(storage, mapping.constants[storage.address]))
        for storage in mapping.storages
        if storage.kind == "constant"
    )
    regions = tuple(
        Region(s.value, s.kind, s.address, s.bytes, s.dtype.value, s.shape)
        for s in mapping.storages
        if s.kind in ("input", "output")
    )
    program = Program(
        name=mapping.graph.name,
        chip=chip.name,
        blocking=chip.blocking,
        scratchpad_bytes=chip.scratchpad.bytes,
        dram_bytes=mapping.dram_bytes,
        regions=regions,
        data=data,
        streams=tuple(tuple(chain.from_iterable(part)) for part in zip(*parts, strict=True)),
        origins=tuple(context.origins),
        notes=mapping.notes,
    )
    if clock is None or not waits:
        return program
    constants = _constants(mapping)
    made = fetched(chip, last, stages, constants, partial(_timed, program, clock))
    return replace(program, streams=tuple(map(roll, made)))


def _timed(program: Program, clock: Clock, streams: Streams) -> Sequence[Sequence[int]]:
    """Return when each command of each tile ends, of a program with these commands instead of its own."""
    return clock(replace(program, streams=tuple(map(tuple, streams))))


def _constants(mapping: Mapping) -> list[Extent]:
    """Return the bytes of DRAM that nobody writes: the first, and the one behind the last."""
    found = (s for s in mapping.storages if s.kind == "constant")
    return sorted((s.address, s.address + s.bytes) for s in found)


def _part(context: Context, pieces: Sequence[Piece]) -> tuple[Stream, ...]:
    """Return each tile's stream for pieces that run once."""
    _lower(context, pieces)
    return tuple(map(roll, context.streams.take()))


def _alive(used: Sequence[Used]) -> list[Used]:
    """Return the buffers of each part, and what tiles hold while it runs: for itself or for later ones.

    What is held stays from the first part to the last that knows its address, by whatever name.
    """
    known: dict[int, tuple[int, int, int]] = {}  # by address: end, first and last part
    for at, (_, held) in enumerate(used):
        for low, high in held:
            end, first, _ = known.get(low, (high, at, at))
            known[low] = max(end, high), first, at
    return [
        (own, tuple((low, end) for low, (end, first, last) in known.items() if first <= at <= last))
        for at, (own, _) in enumerate(used)
    ]


def _loop(
    context: Context, pieces: Sequence[Piece], count: int, steps: Steps
) -> tuple[Stream, ...]:
    """Return each tile's stream for pieces that run over and over: a loop, and what goes before."""
    origin = context.origin(pieces[0].name, pieces[0].nodes[0])
    context.streams.meet(origin)
    before = context.streams.take()
    _lower(context, pieces)
    context.streams.meet(origin)
    return tuple(
        (*first, Loop(count, roll(commands, steps)))
        for first, commands in zip(before, context.streams.take(), strict=True)
    )


def _lower(context: Context, pieces: Sequence[Piece]) -> list[Used]:
    """Write the commands of pieces; return what each part of them uses: a copy behind a filling has two."""
    used: list[Used] = []
    for piece, following in zip_longest(pieces, pieces[1:]):
        extents = [_extents(piece)]
        if isinstance(piece, MatrixPiece) and piece.beside:
            continue  # it was written with the one before
        if isinstance(piece, MatrixPiece) and _is_beside(following):
            pair.lower(piece, following, context)
            extents.append(_extents(following))
        else:
            LOWER[type(piece)](piece, context)
        origin = context.origin(piece.name, piece.nodes[0])
        context.streams.close_piece(origin, tuple(chain.from_iterable(extents)))
        own, held = (tuple(chain.from_iterable(e[at] for e in extents)) for at in PARTS)
        used += [(own, held)] * (len(context.streams.starts()) - len(used))
    return used


def _is_beside(piece: Piece | None) -> TypeGuard[MatrixPiece]:
    return isinstance(piece, MatrixPiece) and piece.beside


def _extents(piece: Piece) -> tuple[Extent, ...]:
    """Return the scratchpad that a piece uses: from its first buffer to the end of its last, and residents."""
    if isinstance(piece, CpuPiece) or not piece.buffers:
        return ()
    buffers = piece.buffers.values()
    ends = (buffer.address + buffer.copies * buffer.bytes for buffer in buffers)
    held = {(s.address, s.address + s.held_bytes) for s in storages_in(piece) if s.per_tile}
    return ((min(buffer.address for buffer in buffers), max(ends)), *sorted(held))


def _stepped(mapping: Mapping) -> tuple[list[int], list[Storage]]:
    """Return the storages that a repetition steps through, by address."""
    found = sorted((s for s in mapping.storages if s.step), key=lambda s: s.address)
    return [s.address for s in found], found


def _steps(starts: list[int], stepped: list[Storage], command: Command) -> tuple[int, ...]:
    """Return how far each address of a command advances from one repetition to the next."""
    kinds = dram_fields(command)
    if True not in kinds:
        return (0,) * len(kinds)
    return tuple(
        _step(starts, stepped, address) if in_dram else 0
        for address, in_dram in zip(addresses(command), kinds, strict=True)
    )


def _step(starts: list[int], stepped: list[Storage], address: Address) -> int:
    assert isinstance(address, int), address
    at = bisect_right(starts, address) - 1
    if at < 0 or address >= stepped[at].address + stepped[at].step:
        return 0
    return stepped[at].step


def _image(storage: Storage, values: Held) -> Held:
    """Return the bytes that stand in DRAM for a constant."""
    kind = TensorType(DType.U8, (storage.bytes,))
    return derive(values, partial(stored_bytes, storage), kind)
