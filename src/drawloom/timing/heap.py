"""Events that wait for their time, in the order (time, priority, serial); spans that are over."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownMemberType=false
from __future__ import annotations

from numba import njit

from drawloom.timing.state import (
    COMMAND,
    HEAP,
    OUT,
    SERIAL,
    Machine,
)


@njit
def push(m: Machine, time: int, kind: int, what: int) -> None:
    """Put an event into the heap."""
    heap = m.heap
    serial = m.g[SERIAL]
    m.g[SERIAL] = serial + 1
    order = (kind << 56) | serial
    at = m.g[HEAP]
    m.g[HEAP] = at + 1
    while at > 0:
        up = (at - 1) >> 1
        if heap[up, 0] < time or (heap[up, 0] == time and heap[up, 1] < order):
            break
        heap[at, 0] = heap[up, 0]
        heap[at, 1] = heap[up, 1]
        heap[at, 2] = heap[up, 2]
        at = up
    heap[at, 0] = time
    heap[at, 1] = order
    heap[at, 2] = what


@njit
def drop(m: Machine) -> None:
    """Take the first event off the heap."""
    heap = m.heap
    n = m.g[HEAP] - 1
    m.g[HEAP] = n
    time = heap[n, 0]
    order = heap[n, 1]
    at = 0
    while True:
        down = 2 * at + 1
        if down >= n:
            break
        right = down + 1
        if right < n and (
            heap[right, 0] < heap[down, 0]
            or (heap[right, 0] == heap[down, 0] and heap[right, 1] < heap[down, 1])
        ):
            down = right
        if time < heap[down, 0] or (time == heap[down, 0] and order < heap[down, 1]):
            break
        heap[at, 0] = heap[down, 0]
        heap[at, 1] = heap[down, 1]
        heap[at, 2] = heap[down, 2]
        at = down
    heap[at, 0] = time
    heap[at, 1] = order
    heap[at, 2] = heap[n, 2]


@njit
def record(m: Machine, row: int, start: int, end: int) -> None:
    """Write a span down."""
    n = m.g[OUT]
    m.out[n, 0] = m.code[row, COMMAND]
    m.out[n, 1] = start
    m.out[n, 2] = end
    m.g[OUT] = n + 1
