"""Loops of which some turns tell all: what is in a turn repeats, up to a shift of what moves in DRAM.

A loop that all tiles turn as often, behind a fence (a join of every engine, then a barrier of all tiles) and ending in
one, orders all of a turn before all of the next, so nothing races across turns. What a turn finds then depends on what
lies where when it begins: whether bytes were written, in which format, what came to which flag. Here is decided, before
the walk, whether turns are alike as far as addresses go: scratchpads are touched at the same ones, spans of DRAM that
move by different strides never meet where one writes, and nothing leaves DRAM. ``repeats`` looks at what lies there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drawloom.check.code import Flat
from drawloom.check.memory import all_spans, merged, reach_of
from drawloom.check.state import Ints
from drawloom.check.templates import BARRIER, DRAM, ENGINES, HULL, JOIN, LOOP, SPACE, WRITES
from drawloom.program.commands import Engine
from drawloom.program.program import Program

LEAST_TURNS = 4
LEAST_SAVED = 20_000  # commands that must be saved for a loop to be looked at
_NONE = np.zeros((0, 3), np.int64)
_MOVERS = {k for k, engine in enumerate(ENGINES) if engine is not Engine.CPU}


@dataclass(frozen=True, slots=True)
class Shared:
    """A loop that all tiles turn together.

    Attributes:
        heads: its first row on each tile; ``ends`` its last.
        count: its turns.
        reads: what it reads at addresses that move: first byte at the first turn, bytes, bytes it moves by.
    """

    heads: tuple[int, ...]
    ends: tuple[int, ...]
    count: int
    reads: Ints


def repeating(program: Program, flat: Flat) -> list[Shared]:
    """Return the loops whose turns may tell of each other, as far as DRAM goes."""
    n_tiles = len(program.streams)
    often = flat.often()
    found: list[Shared] = []
    for loop in _shared(flat, n_tiles):
        body = sum(int(often[h + 1 : e].sum()) for h, e in zip(loop.heads, loop.ends, strict=True))
        saved = body // loop.count * (loop.count - LEAST_TURNS + 1)
        table = _moving(program, flat, loop) if saved >= LEAST_SAVED else None
        if table is not None:
            reads = table[(table[:, 3] == 0) & (table[:, 2] != 0)]
            found.append(replace(loop, reads=reads[:, :3]))
    return found


def _shared(flat: Flat, n_tiles: int) -> Iterator[Shared]:
    """Yield outer loops that all tiles have, as often, in one sequence, between fences."""
    rows, starts = flat.code.rows, flat.code.starts
    outer: list[list[int]] = []
    for tile in range(n_tiles):
        found: list[int] = []
        row = int(starts[tile])
        heads = np.flatnonzero(rows[row : starts[tile + 1], 0] == LOOP) + row
        for head in heads.tolist():
            if head >= row:
                found.append(head)
                row = int(rows[head, 1]) + 1
        outer.append(
            [
                head
                for head in found
                if rows[head, 3] >= LEAST_TURNS
                and _is_fence(flat, head, n_tiles)
                and _is_fence(flat, int(rows[head, 1]), n_tiles)
            ]
        )
    if len({len(found) for found in outer}) != 1:
        return
    for heads in zip(*outer, strict=True):
        if len({int(rows[head, 3]) for head in heads}) == 1:
            yield Shared(
                heads, tuple(int(rows[h, 1]) for h in heads), int(rows[heads[0], 3]), _NONE
            )


def _is_fence(flat: Flat, row: int, n_tiles: int) -> bool:
    """Whether a row follows a join of every engine and a barrier of all tiles."""
    rows = flat.code.rows
    if row < 2 or rows[row - 1, 0] != BARRIER or rows[row - 2, 0] != JOIN:
        return False
    barrier, join = (flat.templates[int(rows[row - k, 1])] for k in (1, 2))
    return barrier.tiles == tuple(range(n_tiles)) and not join.count and {*join.tiles} >= _MOVERS


def _moving(program: Program, flat: Flat, loop: Shared) -> Ints | None:
    """Return what a turn touches in DRAM: first byte, bytes, bytes it moves by, writes; None where turns differ."""
    code = flat.code
    rows, spans = all_spans(code)
    inside = np.zeros(len(code.rows), bool)
    for head, end in zip(loop.heads, loop.ends, strict=True):
        inside[head:end] = True
    mine = inside[rows]
    rows, spans = rows[mine], spans[mine]
    in_dram = (code.spans[spans, SPACE] == DRAM) & (code.spans[spans, HULL] > 0)
    low, size, stride = reach_of(flat, rows, spans)
    writes = code.spans[spans, WRITES]
    if stride[~in_dram].any() or _is_torn(rows, stride, in_dram & (writes == 1)):
        return None
    table = np.unique(np.column_stack((low, size, stride, writes))[in_dram], axis=0)
    if not len(table):
        return table
    last = table[:, 0] + (loop.count - 1) * table[:, 2]
    ends = np.maximum(table[:, 0], last) + table[:, 1]
    if np.minimum(table[:, 0], last).min() < 0 or ends.max() > program.dram_bytes:
        return None
    strides = np.unique(table[:, 2]).tolist()
    return table if all(_is_apart(table, one, loop.count) for one in strides) else None


def _is_torn(rows: Ints, stride: Ints, writes: NDArray[np.bool_]) -> bool:
    """Whether a command writes to DRAM at addresses that move by different strides."""
    pairs = np.unique(np.column_stack((rows, stride))[writes], axis=0)
    return len(pairs) != len(np.unique(pairs[:, 0]))


def _at_turns(table: Ints, count: int) -> Ints:
    """Return ranges at each turn; first byte and byte behind the last."""
    turns = np.arange(count)
    low = (table[:, 0] + turns[:, None] * table[:, 2]).reshape(-1)
    return np.column_stack((low, low + np.tile(table[:, 1], len(turns))))


def _meets(ranges: Ints, others: Ints) -> bool:
    """Whether any of some ranges meets one of others, which are sorted and apart."""
    if not len(ranges) or not len(others):
        return False
    k = np.minimum(np.searchsorted(others[:, 1], ranges[:, 0], side="right"), len(others) - 1)
    return bool(((others[k, 0] < ranges[:, 1]) & (others[k, 1] > ranges[:, 0])).any())


def _is_apart(table: Ints, stride: int, count: int) -> bool:
    """Whether spans that move by a stride never meet what is written at addresses that move by another."""
    mine = table[:, 2] == stride
    others = table[~mine & (table[:, 3] == 1)]
    written = merged(_at_turns(others, count), int(np.iinfo(np.int64).max))
    return not _meets(_at_turns(table[mine], count if stride else 1), written)
