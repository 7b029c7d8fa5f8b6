"""Compiled code that decides: what is ordered, what a span may read, what is a finding."""

from __future__ import annotations

from typing import Any

from drawloom.check.state import (
    EXTRA,
    FORMAT,
    IN_DRAM,
    INEXACT,
    MOST_FOUND,
    MOST_PENDING,
    MOST_PIECES,
    N_ENGINES,
    N_FINDINGS,
    N_PENDING,
    N_PIECES,
    N_WRITES,
    OTHER_QUEUE,
    OTHER_SERIAL,
    OWNER,
    QUEUE,
    RACE,
    REMAINS,
    ROW,
    RULE,
    SEND_QUEUE,
    SERIAL,
    START,
    STOP,
    STRADDLE,
    TILE,
    W_ALIVE,
    W_FLAGS,
    W_KILLER,
    W_LOST,
    W_OWNER,
    W_QUEUE,
    W_ROW,
    W_SERIAL,
    W_SIZE,
    Notes,
    Time,
)
from drawloom.check.steps import part
from drawloom.check.templates import (
    EXACT,
    FILL_REMAINS,
    HULL,
    IS_FILL,
    NO_REMAINS,
    ONE_PART,
    WHOLE_PIECES,
)
from drawloom.check.templates import FORMAT as FORMAT_OF


@part
def report(
    n: Notes, rule: int, tile: int, row: int, queue: int, serial: int,
    other: int, other_serial: int, owner: int, start: int, stop: int, extra: int,
) -> None:  # fmt: skip
    """Write a finding down, once for each row and rule."""
    if n.told[row] & (1 << rule) or n.n[N_FINDINGS] >= MOST_FOUND:
        return
    n.told[row] |= 1 << rule
    found = n.found[n.n[N_FINDINGS]]
    n.n[N_FINDINGS] += 1
    found[RULE], found[TILE], found[ROW], found[QUEUE], found[SERIAL] = (
        rule,
        tile,
        row,
        queue,
        serial,
    )
    found[OTHER_QUEUE], found[OTHER_SERIAL], found[OWNER] = other, other_serial, owner
    found[START], found[STOP], found[EXTRA] = start, stop, extra


@part
def order(
    t: Time, n: Notes, other: int, serial: int, queue: int, can_race: bool,
    owner: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Bring the command at work after another, where hazard checks do; else note that it may not be."""
    if t.work[other] >= serial:
        return
    engine = other % N_ENGINES
    here = queue % N_ENGINES
    covered = engine < SEND_QUEUE and here < SEND_QUEUE
    if covered and other // N_ENGINES == queue // N_ENGINES:
        done = t.done[other, serial % t.done.shape[1]]
        for k in range(t.work.shape[0]):
            if done[k] > t.work[k]:
                t.work[k] = done[k]
        return
    if not can_race:
        return
    last = n.n[N_PENDING] - 1
    if last >= 0:
        p = n.pending[last]
        if p[0] == other and p[1] == serial and p[2] == owner and p[4] == start:
            p[4] = stop
            return
    if last + 1 < MOST_PENDING:
        p = n.pending[last + 1]
        p[0], p[1], p[2], p[3], p[4] = other, serial, owner, start, stop
        n.n[N_PENDING] += 1


@part
def note_piece(n: Notes, writer: int, size: int, is_tail: bool) -> None:
    """Count bytes of a write among those that a span reads; padding alone is no piece."""
    k = n.n[N_PIECES]
    for i in range(k - 1, -1, -1):
        if n.pieces[i, 0] == writer:
            n.pieces[i, 1] += size
            return
    if k < MOST_PIECES and not is_tail:
        n.pieces[k, 0], n.pieces[k, 1] = writer, size
        n.n[N_PIECES] += 1


@part
def new_write(
    n: Notes, queue: int, serial: int, row: int, owner: int, size: int, flags: int
) -> int:
    """Give a write a number."""
    me = n.n[N_WRITES]
    n.n[N_WRITES] += 1
    write = n.writes[me]
    write[W_QUEUE], write[W_SERIAL], write[W_ROW], write[W_OWNER] = queue, serial, row, owner
    write[W_SIZE], write[W_ALIVE], write[W_LOST], write[W_KILLER] = size, size, 0, 0
    write[W_FLAGS] = flags
    return me


@part
def settle(n: Notes, t: Time, tile: int, row: int, queue: int, serial: int) -> None:
    """Report what is still not ordered before the command at work."""
    for k in range(n.n[N_PENDING]):
        p = n.pending[k]
        if t.work[p[0]] < p[1]:
            report(n, RACE, tile, row, queue, serial, p[0], p[1], p[2], p[3], p[4], 0)
    n.n[N_PENDING] = 0


@part
def judge(
    n: Notes, span: Any, tile: int, row: int, owner: int, queue: int, serial: int, held_to: int,
    tag: int, low: int,
) -> None:  # fmt: skip
    """Hold what a span read to the rules about formats and pieces."""
    stop = low + span[HULL]
    if span[FORMAT_OF] and tag > 0 and tag != span[FORMAT_OF]:
        report(n, FORMAT, tile, row, queue, serial, -1, 0, owner, low, stop, tag)
    pieces = n.n[N_PIECES]
    if owner == IN_DRAM or not span[EXACT] or pieces < 2 or pieces == MOST_PIECES:
        return
    parts, part_of = 0, 0
    for k in range(pieces):
        write = n.writes[n.pieces[k, 0]]
        if write[W_FLAGS] & INEXACT:
            return
        if n.pieces[k, 1] < write[W_ALIVE]:
            parts += 1
            part_of = n.pieces[k, 0]
    if (held_to & WHOLE_PIECES and parts) or (held_to & ONE_PART and parts > 1):
        w = n.writes[part_of]
        report(
            n,
            STRADDLE,
            tile,
            row,
            queue,
            serial,
            w[W_QUEUE],
            w[W_SERIAL],
            owner,
            low,
            stop,
            w[W_ROW],
        )
    if held_to & NO_REMAINS:
        for k in range(pieces):
            w = n.writes[n.pieces[k, 0]]
            spared = held_to & FILL_REMAINS and w[W_FLAGS] & IS_FILL
            if w[W_ALIVE] < w[W_SIZE] and not spared:
                report(
                    n,
                    REMAINS,
                    tile,
                    row,
                    queue,
                    serial,
                    w[W_QUEUE],
                    w[W_SERIAL],
                    owner,
                    low,
                    stop,
                    w[W_ROW],
                )
