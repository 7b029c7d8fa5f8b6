"""The chip's DRAM, shared by all tiles as a fluid.

All active reads share ``dram.read`` equally, all active writes ``dram.write``; none gets more
than ``dram.port``, and all together get at most ``dram.combined``, equally shared where it binds.
Amounts are billionths of a byte and rates billionths of a byte per picosecond (bytes per second
/ 1000), whole and rounded down, and a transfer ends at the first whole picosecond at which its
bytes are through. So times are exact, do not depend on the order in which transfers are
visited, and are never shorter than the rates allow; they are longer by less than one part in a
million for any share above 1 GB/s, plus one picosecond.
"""

from __future__ import annotations

from drawloom.timing.records import head_row, part, tile_at
from drawloom.timing.state import (
    AMOUNT,
    COMBINED_LIMIT,
    DIRTY,
    FLOW_LAST,
    FLOW_NEXT,
    LEFT,
    N_ENGINES,
    N_READS,
    N_TILES,
    N_WRITES,
    NEVER,
    PORT_LIMIT,
    READ_LIMIT,
    READ_RATE,
    READS,
    WRITE_LIMIT,
    WRITE_RATE,
    Cells,
)


@part
def flow_to(s: Cells, now: int) -> None:
    """Let the bytes of the active transfers flow up to now."""
    for way in range(2):
        if s[N_READS + way]:
            gone = s[READ_RATE + way] * (now - s[FLOW_LAST])
            for tile in range(s[N_TILES]):
                left = tile_at(s, tile) + LEFT + way
                if s[left] != NEVER:
                    s[left] -= gone
    s[FLOW_LAST] = now


@part
def flow_plan(s: Cells) -> None:
    """Share the rates anew, and find when the next transfer ends."""
    reads = s[N_READS]
    writes = s[N_WRITES]
    read = min(s[READ_LIMIT] // reads, s[PORT_LIMIT]) if reads else 0
    write = min(s[WRITE_LIMIT] // writes, s[PORT_LIMIT]) if writes else 0
    limit = s[COMBINED_LIMIT]
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
    s[READ_RATE] = read
    s[WRITE_RATE] = write
    s[FLOW_NEXT] = NEVER
    for way in range(2):
        if s[N_READS + way]:
            least = NEVER
            for tile in range(s[N_TILES]):
                least = min(least, s[tile_at(s, tile) + LEFT + way])
            ends = s[FLOW_LAST] - (-least // s[READ_RATE + way])
            s[FLOW_NEXT] = min(s[FLOW_NEXT], ends)
    s[DIRTY] = 0


@part
def flow_begin(s: Cells, what: int, now: int) -> None:
    """Let a transfer begin to flow."""
    tile = what // N_ENGINES
    engine = what % N_ENGINES
    flow_to(s, now)
    s[tile_at(s, tile) + LEFT + engine - READS] = s[head_row(s, tile, engine) + AMOUNT]
    s[N_READS + engine - READS] += 1
    s[DIRTY] = 1
