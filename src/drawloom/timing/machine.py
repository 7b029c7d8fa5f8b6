"""The event loop: what happens when, on flat integer arrays (picoseconds, bytes).

Events are handled in the order (time, priority, serial). Priorities: ends of DRAM transfers (by
tile, reads first), ends of the other engines, signals that arrive, DRAM transfers that begin to
flow, tile processors, sends that ask for their route; the serial is the order in which events
were put in.

The functions here and in the files it imports are compiled by Numba, and run as plain Python
where Numba is told not to compile (``NUMBA_DISABLE_JIT``), with the same result.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownMemberType=false
from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from numba import njit

from drawloom.timing.dram import flow_begin, flow_plan, flow_to
from drawloom.timing.engines import enter, start
from drawloom.timing.heap import drop, record
from drawloom.timing.network import claim, deliver, raise_flag
from drawloom.timing.processor import act, fetch, look
from drawloom.timing.state import (
    ARRIVE,
    CAPACITY,
    DIRTY,
    DONE,
    ENGINE_END,
    EVENTS,
    FINISHED,
    FLOW,
    FLOW_NEXT,
    FULL,
    HEAP,
    HELD,
    HUNG,
    N_ENGINES,
    N_HAZARD,
    N_READS,
    NEVER,
    NOW,
    ON_JOIN,
    ON_QUEUE,
    OUT,
    PC,
    PHASE,
    PROCESSOR,
    READS,
    ROW,
    RUNNING,
    S_QUEUE,
    SENDS,
    SOURCES,
    START,
    A,
    B,
    Machine,
)


@njit
def finish(m: Machine, tile: int, engine: int, now: int) -> None:
    """End the running command of an engine, and start what waited for it."""
    queue = m.queue[tile, engine]
    row = m.place[tile, engine, queue[FINISHED] % queue[CAPACITY], ROW]
    record(m, row, queue[START], now)
    queue[FINISHED] += 1
    queue[RUNNING] = 0
    if engine == SENDS:
        deliver(m, row, now)
        start(m, tile, engine, now)
    else:
        for other in range(N_HAZARD):
            start(m, tile, other, now)
    phase = m.proc[tile, PHASE]
    if phase == ON_QUEUE:
        if enter(m, tile, now):
            m.spent[tile, S_QUEUE] += now - m.proc[tile, HELD]
            m.proc[tile, PC] += 1
            fetch(m, tile, now)
    elif phase == ON_JOIN:
        look(m, tile, now)


@njit
def flow_end(m: Machine, now: int) -> None:
    """End the DRAM transfers that have no bytes left."""
    flow_to(m, now)
    m.g[DIRTY] = 1
    for tile in range(m.left.shape[1]):
        for way in range(2):
            if m.left[way, tile] <= 0:
                m.left[way, tile] = NEVER
                m.g[N_READS + way] -= 1
                m.g[EVENTS] += 1
                finish(m, tile, READS + way, now)


@njit
def handle(m: Machine, kind: int, what: int, now: int) -> int:
    """Handle one event; return HUNG where the chip would hang."""
    if kind == ENGINE_END:
        finish(m, what // N_ENGINES, what % N_ENGINES, now)
    elif kind == ARRIVE:
        raise_flag(m, m.code[what, B], m.code[what, A], now)
    elif kind == FLOW:
        flow_begin(m, what, now)
    elif kind == PROCESSOR:
        act(m, what, now)
    else:
        return claim(m, what, now)
    return DONE


def _compiled(sources: int) -> Callable[[Machine], int]:
    @njit(cache=True)
    def advance(m: Machine) -> int:
        g = m.g
        # Numba's cache compares what a function closes over, but not the files of the
        # functions it calls: the sum of those files makes it notice every change.
        g[SOURCES] = sources
        n_tiles = m.proc.shape[0]
        while g[OUT] + 2 * n_tiles <= len(m.out) and g[HEAP] + 8 * n_tiles + 8 <= len(m.heap):
            if g[DIRTY]:
                flow_plan(m)
            if g[HEAP] == 0 or g[FLOW_NEXT] <= m.heap[0, 0]:
                if g[FLOW_NEXT] == NEVER:
                    return DONE
                g[NOW] = g[FLOW_NEXT]
                flow_end(m, g[NOW])
            else:
                g[NOW] = m.heap[0, 0]
                kind = m.heap[0, 1] >> 56
                what = m.heap[0, 2]
                drop(m)
                g[EVENTS] += 1
                if handle(m, kind, what, g[NOW]) == HUNG:
                    return HUNG
        return FULL

    return advance


def _sources() -> int:
    paths = sorted(Path(__file__).parent.glob("*.py"))
    return zlib.crc32(b"".join(path.read_bytes() for path in paths))


advance = _compiled(_sources())
"""Run a machine: DONE when nothing is left to happen, FULL when ``out`` or ``heap`` needs room,
HUNG when a send (of the tile in ``HUNG_TILE``) starts towards a flag that is not armed."""
