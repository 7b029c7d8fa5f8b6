"""A tile's processor: reads its stream, hands commands over, holds.

It takes ``issue`` to hand a command to an engine; with the queue full it holds until there is
room. ``Wait``, ``Join`` and ``Barrier`` hold until what they wait for is there, and from then
cost what reading it costs. ``Arm`` and ``Signal`` act when their cost is over.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownMemberType=false
from __future__ import annotations

from numba import njit

from drawloom.timing.engines import enter
from drawloom.timing.heap import push, record
from drawloom.timing.state import (
    ACT,
    AMOUNT,
    ARM,
    ARRIVE,
    BARRIER,
    CPU,
    DEPTH,
    END,
    ENTER,
    FINISHED,
    FIXED,
    HALT,
    HALTED,
    HELD,
    ISSUE_PS,
    ISSUED,
    JOIN,
    LOOP,
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
    WAIT,
    A,
    B,
    Machine,
)


@njit
def fetch(m: Machine, tile: int, now: int) -> None:
    """Begin the next command of the stream."""
    proc = m.proc[tile]
    op = skip_loops(m, tile)
    row = proc[PC]
    proc[SINCE] = now
    proc[HELD] = now
    if op in (RUN, SEND):
        proc[PHASE] = ENTER
        push(m, now + m.g[ISSUE_PS], PROCESSOR, tile)
    elif op == WAIT:
        proc[PHASE] = ON_WAIT
        look(m, tile, now)
    elif op == JOIN:
        proc[PHASE] = ON_JOIN
        look(m, tile, now)
    elif op == BARRIER:
        proc[PHASE] = ON_BARRIER
        stand(m, m.code[row, A], now)
    elif op == HALT:
        proc[PHASE] = HALTED
    else:
        proc[PHASE] = ACT
        push(m, now + m.code[row, FIXED], PROCESSOR, tile)


@njit
def skip_loops(m: Machine, tile: int) -> int:
    """Enter and close loops up to the next command; return what that does."""
    proc = m.proc[tile]
    while True:
        row = proc[PC]
        op = m.code[row, OP]
        if op == LOOP:
            m.index[tile, proc[DEPTH]] = 0
            proc[DEPTH] += 1
            proc[PC] = row + 1
        elif op == END:
            head = m.code[row, A]
            m.index[tile, proc[DEPTH] - 1] += 1
            if m.index[tile, proc[DEPTH] - 1] < m.code[head, A]:
                proc[PC] = head + 1
            else:
                proc[DEPTH] -= 1
                proc[PC] = row + 1
        else:
            return op


@njit
def act(m: Machine, tile: int, now: int) -> None:
    """Do what the processor's time was spent on, and go on."""
    proc = m.proc[tile]
    row = proc[PC]
    if proc[PHASE] == ENTER:
        m.spent[tile, S_ISSUE] += now - proc[SINCE]
        if not enter(m, tile, now):
            proc[PHASE] = ON_QUEUE
            proc[HELD] = now
            return
    elif proc[PHASE] == ACT:
        op = m.code[row, OP]
        if op == ARM:
            m.armed[tile, m.code[row, A]] += 1
        elif op == SIGNAL:
            push(m, now + m.code[row, AMOUNT], ARRIVE, row)
        m.spent[tile, S_WORK if op == CPU else S_SYNC] += m.code[row, FIXED]
        record(m, row, proc[SINCE], now)
    else:
        fetch(m, tile, now)
        return
    proc[PC] = row + 1
    fetch(m, tile, now)


@njit
def look(m: Machine, tile: int, now: int) -> None:
    """Let the processor pass its ``Wait`` or ``Join`` if what it waits for is there."""
    row = m.proc[tile, PC]
    if m.proc[tile, PHASE] == ON_WAIT:
        if m.count[tile, m.code[row, A]] < m.code[row, B]:
            return
        m.count[tile, m.code[row, A]] -= m.code[row, B]
        go(m, tile, now, S_WAIT)
        return
    for engine in range(N_ENGINES):
        queue = m.queue[tile, engine]
        if (m.code[row, A] >> engine) & 1 and queue[ISSUED] - queue[FINISHED] > m.code[row, B]:
            return
    go(m, tile, now, S_JOIN)


@njit
def stand(m: Machine, at: int, now: int) -> None:
    """Count one more tile at a barrier; the last one lets all go."""
    m.stood[at] += 1
    if m.stood[at] == m.lists[at]:
        m.stood[at] = 0
        for i in range(at + 1, at + 1 + m.lists[at]):
            go(m, m.lists[i], now, S_BARRIER)


@njit
def go(m: Machine, tile: int, now: int, reason: int) -> None:
    """End a hold: the processor passes after the cost of its command."""
    m.spent[tile, reason] += now - m.proc[tile, HELD]
    m.proc[tile, PHASE] = ACT
    push(m, now + m.code[m.proc[tile, PC], FIXED], PROCESSOR, tile)
