"""Copy pieces: affine rearrangements from DRAM through the scratchpads to DRAM."""

from __future__ import annotations

from dataclasses import replace

from drawloom.mapping.pieces import Atom, CopyPiece, CopyRun
from drawloom.program.commands import Fill, Read, Write
from drawloom.program.lower.context import Context

LEVELS = 3
LEAST = 4096  # bytes: what is no larger is not cut for the sake of tiles without work
SHARES = 3  # of all that is copied: what is larger than a tile's part of a share is cut
LATENCY = 3072  # bytes that a tile would read in the latency of a command


def lower(piece: CopyPiece, context: Context) -> None:
    """Write a copy piece's commands; work is dealt out over the tiles by its outer levels."""
    origin = context.origin(piece.name, piece.nodes[0])
    buffer = piece.buffers["copy"]
    turn = 0
    n_tiles = context.chip.n_tiles
    for target, value in piece.fill:
        size = target.dtype.bytes
        count, room = target.bytes // size, buffer.bytes // size
        for start in range(0, count, room):
            stream = context.streams.tiles[turn % n_tiles]
            n = min(room, count - start)
            stream.add(Fill(buffer.at(turn // n_tiles), target.dtype.value, n, value, origin))
            place = target.address + start * size
            stream.add(Write(buffer.at(turn // n_tiles), place, n * size, (), origin))
            turn += 1
    if piece.fill:
        context.streams.close_piece(origin)
    load, turns = [0] * n_tiles, [-(-turn // n_tiles)] * n_tiles
    # Each command has a latency: of many runs a tile has parts of a few.
    share = sum(_bytes(run, piece.element) for run in piece.runs) // (SHARES * n_tiles)
    for run in piece.runs:
        for part in _parts(run, piece.element, buffer.bytes, n_tiles, max(share, LEAST)):
            tile = min(range(n_tiles), key=lambda each: load[each])
            load[tile] += _bytes(part, piece.element) + LATENCY
            for command in _commands(part, piece.element, buffer.at(turns[tile]), origin):
                context.streams.tiles[tile].add(command)
            turns[tile] += 1


def _bytes(run: CopyRun, element: int) -> int:
    n = element
    for atom in run.atoms:
        n *= atom.count
    return n


def _parts(run: CopyRun, element: int, room: int, n_tiles: int, least: int) -> list[CopyRun]:
    """Cut a run by its outer levels until the parts fit the buffer and the command and feed all tiles."""
    parts = [run]
    while True:
        size = max(_bytes(part, element) for part in parts)
        deep = max(_levels(part, element) for part in parts) > LEVELS
        few = len(parts) < n_tiles and size > least
        if size <= room and not deep and not few:
            return parts
        if not parts[0].atoms:
            return parts
        parts = [
            cut for part in parts for cut in _cut(part, element, room, n_tiles, len(parts), deep)
        ]


def _cut(
    run: CopyRun, element: int, room: int, n_tiles: int, have: int, deep: bool
) -> list[CopyRun]:
    """Cut the outermost level: one by one when the run has too many levels, else into a few."""
    atom, rest = run.atoms[0], run.atoms[1:]
    pieces = atom.count
    if not deep or len(run.atoms) == 1:
        fit = -(-_bytes(run, element) // room)
        pieces = min(atom.count, max(2, fit, -(-n_tiles // have)))
    size = -(-atom.count // pieces)
    out: list[CopyRun] = []
    for start in range(0, atom.count, size):
        count = min(size, atom.count - start)
        atoms = (Atom(count, atom.src, atom.dst), *rest) if count > 1 else rest
        out.append(
            replace(
                run, src=run.src + start * atom.src, dst=run.dst + start * atom.dst, atoms=atoms
            )
        )
    return out


def _inner(run: CopyRun, element: int, side: str) -> tuple[int, list[tuple[int, int]]]:
    """Contiguous bytes on one side, and the strided levels left (stride, count), outermost first."""
    levels = [(atom.src if side == "src" else atom.dst, atom.count) for atom in run.atoms]
    inner = element
    while levels and levels[-1][0] == inner:
        inner *= levels.pop()[1]
    merged: list[tuple[int, int]] = []
    for stride, count in levels:
        if merged and merged[-1][0] == stride * count:
            merged[-1] = (stride, merged[-1][1] * count)
        else:
            merged.append((stride, count))
    return inner, merged


def _levels(run: CopyRun, element: int) -> int:
    return max(len(_inner(run, element, side)[1]) for side in ("src", "dst"))


def _commands(run: CopyRun, element: int, spm: int, origin: int) -> tuple[Read, Write]:
    inner, dims = _inner(run, element, "src")
    out_inner, out_dims = _inner(run, element, "dst")
    return (
        Read(run.source.address + run.src, spm, inner, tuple(dims), origin),
        Write(spm, run.target.address + run.dst, out_inner, tuple(out_dims), origin),
    )
