"""The event loop: what happens when (picoseconds; the state is ``state.py``).

Events are handled in the order (time, priority, serial). Priorities: ends of DRAM transfers (by
tile, reads first), ends of the other engines, signals that arrive, DRAM transfers that begin to
flow, tile processors, sends that ask for their route; the serial is the order in which events
were put in.

The functions here and in the files it imports are compiled by Numba, and run as plain Python
where Numba is told not to compile (``NUMBA_DISABLE_JIT``), with the same result.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from numba import njit

from drawloom.timing.dram import flow_begin, flow_plan, flow_to
from drawloom.timing.engines import enter, start
from drawloom.timing.heap import drop, record
from drawloom.timing.network import arrive, claim, deliver
from drawloom.timing.processor import act, fetch, look
from drawloom.timing.records import chip_at, head_row, part, queue_at, tile_at
from drawloom.timing.state import (
    ARRIVE,
    C_ACTIVE,
    C_DIRTY,
    CHIP_TILES,
    DIRTY,
    DONE,
    ENGINE_END,
    EVENTS,
    FINISHED,
    FLOW,
    FLOW_CHIP,
    FLOW_NEXT,
    FULL,
    HEAP,
    HEAP_ROOM,
    HOLDING,
    HUNG,
    KIND_SHIFT,
    LEFT,
    N_CODE,
    N_ENGINES,
    N_HAZARD,
    N_HEAP,
    N_OUT,
    N_TILES,
    NEVER,
    NOW,
    ON_JOIN,
    ON_QUEUE,
    OUT_ROOM,
    PC,
    PHASE,
    PROCESSOR,
    READS,
    RUNNING,
    S_QUEUE,
    SENDS,
    SOURCES,
    START,
    Cells,
    Ints,
)

LOOP_FILES = (
    "dram", "engines", "heap", "machine", "network", "processor", "records", "state",
)  # fmt: skip


@part
def finish(s: Cells, tile: int, engine: int, now: int) -> None:
    """End the running command of an engine, and start what waited for it."""
    q = queue_at(s, tile, engine)
    row = head_row(s, tile, engine)
    record(s, row, s[q + START], now)
    s[q + FINISHED] += 1
    s[q + RUNNING] = 0
    if engine == SENDS:
        deliver(s, row, now)
        start(s, tile, engine, now)
    else:
        for other in range(N_HAZARD):
            start(s, tile, other, now)
    t = tile_at(s, tile)
    if s[t + PHASE] == ON_JOIN:
        look(s, tile, now)
    elif s[t + PHASE] == ON_QUEUE and enter(s, tile, now):
        s[t + S_QUEUE] += now - s[t + HOLDING]
        s[t + PC] += N_CODE
        fetch(s, tile, now)


@part
def flow_end(s: Cells, now: int) -> None:
    """End the DRAM transfers of one chip that have no bytes left."""
    chip = s[FLOW_CHIP]
    flow_to(s, chip, now)
    c = chip_at(s, chip)
    s[c + C_DIRTY] = 1
    s[DIRTY] = 1
    first = chip * s[CHIP_TILES]
    for tile in range(first, first + s[CHIP_TILES]):
        for way in range(2):
            left = tile_at(s, tile) + LEFT + way
            if s[left] <= 0:
                s[left] = NEVER
                s[c + C_ACTIVE + way] -= 1
                s[EVENTS] += 1
                finish(s, tile, READS + way, now)


@part
def handle(s: Cells, kind: int, what: int, now: int) -> int:
    """Handle one event; return HUNG where the chip would hang."""
    if kind == ENGINE_END:
        finish(s, what // N_ENGINES, what % N_ENGINES, now)
    elif kind == ARRIVE:
        arrive(s, what, now)
    elif kind == FLOW:
        flow_begin(s, what, now)
    elif kind == PROCESSOR:
        act(s, what, now)
    else:
        return claim(s, what, now)
    return DONE


def _compiled(sources: int) -> Callable[[Ints], int]:
    def advance(s: Cells) -> int:
        # Numba's cache compares what a function closes over, but not the files of the
        # functions it calls: the sum of those files makes it notice every change.
        s[SOURCES] = sources
        n_tiles = s[N_TILES]
        # One event ends at most two commands a tile, and puts in at most eight events a tile.
        while s[N_OUT] + 2 * n_tiles <= s[OUT_ROOM] and s[N_HEAP] + 8 * n_tiles <= s[HEAP_ROOM]:
            if s[DIRTY]:
                flow_plan(s)
            if s[N_HEAP] == 0 or s[FLOW_NEXT] <= s[s[HEAP]]:
                if s[FLOW_NEXT] == NEVER:
                    return DONE
                s[NOW] = s[FLOW_NEXT]
                flow_end(s, s[NOW])
            else:
                event = s[HEAP]
                s[NOW] = s[event]
                kind = s[event + 1] >> KIND_SHIFT
                what = s[event + 2]
                drop(s)
                s[EVENTS] += 1
                if handle(s, kind, what, s[NOW]) == HUNG:
                    return HUNG
        return FULL

    compiler = cast(Any, njit)
    try:
        compiled = compiler(cache=True, error_model="numpy")(advance)
    except RuntimeError:  # no folder that Numba may write to: compile in every process
        compiled = compiler(error_model="numpy")(advance)
    return cast(Callable[[Ints], int], compiled)


def _sources() -> int:
    paths = [Path(__file__).with_name(f"{name}.py") for name in LOOP_FILES]
    return zlib.crc32(b"".join(path.read_bytes() for path in paths))


advance = _compiled(_sources())
"""Run a machine: DONE when nothing is left to happen, FULL when spans or events need room,
HUNG when a send (of the tile in ``HUNG_TILE``) starts towards a flag that is not armed."""
