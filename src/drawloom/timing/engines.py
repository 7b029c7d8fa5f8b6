"""The queues of a tile: byte ranges that conflict, entering, starting."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownMemberType=false
from __future__ import annotations

from numba import njit

from drawloom.timing.heap import push
from drawloom.timing.state import (
    CAPACITY,
    CLAIM,
    DEPTH,
    ENGINE,
    ENGINE_END,
    FINISHED,
    FIRST,
    FIRST_PS,
    FIXED,
    FLOW,
    ISSUED,
    LENGTH,
    LOW,
    N_ENGINES,
    N_HAZARD,
    N_SPANS,
    NEED,
    PC,
    PLACES,
    READS,
    ROW,
    RUNNING,
    SENDS,
    SPAN,
    SPAN_END,
    START,
    STRIDES,
    WRITES,
    WRITTEN,
    Machine,
)


@njit
def conflict(m: Machine, tile: int, engine: int, at: int, other: int, slot: int) -> bool:
    """Whether two queued commands touch the same byte and one of them writes it."""
    mine = m.place[tile, engine, at]
    theirs = m.place[tile, other, slot]
    for i in range(PLACES, PLACES + 3 * mine[N_SPANS], 3):
        for j in range(PLACES, PLACES + 3 * theirs[N_SPANS], 3):
            if (
                mine[i] < theirs[j + 1]
                and theirs[j] < mine[i + 1]
                and (mine[i + 2] | theirs[j + 2]) != 0
            ):
                return True
    return False


@njit
def resolve(m: Machine, tile: int, engine: int, at: int, row: int) -> None:
    """Work out a command's byte ranges and how far the other engines must be before it starts."""
    here = m.place[tile, engine, at]
    depth = m.proc[tile, DEPTH]
    n = 0
    for span in range(m.code[row, SPAN], m.code[row, SPAN_END]):
        low = m.spans[span, LOW]
        for level in range(depth):
            low += m.spans[span, STRIDES + level] * m.index[tile, level]
        here[PLACES + 3 * n] = low
        here[PLACES + 3 * n + 1] = low + m.spans[span, LENGTH]
        here[PLACES + 3 * n + 2] = m.spans[span, WRITTEN]
        n += 1
    here[N_SPANS] = n
    for other in range(N_HAZARD):
        queue = m.queue[tile, other]
        here[NEED + other] = 0
        if other != engine:
            for earlier in range(queue[ISSUED] - 1, queue[FINISHED] - 1, -1):
                if conflict(m, tile, engine, at, other, earlier % queue[CAPACITY]):
                    here[NEED + other] = earlier + 1
                    break


@njit
def enter(m: Machine, tile: int, now: int) -> bool:
    """Put the command of the processor's row into its queue; False when that is full."""
    row = m.proc[tile, PC]
    engine = m.code[row, ENGINE]
    queue = m.queue[tile, engine]
    if queue[ISSUED] - queue[FINISHED] >= queue[CAPACITY]:
        return False
    at = queue[ISSUED] % queue[CAPACITY]
    m.place[tile, engine, at, ROW] = row
    if engine != SENDS:
        resolve(m, tile, engine, at, row)
    queue[ISSUED] += 1
    start(m, tile, engine, now)
    return True


@njit
def start(m: Machine, tile: int, engine: int, now: int) -> None:
    """Start the head of a queue if engine and byte ranges are free."""
    queue = m.queue[tile, engine]
    if queue[RUNNING] or queue[ISSUED] == queue[FINISHED]:
        return
    here = m.place[tile, engine, queue[FINISHED] % queue[CAPACITY]]
    if engine != SENDS:
        for other in range(N_HAZARD):
            if m.queue[tile, other, FINISHED] < here[NEED + other]:
                return
    queue[RUNNING] = 1
    queue[START] = now
    fixed = m.code[here[ROW], FIXED]
    kind = ENGINE_END
    if engine in (READS, WRITES):
        kind = FLOW
    elif engine == SENDS:
        kind = CLAIM
        if m.proc[tile, FIRST]:
            m.proc[tile, FIRST] = 0
            fixed = m.g[FIRST_PS]
    push(m, now + fixed, kind, tile * N_ENGINES + engine)
