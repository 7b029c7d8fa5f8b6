"""Events that wait for their time, in the order (time, priority, serial); spans that are over.

An event is three integers: its time, its priority and serial in one, and what it is about.
"""

from __future__ import annotations

from drawloom.timing.records import part
from drawloom.timing.state import (
    COMMAND,
    HEAP,
    KIND_SHIFT,
    N_HEAP,
    N_OUT,
    OUT,
    SERIAL,
    Cells,
)


@part
def push(s: Cells, time: int, kind: int, what: int) -> None:
    """Put an event into the heap."""
    serial = s[SERIAL]
    s[SERIAL] = serial + 1
    order = (kind << KIND_SHIFT) | serial
    heap = s[HEAP]
    at = s[N_HEAP]
    s[N_HEAP] = at + 1
    while at > 0:
        up = (at - 1) >> 1
        e = heap + 3 * up
        if s[e] < time or (s[e] == time and s[e + 1] < order):
            break
        put(s, heap + 3 * at, s[e], s[e + 1], s[e + 2])
        at = up
    put(s, heap + 3 * at, time, order, what)


@part
def drop(s: Cells) -> None:
    """Take the first event off the heap."""
    heap = s[HEAP]
    n = s[N_HEAP] - 1
    s[N_HEAP] = n
    last = heap + 3 * n
    time = s[last]
    order = s[last + 1]
    at = 0
    while 2 * at + 1 < n:
        down = 2 * at + 1
        e = heap + 3 * down
        if down + 1 < n and (s[e + 3] < s[e] or (s[e + 3] == s[e] and s[e + 4] < s[e + 1])):
            down += 1
            e += 3
        if time < s[e] or (time == s[e] and order < s[e + 1]):
            break
        put(s, heap + 3 * at, s[e], s[e + 1], s[e + 2])
        at = down
    put(s, heap + 3 * at, time, order, s[last + 2])


@part
def put(s: Cells, at: int, first: int, second: int, third: int) -> None:
    """Write three integers."""
    s[at] = first
    s[at + 1] = second
    s[at + 2] = third


@part
def record(s: Cells, row: int, start: int, end: int) -> None:
    """Write a span down."""
    put(s, s[OUT] + 3 * s[N_OUT], s[row + COMMAND], start, end)
    s[N_OUT] += 1
