"""Compiled code that decides: what is ordered, what a span may read, what is a finding."""

from __future__ import annotations

from drawloom.check.state import (
    EXTRA,
    FORMAT,
    FOUND,
    IN_DRAM,
    INEXACT,
    MOST_FOUND,
    MOST_PENDING,
    MOST_PIECES,
    N_ENGINES,
    N_FINDINGS,
    N_FOUND,
    N_PENDED,
    N_PENDING,
    N_PIECE,
    N_PIECES,
    N_WRITE,
    N_WRITES,
    OTHER_QUEUE,
    OTHER_SERIAL,
    OWNER,
    PENDING,
    PIECES,
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
    TOLD,
    W_ALIVE,
    W_FLAGS,
    W_OWNER,
    W_QUEUE,
    W_ROW,
    W_SERIAL,
    W_SIZE,
    WORK,
    WRITES,
    Cells,
)
from drawloom.check.steps import done_at, part, raise_to
from drawloom.check.templates import (
    COUNT0,
    EXACT,
    HULL,
    INNER,
    IS_FILL,
    IS_MOVE,
    NO_REMAINS,
    ONE_PART,
    STRIDE0,
    WHOLE_PIECES,
)
from drawloom.check.templates import FORMAT as FORMAT_OF

LEAST_ROW = 16  # bytes: four elements, what the rows of a block are padded to at least
IMAGE_ROW = 256  # bytes; rows of values that are spread are copied in shorter runs


@part
def report(
    s: Cells, rule: int, row: int, queue: int, serial: int,
    other: int, other_serial: int, owner: int, start: int, stop: int, extra: int,
) -> None:  # fmt: skip
    """Write a finding down, once for each row and rule."""
    told = s[TOLD] + row
    if s[told] & (1 << rule) or s[N_FINDINGS] >= MOST_FOUND:
        return
    s[told] |= 1 << rule
    at = s[FOUND] + s[N_FINDINGS] * N_FOUND
    s[N_FINDINGS] += 1
    s[at + RULE] = rule
    s[at + TILE] = queue // N_ENGINES
    s[at + ROW] = row
    s[at + QUEUE] = queue
    s[at + SERIAL] = serial
    s[at + OTHER_QUEUE] = other
    s[at + OTHER_SERIAL] = other_serial
    s[at + OWNER] = owner
    s[at + START] = start
    s[at + STOP] = stop
    s[at + EXTRA] = extra


@part
def order(
    s: Cells, other: int, serial: int, queue: int, can_race: bool, owner: int, start: int, stop: int
) -> None:
    """Bring the command at work after another, where hazard checks do; else note that it may not be."""
    if s[s[WORK] + other] >= serial:
        return
    covered = other % N_ENGINES < SEND_QUEUE and queue % N_ENGINES < SEND_QUEUE
    if covered and other // N_ENGINES == queue // N_ENGINES:
        raise_to(s, s[WORK], done_at(s, other, serial))
        return
    if not can_race:
        return
    n = s[N_PENDING]
    p = s[PENDING] + n * N_PENDED
    before = p - N_PENDED
    if (
        n > 0
        and s[before] == other
        and s[before + 1] == serial
        and s[before + 2] == owner
        and s[before + 4] == start
    ):
        s[before + 4] = stop
    elif n < MOST_PENDING:
        s[p] = other
        s[p + 1] = serial
        s[p + 2] = owner
        s[p + 3] = start
        s[p + 4] = stop
        s[N_PENDING] += 1


@part
def settle(s: Cells, row: int, queue: int, serial: int) -> None:
    """Report what is still not ordered before the command at work."""
    for k in range(s[N_PENDING]):
        p = s[PENDING] + k * N_PENDED
        other, count = s[p], s[p + 1]
        if s[s[WORK] + other] < count:
            report(s, RACE, row, queue, serial, other, count, s[p + 2], s[p + 3], s[p + 4], 0)
    s[N_PENDING] = 0


@part
def note_piece(s: Cells, writer: int, size: int, is_tail: bool) -> None:
    """Count bytes of a write among those that a span reads; padding alone is no piece."""
    k = s[N_PIECES]
    for i in range(k - 1, -1, -1):
        if s[s[PIECES] + i * N_PIECE] == writer:
            s[s[PIECES] + i * N_PIECE + 1] += size
            return
    if k < MOST_PIECES and not is_tail:
        s[s[PIECES] + k * N_PIECE] = writer
        s[s[PIECES] + k * N_PIECE + 1] = size
        s[N_PIECES] += 1


@part
def new_write(
    s: Cells, queue: int, serial: int, row: int, owner: int, size: int, flags: int
) -> int:
    """Give a write a number."""
    me = s[N_WRITES]
    s[N_WRITES] += 1
    at = s[WRITES] + me * N_WRITE
    s[at + W_QUEUE] = queue
    s[at + W_SERIAL] = serial
    s[at + W_ROW] = row
    s[at + W_OWNER] = owner
    s[at + W_SIZE] = size
    s[at + W_ALIVE] = size
    s[at + W_FLAGS] = flags
    return me


@part
def row_pad(s: Cells, span: int) -> int:
    """Return the bytes that a span leaves out between its runs, where they are few enough to pad rows; else 0."""
    for level in (2, 1, 0):
        if s[span + COUNT0 + 2 * level] > 1:
            gap = s[span + STRIDE0 + 2 * level] - s[span + INNER]
            return gap if 0 < gap < LEAST_ROW else 0
    return 0


@part
def judge(
    s: Cells, span: int, row: int, owner: int, queue: int, serial: int, held_to: int, tag: int,
    low: int,
) -> None:  # fmt: skip
    """Hold what a span read to the rules about formats and pieces."""
    stop = low + s[span + HULL]
    fmt = s[span + FORMAT_OF]
    if fmt and tag > 0 and tag != fmt:
        report(s, FORMAT, row, queue, serial, -1, 0, owner, low, stop, tag)
    pieces = s[N_PIECES]
    if owner == IN_DRAM or not s[span + EXACT] or pieces < 2 or pieces == MOST_PIECES:
        return
    parts, part_of = 0, 0
    pad = row_pad(s, span)
    # Of an image that moves put together bit by bit moves take the rows that a window needs.
    by_moves = held_to & IS_MOVE if s[span + INNER] >= IMAGE_ROW else 0
    for k in range(pieces):
        p = s[PIECES] + k * N_PIECE
        write = s[WRITES] + s[p] * N_WRITE
        if s[write + W_FLAGS] & INEXACT:
            return
        # Of what is all alike any part will do: the border of an image, say. What pads rows may be left out.
        spared = s[write + W_FLAGS] & (IS_FILL | by_moves)
        left_out = s[write + W_ALIVE] - s[p + 1]
        if left_out > s[p + 1] // s[span + INNER] * pad and not spared:
            parts += 1
            part_of = write
    if (held_to & WHOLE_PIECES and parts) or (held_to & ONE_PART and parts > 1):
        told(s, STRADDLE, row, queue, serial, part_of, owner, low, stop)
    if held_to & NO_REMAINS:
        for k in range(pieces):
            write = s[WRITES] + s[s[PIECES] + k * N_PIECE] * N_WRITE
            # Moves put an image together bit by bit, and fills lie under it.
            spared = s[write + W_FLAGS] & (IS_FILL | IS_MOVE)
            if s[write + W_ALIVE] < s[write + W_SIZE] and not spared:
                told(s, REMAINS, row, queue, serial, write, owner, low, stop)


@part
def told(
    s: Cells, rule: int, row: int, queue: int, serial: int, write: int, owner: int, low: int,
    stop: int,
) -> None:  # fmt: skip
    """Report what a span reads of a write."""
    other, count = s[write + W_QUEUE], s[write + W_SERIAL]
    report(s, rule, row, queue, serial, other, count, owner, low, stop, s[write + W_ROW])
