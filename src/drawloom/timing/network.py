"""Sends: a route is claimed as a whole, held for the transfer, and let go.

Sends that wait for a route are tried in the order in which they asked. One whose route is free
may overtake one whose route is not.
"""

from __future__ import annotations

from drawloom.timing.heap import push
from drawloom.timing.processor import look
from drawloom.timing.records import flag_at, head_row, part, tile_at
from drawloom.timing.state import (
    AMOUNT,
    ARMED,
    ARRIVE,
    CLAIM,
    CLAIMS,
    COUNT,
    DONE,
    ENGINE_END,
    HELD,
    HUNG,
    HUNG_TILE,
    LATE,
    LISTS,
    N_CLAIMS,
    N_ENGINES,
    NEVER,
    ON_WAIT,
    OP,
    PHASE,
    SENDS,
    SIGNAL,
    A,
    B,
    Cells,
)


@part
def claim(s: Cells, what: int, now: int) -> int:
    """Give routes to the sends that wait for one, in order; HUNG if a target is not armed."""
    if what >= 0:
        s[s[CLAIMS] + s[N_CLAIMS]] = what // N_ENGINES
        s[N_CLAIMS] += 1
    kept = 0
    for i in range(s[N_CLAIMS]):
        tile = s[s[CLAIMS] + i]
        row = head_row(s, tile, SENDS)
        if not route_free(s, row):
            s[s[CLAIMS] + kept] = tile
            kept += 1
        elif targets_armed(s, row):
            begin(s, row)
            push(s, now + s[row + AMOUNT], ENGINE_END, tile * N_ENGINES + SENDS)
        else:
            s[HUNG_TILE] = tile
            return HUNG
    s[N_CLAIMS] = kept
    return DONE


@part
def targets_of(s: Cells, row: int) -> int:
    """Return the place of the list of a send's targets: their number, then they."""
    route = s[LISTS] + s[row + B]
    return route + 1 + s[route]


@part
def route_free(s: Cells, row: int) -> bool:
    """Whether no other transfer holds a link or port of a send's route."""
    route = s[LISTS] + s[row + B]
    held = 0
    for i in range(route + 1, route + 1 + s[route]):
        held |= s[s[HELD] + s[i]]
    return held == 0


@part
def targets_armed(s: Cells, row: int) -> bool:
    """Whether every target of a send is ready to receive."""
    targets = targets_of(s, row)
    least = NEVER
    for i in range(targets + 1, targets + 1 + s[targets]):
        least = min(least, s[flag_at(s, s[i], s[row + A]) + ARMED])
    return least > 0


@part
def begin(s: Cells, row: int) -> None:
    """Hold a send's route, and use up one arming of every target."""
    route = s[LISTS] + s[row + B]
    for i in range(route + 1, route + 1 + s[route]):
        s[s[HELD] + s[i]] = 1
    targets = targets_of(s, row)
    for i in range(targets + 1, targets + 1 + s[targets]):
        s[flag_at(s, s[i], s[row + A]) + ARMED] -= 1


@part
def deliver(s: Cells, row: int, now: int) -> None:
    """End a transfer: its route is free, its targets' counters rise, later where it is still on its way."""
    route = s[LISTS] + s[row + B]
    for i in range(route + 1, route + 1 + s[route]):
        s[s[HELD] + s[i]] = 0
    if s[row + LATE]:
        push(s, now + s[row + LATE], ARRIVE, row)
    else:
        arrive(s, row, now)
    if s[N_CLAIMS] > 0:
        push(s, now, CLAIM, -1)


@part
def arrive(s: Cells, row: int, now: int) -> None:
    """Raise the counters that a send or a signal raises."""
    if s[row + OP] == SIGNAL:
        raise_flag(s, s[row + B], s[row + A], now)
        return
    targets = targets_of(s, row)
    for i in range(targets + 1, targets + 1 + s[targets]):
        raise_flag(s, s[i], s[row + A], now)


@part
def raise_flag(s: Cells, tile: int, flag: int, now: int) -> None:
    """Raise a counter by one; its tile may be waiting for that."""
    s[flag_at(s, tile, flag) + COUNT] += 1
    if s[tile_at(s, tile) + PHASE] == ON_WAIT:
        look(s, tile, now)
