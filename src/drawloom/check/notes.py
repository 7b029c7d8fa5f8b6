"""Compiled code for reads of many runs of DRAM: noted as wholes at the pieces they read from, not run by run.

Who read what matters to a later write only, and which bytes a strided read touches can be worked out again then. So a
piece that is read by columns is not cut at each run: it takes a note of the read. Notes make a list, the last first,
and never change: pieces that are cut from one share its list.
"""

from __future__ import annotations

from drawloom.check.judge import order
from drawloom.check.pieces import cut, is_alike, join_next
from drawloom.check.state import (
    G_FORMAT,
    G_NEXT,
    G_NOTES,
    G_READ,
    G_START,
    G_STOP,
    G_WRITER,
    IN_DRAM,
    INEXACT,
    MOST_DEPTH,
    N_ENGINES,
    N_NOTE,
    N_NOTES,
    N_WRITE,
    NEVER,
    NOBODY,
    NOTES,
    NOTES_ROOM,
    O_BASE,
    O_DEPTH,
    O_NEXT,
    O_QUEUE,
    O_SERIAL,
    O_SPAN,
    SEND_QUEUE,
    W_FLAGS,
    W_QUEUE,
    W_SERIAL,
    WORK,
    WRITES,
    Cells,
)
from drawloom.check.steps import part
from drawloom.check.templates import COUNT0, COUNT1, COUNT2, EXACT, HULL, INNER, LOW, STRIDE0, TAIL

LEAST_RUNS = 8  # that a read must have to be noted
RUNS_A_PIECE = 4  # it must have for each piece it reads from


@part
def order_write(
    s: Cells, w: int, queue: int, owner: int, exact: bool, start: int, stop: int
) -> None:
    """Bring the command at work after a write of bytes that it touches."""
    write = s[WRITES] + w * N_WRITE
    can_race = owner != IN_DRAM or (exact and not s[write + W_FLAGS] & INEXACT)
    order(s, s[write + W_QUEUE], s[write + W_SERIAL], queue, can_race, owner, start, stop)


@part
def below(s: Cells, span: int, base: int, at: int) -> int:
    """Return how many bytes a span touches before an address."""
    left, found = at - base - s[span + LOW], 0
    size = s[span + INNER] * s[span + COUNT0] * s[span + COUNT1] * s[span + COUNT2]
    if left <= 0:
        return 0
    for level in range(3):
        count, stride = s[span + COUNT0 + 2 * level], s[span + STRIDE0 + 2 * level]
        size //= count
        if count > 1:
            turn = left // stride
            if turn >= count:
                return found + count * size
            found += turn * size
            left -= turn * stride
    return found + min(left, size)


@part
def is_nested(s: Cells, span: int) -> bool:
    """Whether a span's runs lie one behind the other, in sequence."""
    extent = s[span + INNER]
    for k in range(3):
        level = 2 * (2 - k)
        count, stride = s[span + COUNT0 + level], s[span + STRIDE0 + level]
        if count > 1:
            if stride < extent:
                return False
            extent += (count - 1) * stride
    return True


@part
def is_ready(s: Cells, w: int, queue: int) -> bool:
    """Whether the command at work comes after a write, or will by the hazard checks."""
    write = s[WRITES] + w * N_WRITE
    other = s[write + W_QUEUE]
    if s[s[WORK] + other] >= s[write + W_SERIAL]:
        return True
    covered = other % N_ENGINES < SEND_QUEUE and queue % N_ENGINES < SEND_QUEUE
    return covered and other // N_ENGINES == queue // N_ENGINES


@part
def noted(s: Cells, g: Cells, k: int, span: int, base: int, queue: int) -> bool:
    """Whether a read of DRAM may be noted as a whole; ``k`` is the piece that holds its first byte.

    That is where it has many more runs than it meets pieces, all it reads was written, and nothing races with it.
    """
    runs = s[span + COUNT0] * s[span + COUNT1] * s[span + COUNT2]
    if runs < LEAST_RUNS or not s[span + EXACT] or s[span + TAIL] or not is_nested(s, span):
        return False
    start = base + s[span + LOW]
    stop = start + s[span + HULL]
    n = 0
    while True:
        n += 1
        if n * RUNS_A_PIECE > runs:
            return False
        first, last = max(start, g[k + G_START]), min(stop, g[k + G_STOP])
        if below(s, span, base, last) > below(s, span, base, first):
            w = g[k + G_WRITER]
            if w == NOBODY or (w > 0 and not is_ready(s, w, queue)):
                return False
            if s[s[NOTES] + g[k + G_NOTES] * N_NOTE + O_DEPTH] >= MOST_DEPTH:
                return False
        if last == stop:
            return s[N_NOTES] + n <= s[NOTES_ROOM]
        k = g[k + G_NEXT]


@part
def note_read(
    s: Cells, g: Cells, k: int, span: int, base: int, queue: int, serial: int, tag: int
) -> int:
    """Note a read at the pieces that it reads from; return the format read, as ``read_run`` does."""
    start = base + s[span + LOW]
    stop = start + s[span + HULL]
    head, new, before = -1, 0, -1
    while True:
        is_kept = g[k + G_READ] != NEVER
        if is_kept:
            k = cut(s, g, IN_DRAM, k, start, stop)
        first, last = max(start, g[k + G_START]), min(stop, g[k + G_STOP])
        if below(s, span, base, last) > below(s, span, base, first):
            if tag != g[k + G_FORMAT]:
                tag = g[k + G_FORMAT] if tag == -1 else 0
            w = g[k + G_WRITER]
            if w > 0:
                order_write(s, w, queue, IN_DRAM, True, first, last)
            if is_kept:
                if g[k + G_NOTES] != head:
                    head = g[k + G_NOTES]
                    new = new_note(s, head, span, base, queue, serial)
                g[k + G_NOTES] = new
                if before >= 0 and g[before + G_NEXT] == k and is_alike(s, g, IN_DRAM, before, k):
                    join_next(s, g, IN_DRAM, before)
                    k = before
                before = k
        if last == stop:
            return tag
        k = g[k + G_NEXT]


@part
def new_note(s: Cells, head: int, span: int, base: int, queue: int, serial: int) -> int:
    """Return a list of notes with one more; in place of the last one where that tells of the same bytes."""
    new = s[N_NOTES]
    s[N_NOTES] += 1
    old, at = s[NOTES] + head * N_NOTE, s[NOTES] + new * N_NOTE
    is_same = head > 0 and s[old + O_QUEUE] == queue
    is_same = is_same and s[old + O_SPAN] == span and s[old + O_BASE] == base
    s[at + O_QUEUE] = queue
    s[at + O_SERIAL] = serial
    s[at + O_SPAN] = span
    s[at + O_BASE] = base
    s[at + O_NEXT] = s[old + O_NEXT] if is_same else head
    s[at + O_DEPTH] = s[old + O_DEPTH] + (0 if is_same else 1)
    return new


@part
def order_notes(s: Cells, note: int, queue: int, exact: bool, start: int, stop: int) -> None:
    """Bring the command at work, which writes some bytes of DRAM, after those noted as their readers."""
    while note:
        at = s[NOTES] + note * N_NOTE
        span, base = s[at + O_SPAN], s[at + O_BASE]
        if below(s, span, base, stop) > below(s, span, base, start):
            order(s, s[at + O_QUEUE], s[at + O_SERIAL], queue, exact, IN_DRAM, start, stop)
        note = s[at + O_NEXT]
