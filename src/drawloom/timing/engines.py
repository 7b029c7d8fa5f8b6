"""The queues of a tile: entering, byte ranges that conflict, starting.

A queue has room for the command at its head and ``depth`` more. On entering, a command is
compared with what is unfinished on the tile's other engines: since each engine works in order,
it is enough to note, per engine, the last command that must have ended.
"""

from __future__ import annotations

from drawloom.timing.heap import push
from drawloom.timing.records import part, place_at, queue_at, tile_at
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
    INDEX,
    ISSUED,
    LENGTH,
    LOW,
    N_ENGINES,
    N_HAZARD,
    N_RANGES,
    NEED,
    PC,
    RANGES,
    READS,
    ROW,
    RUNNING,
    SENDS,
    SPAN,
    SPAN_END,
    SPAN_SIZE,
    SPANS,
    START,
    STRIDES,
    WRITES,
    WRITTEN,
    Cells,
)


@part
def enter(s: Cells, tile: int, now: int) -> bool:
    """Put the command of the processor's row into its queue; False when that is full."""
    row = s[tile_at(s, tile) + PC]
    engine = s[row + ENGINE]
    q = queue_at(s, tile, engine)
    if s[q + ISSUED] - s[q + FINISHED] >= s[q + CAPACITY]:
        return False
    here = place_at(s, tile, engine, s[q + ISSUED])
    s[here + ROW] = row
    if engine != SENDS:
        resolve(s, tile, here, row)
        for other in range(N_HAZARD):
            s[here + NEED + other] = needed(s, tile, other, here) if other != engine else 0
    s[q + ISSUED] += 1
    start(s, tile, engine, now)
    return True


@part
def resolve(s: Cells, tile: int, here: int, row: int) -> None:
    """Work out a command's byte ranges at the present loop indices."""
    t = tile_at(s, tile)
    n = s[row + SPAN_END] - s[row + SPAN]
    s[here + N_RANGES] = n
    for i in range(n):
        span = s[SPANS] + (s[row + SPAN] + i) * s[SPAN_SIZE]
        low = s[span + LOW]
        for level in range(s[t + DEPTH]):
            low += s[span + STRIDES + level] * s[t + INDEX + level]
        r = here + RANGES + 3 * i
        s[r] = low
        s[r + 1] = low + s[span + LENGTH]
        s[r + 2] = s[span + WRITTEN]


@part
def needed(s: Cells, tile: int, other: int, here: int) -> int:
    """Return how many commands of another engine must have ended before this one starts."""
    q = queue_at(s, tile, other)
    number = s[q + ISSUED]
    while number > s[q + FINISHED]:
        if conflict(s, here, place_at(s, tile, other, number - 1)):
            return number
        number -= 1
    return 0


@part
def conflict(s: Cells, one: int, two: int) -> bool:
    """Whether two queued commands touch the same byte and one of them writes it."""
    for a in range(one + RANGES, one + RANGES + 3 * s[one + N_RANGES], 3):
        for b in range(two + RANGES, two + RANGES + 3 * s[two + N_RANGES], 3):
            if s[a] < s[b + 1] and s[b] < s[a + 1] and (s[a + 2] | s[b + 2]) != 0:
                return True
    return False


@part
def start(s: Cells, tile: int, engine: int, now: int) -> None:
    """Start the head of a queue if the engine and the byte ranges are free."""
    q = queue_at(s, tile, engine)
    if s[q + RUNNING] or s[q + ISSUED] == s[q + FINISHED]:
        return
    here = place_at(s, tile, engine, s[q + FINISHED])
    if engine != SENDS:
        for other in range(N_HAZARD):
            if s[queue_at(s, tile, other) + FINISHED] < s[here + NEED + other]:
                return
    s[q + RUNNING] = 1
    s[q + START] = now
    fixed = s[s[here + ROW] + FIXED]
    kind = ENGINE_END
    if engine in (READS, WRITES):
        kind = FLOW
    elif engine == SENDS:
        kind = CLAIM
        if s[tile_at(s, tile) + FIRST]:
            s[tile_at(s, tile) + FIRST] = 0
            fixed = max(fixed, s[FIRST_PS])
    push(s, now + fixed, kind, tile * N_ENGINES + engine)
