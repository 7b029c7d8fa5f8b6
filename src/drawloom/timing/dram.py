"""A chip's DRAM, shared by all its tiles as a fluid.

All active reads share ``dram.read`` equally, all active writes ``dram.write``; none gets more
than ``dram.port``, and all together get at most ``dram.combined``, equally shared where it binds.
Amounts are billionths of a byte and rates billionths of a byte per picosecond (bytes per second
/ 1000), whole and rounded down, and a transfer ends at the first whole picosecond at which its
bytes are through. So times are exact, do not depend on the order in which transfers are
visited, and are never shorter than the rates allow; they are longer by less than one part in a
million for any share above 1 GB/s, plus one picosecond.
"""

from __future__ import annotations

from drawloom.timing.records import chip_at, head_row, part, tile_at
from drawloom.timing.state import (
    AMOUNT,
    C_ACTIVE,
    C_DIRTY,
    C_LAST,
    C_NEXT,
    C_RATE,
    CHIP_TILES,
    COMBINED_LIMIT,
    DIRTY,
    FLOW_CHIP,
    FLOW_NEXT,
    LEFT,
    N_CHIPS,
    N_ENGINES,
    NEVER,
    PORT_LIMIT,
    READ_LIMIT,
    READS,
    WRITE_LIMIT,
    Cells,
)


@part
def flow_to(s: Cells, chip: int, now: int) -> None:
    """Let the bytes of a chip's active transfers flow up to now."""
    c = chip_at(s, chip)
    first = chip * s[CHIP_TILES]
    for way in range(2):
        if s[c + C_ACTIVE + way]:
            gone = s[c + C_RATE + way] * (now - s[c + C_LAST])
            for tile in range(first, first + s[CHIP_TILES]):
                left = tile_at(s, tile) + LEFT + way
                if s[left] != NEVER:
                    s[left] -= gone
    s[c + C_LAST] = now


@part
def flow_plan(s: Cells) -> None:
    """Share rates anew where something changed, and find when and where the next transfer ends."""
    s[FLOW_NEXT] = NEVER
    for chip in range(s[N_CHIPS]):
        c = chip_at(s, chip)
        if s[c + C_DIRTY]:
            flow_share(s, chip)
        if s[c + C_NEXT] < s[FLOW_NEXT]:
            s[FLOW_NEXT] = s[c + C_NEXT]
            s[FLOW_CHIP] = chip
    s[DIRTY] = 0


@part
def flow_share(s: Cells, chip: int) -> None:
    """Share a chip's rates anew, and find when its next transfer ends."""
    c = chip_at(s, chip)
    reads = s[c + C_ACTIVE]
    writes = s[c + C_ACTIVE + 1]
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
    s[c + C_RATE] = read
    s[c + C_RATE + 1] = write
    s[c + C_NEXT] = NEVER
    first = chip * s[CHIP_TILES]
    for way in range(2):
        if s[c + C_ACTIVE + way]:
            least = NEVER
            for tile in range(first, first + s[CHIP_TILES]):
                least = min(least, s[tile_at(s, tile) + LEFT + way])
            ends = s[c + C_LAST] - (-least // s[c + C_RATE + way])
            s[c + C_NEXT] = min(s[c + C_NEXT], ends)
    s[c + C_DIRTY] = 0


@part
def flow_begin(s: Cells, what: int, now: int) -> None:
    """Let a transfer begin to flow."""
    tile = what // N_ENGINES
    engine = what % N_ENGINES
    chip = tile // s[CHIP_TILES]
    flow_to(s, chip, now)
    c = chip_at(s, chip)
    s[tile_at(s, tile) + LEFT + engine - READS] = s[head_row(s, tile, engine) + AMOUNT]
    s[c + C_ACTIVE + engine - READS] += 1
    s[c + C_DIRTY] = 1
    s[DIRTY] = 1
