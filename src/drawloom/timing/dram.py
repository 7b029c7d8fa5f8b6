"""The chip's DRAM, shared by all tiles as a fluid.

All active reads share ``dram.read`` equally, all active writes ``dram.write``; none gets more
than ``dram.port``, and all together get at most ``dram.combined``, equally shared where it binds.
Amounts are billionths of a byte and rates billionths of a byte per picosecond (bytes per second
/ 1000), whole and rounded down, and a transfer ends at the first whole picosecond at which its
bytes are through. So times are exact, do not depend on the order in which transfers are
visited, and are never shorter than the rates allow; they are longer by less than one part in a
million for any rate above 1 GB/s, plus one picosecond.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownMemberType=false
from __future__ import annotations

from numba import njit

from drawloom.timing.state import (
    AMOUNT,
    CAPACITY,
    COMBINED_LIMIT,
    DIRTY,
    FINISHED,
    FLOW_LAST,
    FLOW_NEXT,
    N_ENGINES,
    N_READS,
    N_WRITES,
    NEVER,
    PORT_LIMIT,
    READ_LIMIT,
    READ_RATE,
    READS,
    ROW,
    WRITE_LIMIT,
    WRITE_RATE,
    Machine,
)


@njit
def flow_to(m: Machine, now: int) -> None:
    """Let the bytes of the active DRAM transfers flow up to now."""
    g = m.g
    for way in range(2):
        if g[N_READS + way]:
            gone = g[READ_RATE + way] * (now - g[FLOW_LAST])
            for tile in range(m.left.shape[1]):
                if m.left[way, tile] != NEVER:
                    m.left[way, tile] -= gone
    g[FLOW_LAST] = now


@njit
def flow_plan(m: Machine) -> None:
    """Share the DRAM rates anew, and find when the next transfer ends."""
    g = m.g
    reads = g[N_READS]
    writes = g[N_WRITES]
    read = min(g[READ_LIMIT] // reads, g[PORT_LIMIT]) if reads else 0
    write = min(g[WRITE_LIMIT] // writes, g[PORT_LIMIT]) if writes else 0
    limit = g[COMBINED_LIMIT]
    if reads * read + writes * write > limit:
        # The way that asks for less than an equal share keeps its rate; the other gets the rest.
        equal = limit // (reads + writes)
        if read <= equal:
            write = (limit - reads * read) // writes
        elif write <= equal:
            read = (limit - writes * write) // reads
        else:
            read = equal
            write = equal
    g[READ_RATE] = read
    g[WRITE_RATE] = write
    g[FLOW_NEXT] = NEVER
    if reads:
        g[FLOW_NEXT] = g[FLOW_LAST] - (-m.left[0].min() // read)
    if writes:
        g[FLOW_NEXT] = min(g[FLOW_NEXT], g[FLOW_LAST] - (-m.left[1].min() // write))
    g[DIRTY] = 0


@njit
def flow_begin(m: Machine, what: int, now: int) -> None:
    """Let a DRAM transfer begin to flow."""
    tile = what // N_ENGINES
    engine = what % N_ENGINES
    queue = m.queue[tile, engine]
    row = m.place[tile, engine, queue[FINISHED] % queue[CAPACITY], ROW]
    flow_to(m, now)
    m.left[engine - READS, tile] = m.code[row, AMOUNT]
    m.g[N_READS + engine - READS] += 1
    m.g[DIRTY] = 1
