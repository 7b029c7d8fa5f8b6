"""CPU pieces: tile processors work on dense values in DRAM.

A gather of whole rows is shared out over all tiles, as are the entries of a batch that are
written into a cache; other work is done by tile 0.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.pieces import CpuPiece
from drawloom.program.commands import AttrValue, Cpu, Operand
from drawloom.program.lower.context import Context
from drawloom.units import ceil_div


def lower(piece: CpuPiece, context: Context) -> None:
    """Write the commands of a CPU piece."""
    origin = context.origin(piece.name, piece.nodes[0])
    ins = tuple(_operand(s) if s is not None else None for s in piece.ins)
    outs = tuple(_operand(s) for s in piece.outs)
    attrs: list[tuple[str, AttrValue]] = []
    for key, value in sorted(piece.attrs.items()):
        assert not isinstance(value, tuple) or not any(isinstance(v, str) for v in value)
        attrs.append((key, int(value) if isinstance(value, bool) else value))  # pyright: ignore[reportArgumentType]
    whole = Cpu(piece.op, ins, outs, tuple(attrs), origin)
    for tile, command in enumerate(_shares(whole, context.chip.n_tiles)):
        stream = context.streams.tiles[tile]
        stream.join_all(origin)
        stream.add(command)


def _shares(command: Cpu, n_tiles: int) -> list[Cpu]:
    """Cut a gather of whole rows by its indices, a scatter by its batch; leave anything else whole."""
    if command.op == "TensorScatter":
        return _by_batch(command, n_tiles)
    if command.op != "Gather" or dict(command.attrs).get("axis", 0) != 0:
        return [command]
    table, indices = command.ins
    assert table is not None
    assert indices is not None
    count, row = prod(indices.shape), table.shape[1:]
    share = ceil_div(max(1, count), n_tiles)
    out: list[Cpu] = []
    for start in range(0, count, share):
        n = min(share, count - start)
        mine = _rows(indices, start, n, ())
        out.append(
            replace(command, ins=(table, mine), outs=(_rows(command.outs[0], start, n, row),))
        )
    return out


def _by_batch(command: Cpu, n_tiles: int) -> list[Cpu]:
    """Cut a command whose operands all begin with the batch, as far as there is one."""
    batch = command.outs[0].shape[0]
    share = ceil_div(max(1, batch), n_tiles)

    def part(operand: Operand | None, start: int) -> Operand | None:
        if operand is None:
            return None
        return _rows(operand, start, min(share, batch - start), operand.shape[1:])

    return [
        replace(
            command,
            ins=tuple(part(operand, start) for operand in command.ins),
            outs=tuple(o for operand in command.outs if (o := part(operand, start))),
        )
        for start in range(0, max(1, batch), share)
    ]


def _rows(operand: Operand, start: int, count: int, row: tuple[int, ...]) -> Operand:
    assert isinstance(operand.address, int)
    step = prod(row) * FORMAT_BYTES[operand.fmt]
    return replace(operand, address=operand.address + start * step, shape=(count, *row))


def _operand(storage: Storage) -> Operand:
    assert storage.layout == "dense", storage
    return Operand("dram", storage.address, storage.dtype.value, storage.shape)
