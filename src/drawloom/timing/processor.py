"""A tile's processor: reads its stream, hands commands over, holds.

It takes ``issue`` to hand a command to an engine; with the queue full it holds until there is
room. ``Wait``, ``Join`` and ``Barrier`` hold until what they wait for is there, and from then
cost what reading it costs. ``Arm`` and ``Signal`` act when their cost is over.
"""

from __future__ import annotations

from drawloom.timing.engines import enter
from drawloom.timing.heap import push, record
from drawloom.timing.records import flag_at, part, queue_at, tile_at
from drawloom.timing.state import (
    ACT,
    AMOUNT,
    ARM,
    ARMED,
    ARRIVE,
    BARRIER,
    COUNT,
    CPU,
    DEPTH,
    END,
    ENTER,
    FINISHED,
    FIXED,
    HALT,
    HALTED,
    HOLDING,
    INDEX,
    ISSUE_PS,
    ISSUED,
    JOIN,
    LISTS,
    LOOP,
    N_CODE,
    N_ENGINES,
    ON_BARRIER,
    ON_JOIN,
    ON_QUEUE,
    ON_WAIT,
    OP,
    PC,
    PHASE,
    PROCESSOR,
    RUN,
    S_BARRIER,
    S_ISSUE,
    S_JOIN,
    S_SYNC,
    S_WAIT,
    S_WORK,
    SEND,
    SIGNAL,
    SINCE,
    STOOD,
    WAIT,
    A,
    B,
    Cells,
)


@part
def fetch(s: Cells, tile: int, now: int) -> None:
    """Begin the next command of the stream."""
    t = tile_at(s, tile)
    row = skip_loops(s, t)
    op = s[row + OP]
    s[t + SINCE] = now
    s[t + HOLDING] = now
    if op in (RUN, SEND):
        s[t + PHASE] = ENTER
        push(s, now + s[ISSUE_PS], PROCESSOR, tile)
    elif op == WAIT:
        s[t + PHASE] = ON_WAIT
        look(s, tile, now)
    elif op == JOIN:
        s[t + PHASE] = ON_JOIN
        look(s, tile, now)
    elif op == BARRIER:
        s[t + PHASE] = ON_BARRIER
        stand(s, s[row + A], now)
    elif op == HALT:
        s[t + PHASE] = HALTED
    else:
        s[t + PHASE] = ACT
        push(s, now + s[row + FIXED], PROCESSOR, tile)


@part
def skip_loops(s: Cells, t: int) -> int:
    """Enter and close loops up to the next command; return its row."""
    row = s[t + PC]
    while s[row + OP] <= END:
        if s[row + OP] == LOOP:
            s[t + INDEX + s[t + DEPTH]] = 0
            s[t + DEPTH] += 1
            row += N_CODE
        else:
            head = s[row + A]
            index = t + INDEX + s[t + DEPTH] - 1
            s[index] += 1
            if s[index] < s[head + A]:
                row = head + N_CODE
            else:
                s[t + DEPTH] -= 1
                row += N_CODE
    s[t + PC] = row
    return row


@part
def act(s: Cells, tile: int, now: int) -> None:
    """Do what the processor's time was spent on, and go on."""
    t = tile_at(s, tile)
    row = s[t + PC]
    if s[t + PHASE] == ENTER:
        s[t + S_ISSUE] += now - s[t + SINCE]
        if not enter(s, tile, now):
            s[t + PHASE] = ON_QUEUE
            s[t + HOLDING] = now
            return
    elif s[t + PHASE] == ACT:
        if s[row + OP] == ARM:
            s[flag_at(s, tile, s[row + A]) + ARMED] += 1
        elif s[row + OP] == SIGNAL:
            push(s, now + s[row + AMOUNT], ARRIVE, row)
        s[t + (S_WORK if s[row + OP] == CPU else S_SYNC)] += s[row + FIXED]
        record(s, row, s[t + SINCE], now)
    else:  # before the first command
        row -= N_CODE
    s[t + PC] = row + N_CODE
    fetch(s, tile, now)


@part
def look(s: Cells, tile: int, now: int) -> None:
    """Let the processor pass its ``Wait`` or ``Join`` if what it waits for is there."""
    row = s[tile_at(s, tile) + PC]
    if s[row + OP] == WAIT:
        flag = flag_at(s, tile, s[row + A])
        if s[flag + COUNT] >= s[row + B]:
            s[flag + COUNT] -= s[row + B]
            go(s, tile, now, S_WAIT)
        return
    most = 0
    for engine in range(N_ENGINES):
        if (s[row + A] >> engine) & 1:
            q = queue_at(s, tile, engine)
            most = max(most, s[q + ISSUED] - s[q + FINISHED])
    if most <= s[row + B]:
        go(s, tile, now, S_JOIN)


@part
def stand(s: Cells, barrier: int, now: int) -> None:
    """Count one more tile at a barrier; the last one lets all go."""
    stood = s[STOOD] + barrier
    tiles = s[LISTS] + barrier
    s[stood] += 1
    if s[stood] == s[tiles]:
        s[stood] = 0
        for i in range(tiles + 1, tiles + 1 + s[tiles]):
            go(s, s[i], now, S_BARRIER)


@part
def go(s: Cells, tile: int, now: int, reason: int) -> None:
    """End a hold: the processor passes after the cost of its command."""
    t = tile_at(s, tile)
    s[t + reason] += now - s[t + HOLDING]
    s[t + PHASE] = ACT
    push(s, now + s[s[t + PC] + FIXED], PROCESSOR, tile)
