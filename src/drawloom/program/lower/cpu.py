"""CPU pieces: one tile's processor works on dense values in DRAM."""

from __future__ import annotations

from drawloom.mapping.pieces import CpuPiece
from drawloom.mapping.storage import Storage
from drawloom.program.commands import AttrValue, Cpu, Operand
from drawloom.program.lower.context import Context


def lower(piece: CpuPiece, context: Context) -> None:
    """Write the one command of a CPU piece, on tile 0."""
    origin = context.origin(piece.name, piece.nodes[0])
    stream = context.streams.tiles[0]
    stream.join_all(origin)
    ins = tuple(_operand(s) if s is not None else None for s in piece.ins)
    outs = tuple(_operand(s) for s in piece.outs)
    attrs: list[tuple[str, AttrValue]] = []
    for key, value in sorted(piece.attrs.items()):
        attrs.append((key, int(value) if isinstance(value, bool) else value))  # type: ignore[arg-type]
    stream.add(Cpu(piece.op, ins, outs, tuple(attrs), origin))


def _operand(storage: Storage) -> Operand:
    assert storage.layout == "dense", storage
    return Operand("dram", storage.address, storage.dtype.value, storage.shape)
