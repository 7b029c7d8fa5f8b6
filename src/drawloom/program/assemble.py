"""Mapping to Program: each piece is lowered, barriers go in where tiles depend on each other, loops are rolled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.graph.lazy import Held, derive
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.pieces import CopyPiece, CpuPiece, MatrixPiece, Piece, PoolPiece, StripPiece
from drawloom.mapping.storage import Storage, stored_bytes
from drawloom.program.lower import copy, cpu, matrix, pool, strip
from drawloom.program.lower.context import Context
from drawloom.program.program import Program, Region
from drawloom.program.roll import roll
from drawloom.program.streams import StreamSet

LOWER: dict[type[Piece], Callable[..., None]] = {
    MatrixPiece: matrix.lower,
    StripPiece: strip.lower,
    PoolPiece: pool.lower,
    CopyPiece: copy.lower,
    CpuPiece: cpu.lower,
}


def assemble(mapping: Mapping) -> Program:
    """Return the program that carries out a mapping."""
    chip = mapping.chip
    layers = {node.name: node.layer or node.name for node in mapping.graph.nodes}
    context = Context(chip, StreamSet(chip.n_tiles), layers)
    for piece in mapping.pieces:
        LOWER[type(piece)](piece, context)
        context.streams.close_piece(context.origin(piece.name, piece.nodes[0]))
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
    return Program(
        name=mapping.graph.name,
        chip=chip.name,
        blocking=chip.blocking,
        scratchpad_bytes=chip.scratchpad.bytes,
        dram_bytes=mapping.dram_bytes,
        regions=regions,
        data=data,
        streams=tuple(roll(stream.commands) for stream in context.streams.tiles),
        origins=tuple(context.origins),
        notes=mapping.notes,
    )


def _image(storage: Storage, values: Held) -> Held:
    """Return the bytes that stand in DRAM for a constant."""
    kind = TensorType(DType.U8, (storage.bytes,))
    return derive(values, partial(stored_bytes, storage), kind)
