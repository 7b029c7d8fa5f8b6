"""Loops of which a few turns tell all: what repeats behind a fence, and touches only its own turn's bytes.

A loop that all tiles run as often, behind a fence (a join of every engine, then a barrier of all tiles) and ending in
one, orders all of a turn before all of the next. Its turns differ in DRAM addresses only. Where what a turn writes at
an address that moves is touched by no other turn, and flags end each turn as they began it, the first two turns and
the last one stand for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from drawloom.check.code import Flat
from drawloom.check.prepare import runs_of_rows
from drawloom.check.state import Ints
from drawloom.check.templates import (
    ADDRESS,
    ARM,
    BARRIER,
    DRAM,
    END,
    ENGINES,
    HULL,
    HULL_LOW,
    JOIN,
    LOOP,
    SEND,
    SIGNAL,
    SPACE,
    WAIT,
    WRITES,
)
from drawloom.program.commands import Engine
from drawloom.program.program import Program

TURNS = 3
_MOVERS = {k for k, engine in enumerate(ENGINES) if engine is not Engine.CPU}
Span = tuple[
    int, int, int, bool
]  # first byte and bytes at the first turn, bytes it moves by, whether it writes


def shorten(program: Program, flat: Flat) -> Ints:
    """Set of each loop how many turns are walked over; return how often each row is."""
    for heads in _shared(flat, len(program.streams)):
        rows = flat.code.rows
        ends = [int(rows[head, 1]) for head in heads]
        count = int(rows[heads[0], 3])
        fenced = all(_is_fence(flat, head, len(program.streams)) for head in heads)
        fenced = fenced and all(_is_fence(flat, end, len(program.streams)) for end in ends)
        if not fenced or not _is_even(flat, heads, ends):
            continue
        spans = [s for h, e in zip(heads, ends, strict=True) for s in _spans(flat, h, e)]
        if _is_own(spans, count):
            rows[[*heads, *ends], 4] = TURNS
    return runs_of_rows(flat.code)


def _shared(flat: Flat, n_tiles: int) -> Iterator[list[int]]:
    """Yield the heads of outer loops that all tiles have, as often, in the same sequence."""
    rows, starts = flat.code.rows, flat.code.starts
    outer: list[list[int]] = []
    for tile in range(n_tiles):
        found: list[int] = []
        row = int(starts[tile])
        stops = np.flatnonzero(rows[row : starts[tile + 1], 0] == LOOP) + row
        for head in stops.tolist():
            if head >= row:
                if rows[head, 3] > TURNS:
                    found.append(head)
                row = int(rows[head, 1]) + 1
        outer.append([head for head in found if _is_fence(flat, head, n_tiles)])
    if len({len(found) for found in outer}) == 1:
        for heads in zip(*outer, strict=True):
            if len({int(rows[head, 3]) for head in heads}) == 1:
                yield list(heads)


def _is_fence(flat: Flat, row: int, n_tiles: int) -> bool:
    """Whether a row follows a join of every engine and a barrier of all tiles."""
    rows = flat.code.rows
    if row < 2 or rows[row - 1, 0] != BARRIER or rows[row - 2, 0] != JOIN:
        return False
    barrier, join = (flat.templates[int(rows[row - k, 1])] for k in (1, 2))
    return barrier.tiles == tuple(range(n_tiles)) and not join.count and {*join.tiles} >= _MOVERS


def _inside(flat: Flat, head: int, end: int) -> Iterator[tuple[int, list[int]]]:
    """Yield the commands of a loop's body with the counts of the loops around them inside it."""
    counts: list[int] = []
    for row in range(head + 1, end):
        op = flat.code.rows[row, 0]
        if op == LOOP:
            counts.append(int(flat.code.rows[row, 3]))
        elif op == END:
            counts.pop()
        else:
            yield row, counts


def _is_even(flat: Flat, heads: list[int], ends: list[int]) -> bool:
    """Whether a turn leaves each flag as it found it: armed as often as sent to, waited for as often as raised."""
    armed: dict[tuple[int, int], int] = {}
    raised: dict[tuple[int, int], int] = {}
    for tile, (head, end) in enumerate(zip(heads, ends, strict=True)):
        for row, counts in _inside(flat, head, end):
            one, times = flat.templates[int(flat.code.rows[row, 1])], prod(counts)
            if one.op == ARM:
                armed[tile, one.flag] = armed.get((tile, one.flag), 0) + times
            elif one.op == WAIT:
                raised[tile, one.flag] = raised.get((tile, one.flag), 0) - one.count * times
            elif one.op in (SEND, SIGNAL):
                for target in one.tiles:
                    key = target, one.flag
                    raised[key] = raised.get(key, 0) + times
                    if one.op == SEND:
                        armed[key] = armed.get(key, 0) - times
    return not any(armed.values()) and not any(raised.values())


def _spans(flat: Flat, head: int, end: int) -> Iterator[Span]:
    """Yield the spans of DRAM that a turn touches, as solid ranges."""
    code = flat.code
    for row, counts in _inside(flat, head, end):
        for span in flat.templates[int(code.rows[row, 1])].spans:
            if span[SPACE] == DRAM and span[HULL]:
                place = int(code.rows[row, 2]) + span[ADDRESS]
                move = int(code.moves[place])
                low, size = int(code.bases[place]) + span[HULL_LOW], span[HULL]
                strides = code.strides[move].tolist() if move >= 0 else [0]
                for stride, count in zip(strides[1:], counts, strict=False):
                    low += min(0, stride * (count - 1))
                    size += abs(stride) * (count - 1)
                yield low, size, strides[0], bool(span[WRITES])


def _is_own(spans: list[Span], count: int) -> bool:
    """Whether what a turn writes at a moving address is touched in that turn only."""
    table = np.array(sorted(set(spans)), np.int64).reshape(-1, 4)
    moving = table[(table[:, 3] == 1) & (table[:, 2] != 0)]
    if not len(moving):
        return True
    turns = np.arange(count)
    first = (moving[:, 0] + turns[:, None] * moving[:, 2]).reshape(-1)
    last = (moving[:, 0] + moving[:, 1] + turns[:, None] * moving[:, 2]).reshape(-1)
    turn = np.repeat(turns, len(moving))
    in_order = np.argsort(first, kind="stable")
    first, last, turn = first[in_order], last[in_order], turn[in_order]
    reach = np.maximum.accumulate(last)
    change = np.concatenate(([0], np.cumsum(turn[1:] != turn[:-1])))
    for now in turns.tolist():
        start = table[:, 0] + now * table[:, 2]
        low = np.searchsorted(reach, start, side="right")
        high = np.searchsorted(first, start + table[:, 1], side="left")
        met = high > low
        one, other = low[met], high[met] - 1
        if not ((turn[one] == now) & (change[one] == change[other])).all():
            return False
    return True
