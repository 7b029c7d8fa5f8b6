"""Compiled code that every walk shares: addresses, tables, clocks, and the way through loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

from drawloom.check.code import COUNT, OP, TEMPLATE, TURNS, Code
from drawloom.check.state import CPU_QUEUE, N_ENGINES, Time
from drawloom.check.templates import END, LOOP

_Function = TypeVar("_Function", bound=Callable[..., object])
_OPTIONS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}


def part(function: _Function) -> _Function:
    """Compile a part of the walk, to be called from compiled code only."""
    return cast(_Function, cast(Any, njit)(**_OPTIONS)(function))


@part
def address(c: Code, place: int, index: Any) -> int:
    """Return an address at the turns of the loops around."""
    at = c.bases[place]
    move = c.moves[place]
    if move >= 0:
        for level in range(c.strides.shape[1]):
            at += c.strides[move, level] * index[level]
    return at


@part
def overlapping(table: Any, start: int) -> int:
    """Return the first row of a sorted table of ranges that ends behind a byte."""
    low, high = 0, table.shape[0]
    while low < high:
        middle = (low + high) // 2
        if table[middle, 1] <= start:
            low = middle + 1
        else:
            high = middle
    return low


@part
def tick(t: Time, tile: int) -> int:
    """Count a command of a processor."""
    queue = tile * N_ENGINES + CPU_QUEUE
    t.counts[queue] += 1
    t.clock[tile, queue] = t.counts[queue]
    return t.counts[queue]


@part
def raise_to(clock: Any, other: Any) -> None:
    """Bring a clock after another."""
    for k in range(clock.shape[0]):
        if other[k] > clock[k]:
            clock[k] = other[k]


@part
def enter(c: Code, t: Time, tile: int, row: int, level: int) -> int:
    """Step over the head or the end of a loop; return the row that follows."""
    if c.rows[row, OP] == LOOP:
        t.turns[tile, level] = 0
        t.at_turn[tile, level] = 0
        return row + 1
    level -= 1
    turn = t.turns[tile, level] + 1
    count, turns = c.rows[row, COUNT], c.rows[row, TURNS]
    if turn >= turns:
        t.at_turn[tile, level] = 0
        return row + 1
    t.turns[tile, level] = turn
    # Of turns that are passed over the last one is taken last.
    t.at_turn[tile, level] = count - 1 if turn == turns - 1 else turn
    return c.rows[row, TEMPLATE] + 1


@part
def follow(c: Code, t: Time, tile: int) -> int:
    """Return the next command of a tile, -1 at its end; steps over loops."""
    row = t.stands[tile]
    level = t.turns[tile, t.turns.shape[1] - 1]
    while row < c.starts[tile + 1] and c.rows[row, OP] <= END:
        goes_on = enter(c, t, tile, row, level)
        if c.rows[row, OP] == LOOP:
            level += 1
        elif goes_on == row + 1:
            level -= 1
        row = goes_on
    t.turns[tile, t.turns.shape[1] - 1] = level
    t.stands[tile] = row if row < c.starts[tile + 1] else -1
    return t.stands[tile]
