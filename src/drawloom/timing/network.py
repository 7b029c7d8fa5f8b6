"""Sends: a route is claimed as a whole, held for the transfer, and let go.

Sends that wait for a route are tried in the order in which they asked. One whose route is free
may overtake one whose route is not.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownMemberType=false
from __future__ import annotations

from numba import njit

from drawloom.timing.heap import push
from drawloom.timing.processor import look
from drawloom.timing.state import (
    AMOUNT,
    CAPACITY,
    CLAIM,
    DONE,
    ENGINE_END,
    FINISHED,
    HUNG,
    HUNG_TILE,
    N_CLAIMS,
    N_ENGINES,
    ON_WAIT,
    PHASE,
    ROW,
    SENDS,
    A,
    B,
    Machine,
)


@njit
def claim(m: Machine, what: int, now: int) -> int:
    """Give routes to the sends that wait for one, in order; HUNG if a target is not armed."""
    g = m.g
    if what >= 0:
        m.claims[g[N_CLAIMS]] = what // N_ENGINES
        g[N_CLAIMS] += 1
    kept = 0
    for i in range(g[N_CLAIMS]):
        tile = m.claims[i]
        queue = m.queue[tile, SENDS]
        row = m.place[tile, SENDS, queue[FINISHED] % queue[CAPACITY], ROW]
        if not route_free(m, row):
            m.claims[kept] = tile
            kept += 1
        elif targets_armed(m, row):
            begin(m, row)
            push(m, now + m.code[row, AMOUNT], ENGINE_END, tile * N_ENGINES + SENDS)
        else:
            g[HUNG_TILE] = tile
            return HUNG
    g[N_CLAIMS] = kept
    return DONE


@njit
def route_free(m: Machine, row: int) -> bool:
    """Whether no other transfer holds a link or port of a send's route."""
    at = m.code[row, B]
    for i in range(at + 1, at + 1 + m.lists[at]):
        if m.held[m.lists[i]]:
            return False
    return True


@njit
def targets_armed(m: Machine, row: int) -> bool:
    """Whether every target of a send is ready to receive."""
    at = m.code[row, B]
    at += 1 + m.lists[at]
    for i in range(at + 1, at + 1 + m.lists[at]):
        if m.armed[m.lists[i], m.code[row, A]] == 0:
            return False
    return True


@njit
def begin(m: Machine, row: int) -> None:
    """Hold a send's route, and use up one arming of every target."""
    at = m.code[row, B]
    for i in range(at + 1, at + 1 + m.lists[at]):
        m.held[m.lists[i]] = 1
    at += 1 + m.lists[at]
    for i in range(at + 1, at + 1 + m.lists[at]):
        m.armed[m.lists[i], m.code[row, A]] -= 1


@njit
def deliver(m: Machine, row: int, now: int) -> None:
    """End a transfer: its route is free, its targets' counters rise."""
    at = m.code[row, B]
    for i in range(at + 1, at + 1 + m.lists[at]):
        m.held[m.lists[i]] = 0
    at += 1 + m.lists[at]
    flag = m.code[row, A]
    for i in range(at + 1, at + 1 + m.lists[at]):
        raise_flag(m, m.lists[i], flag, now)
    if m.g[N_CLAIMS] > 0:
        push(m, now, CLAIM, -1)


@njit
def raise_flag(m: Machine, tile: int, flag: int, now: int) -> None:
    """Raise a counter by one; its tile may be waiting for that."""
    m.count[tile, flag] += 1
    if m.proc[tile, PHASE] == ON_WAIT:
        look(m, tile, now)
