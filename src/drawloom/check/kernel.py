"""Compiled code that looks at every access of every command: its order, its bytes, what became of them."""

from __future__ import annotations

from drawloom.check.code import (
    FIRST,
    N_ROW,
    N_TEMPLATE,
    T_HELD_TO,
    T_N_SPANS,
    T_N_TILES,
    T_SPANS,
    T_TILES,
    TEMPLATE,
)
from drawloom.check.judge import judge, new_write, note_piece, order, report, settle
from drawloom.check.notes import note_read, noted, order_notes, order_write
from drawloom.check.pieces import cut, find, is_alike, join_next
from drawloom.check.state import (
    BOUNDS,
    CPU_QUEUE,
    DRAM_BYTES,
    FORMAT,
    G_FORMAT,
    G_NEXT,
    G_NOTES,
    G_READ,
    G_START,
    G_STOP,
    G_WRITER,
    IN_DRAM,
    INEXACT,
    LISTS,
    N_ENGINES,
    N_PENDING,
    N_PIECES,
    N_TILES,
    N_WRITE,
    NEVER,
    NOBODY,
    ONCE,
    READ_QUEUE,
    READERS,
    ROWS,
    SEND_QUEUE,
    SENDING,
    SPANS,
    SPM_BYTES,
    TEMPLATES,
    UNWRITTEN,
    W_ALIVE,
    W_HOLE,
    W_KILLER,
    W_LOST,
    W_SERIAL,
    WRITES,
    Cells,
)
from drawloom.check.steps import address, part
from drawloom.check.templates import ADDRESS as ADDRESS_OF
from drawloom.check.templates import (
    BY_CPU,
    COPIES,
    COUNT0,
    COUNT1,
    COUNT2,
    DRAM,
    EXACT,
    HULL,
    HULL_LOW,
    INNER,
    LOW,
    N_SPAN,
    ONE_FORMAT,
    PIECED,
    REMOTE,
    RUN,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    TAIL,
)
from drawloom.check.templates import FORMAT as FORMAT_OF
from drawloom.check.templates import WRITES as WRITES_IT


@part
def read_piece(
    s: Cells, w: int, start: int, stop: int, owner: int, queue: int, exact: bool,
    is_tail: bool, held_to: int,
) -> None:  # fmt: skip
    """Bring the command at work after the write that a part of a piece holds, and count it."""
    order_write(s, w, queue, owner, exact, start, stop)
    if owner != IN_DRAM and held_to & PIECED:
        note_piece(s, w, stop - start, is_tail)


@part
def note_reader(
    s: Cells, g: Cells, k: int, before: int, owner: int, queue: int, serial: int
) -> int:
    """Note who reads a piece; join it to the one read before where they are alike. Return what it is then."""
    column = READERS + queue % N_ENGINES
    if owner == IN_DRAM:
        column = READERS + queue // N_ENGINES * 2 + (1 if queue % N_ENGINES == CPU_QUEUE else 0)
    g[k + G_READ] = 1
    g[k + column] = serial
    if before >= 0 and is_alike(s, g, owner, before, k):
        join_next(s, g, owner, before)
        return before
    return k


@part
def whole_units(start: int, hole: int, end: int, unit: int) -> tuple[int, int]:
    """Return how many units of a run that begins at ``start`` lie between two bytes, and the first of them."""
    first = -((start - hole) // unit)
    return max(0, (end - start) // unit - first), start + first * unit


@part
def read_run(
    s: Cells, g: Cells, k: int, start: int, stop: int, owner: int, queue: int, serial: int,
    exact: bool, is_tail: bool, held_to: int, tag: int, unit: int,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Read one run of bytes, ``k`` the piece that holds the first, ``tag`` the format read so far.

    What may pad a block, ``is_tail``, is read too, but it does not matter what lies there. Returns the last piece
    read; the format of all bytes read so far, -1 none yet, 0 several; how many bytes nobody wrote; how many units, of
    which the command takes one at a time, lack all their bytes; the first of these.
    """
    missing, before, units, at, hole = 0, -1, 0, start, -1
    marks = exact or owner != IN_DRAM
    while True:
        is_marked = marks and g[k + G_READ] != NEVER
        if is_marked:
            k = cut(s, g, owner, k, start, stop)
        first, last = max(start, g[k + G_START]), min(stop, g[k + G_STOP])
        w = g[k + G_WRITER]
        if w == NOBODY:
            missing += last - first
            hole = first if hole < 0 else hole
        elif not is_tail and tag != g[k + G_FORMAT]:
            tag = g[k + G_FORMAT] if tag == -1 else 0
        if w > 0:
            read_piece(s, w, first, last, owner, queue, exact, is_tail, held_to)
        if is_marked:
            k = note_reader(s, g, k, before, owner, queue, serial)
            before = k
        if hole >= 0 and (w != NOBODY or last == stop):
            lacking, where = whole_units(start, hole, last if w == NOBODY else first, unit)
            at = where if units == 0 else at
            units, hole = units + lacking, -1
        if last == stop:
            return k, tag, missing, units, at
        k = g[k + G_NEXT]


@part
def leave(s: Cells, g: Cells, k: int, owner: int, queue: int, me: int, exact: bool) -> bool:
    """Write over a piece: after who wrote and read it; its bytes are gone.

    Returns whether a send writes over what it still reads for other targets.
    """
    is_sending = False
    start, stop = g[k + G_START], g[k + G_STOP]
    w = g[k + G_WRITER]
    if w > 0:
        order_write(s, w, queue, owner, exact, start, stop)
        write = s[WRITES] + w * N_WRITE
        s[write + W_ALIVE] -= stop - start
        if g[k + G_READ] <= 0:
            s[write + W_LOST] += stop - start
            s[write + W_HOLE] = max(s[write + W_HOLE], stop - start)
            s[write + W_KILLER] = me
    if g[k + G_READ] > 0 or g[k + G_READ] == SENDING:
        in_dram = owner == IN_DRAM
        for r in range(s[N_TILES] * 2 if in_dram else N_ENGINES):
            serial = g[k + READERS + r]
            if serial:
                other = owner * N_ENGINES + r
                if in_dram:
                    other = r // 2 * N_ENGINES + (CPU_QUEUE if r % 2 else READ_QUEUE)
                if other == queue and serial > s[s[WRITES] + me * N_WRITE + W_SERIAL]:
                    is_sending = True
                order(s, other, serial, queue, exact or not in_dram, owner, start, stop)
                g[k + READERS + r] = 0
    if g[k + G_NOTES]:
        order_notes(s, g[k + G_NOTES], queue, exact, start, stop)
        g[k + G_NOTES] = 0
    return is_sending


@part
def write_run(
    s: Cells, g: Cells, k: int, start: int, stop: int, owner: int, queue: int, me: int,
    exact: bool, tag: int,
) -> int:  # fmt: skip
    """Write one run of bytes, ``k`` the piece that holds the first; return the piece that it is then."""
    k = cut(s, g, owner, k, start, stop)
    is_sending = leave(s, g, k, owner, queue, me, exact)
    while g[k + G_STOP] < stop:
        after = cut(s, g, owner, g[k + G_NEXT], start, stop)
        is_sending = leave(s, g, after, owner, queue, me, exact) or is_sending
        join_next(s, g, owner, k)
    g[k + G_WRITER] = me
    g[k + G_FORMAT] = tag
    g[k + G_READ] = 0
    if is_sending:
        g[k + G_READ] = SENDING
        g[k + READERS + SEND_QUEUE] = s[s[WRITES] + me * N_WRITE + W_SERIAL] + 1
    return k


@part
def touch_runs(
    s: Cells, g: Cells, span: int, base: int, owner: int, queue: int, serial: int, who: int,
    held_to: int, tag: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Touch all runs of a span; return the format read, how many bytes nobody wrote, and the first of them."""
    exact, inner = s[span + EXACT] == 1, s[span + INNER]
    tail = min(inner, s[span + TAIL])
    inside, innermost = s[span + COUNT1] * s[span + COUNT2], s[span + COUNT2]
    gaps, gap_at, k = 0, 0, -1
    for run in range(s[span + COUNT0] * inside):
        start = base + s[span + LOW] + run // inside * s[span + STRIDE0]
        start += run % inside // innermost * s[span + STRIDE1] + run % innermost * s[span + STRIDE2]
        if s[span + WRITES_IT]:
            k = find(s, g, owner, start, k)
            k = write_run(s, g, k, start, start + inner, owner, queue, who, exact, tag)
            continue
        if tail < inner:
            stop = start + inner - tail
            k = find(s, g, owner, start, k)
            k, tag, missing, units, at = read_run(
                s,
                g,
                k,
                start,
                stop,
                owner,
                queue,
                serial,
                exact,
                False,
                held_to,
                tag,
                s[span + RUN],
            )
            # In DRAM a part of what is taken at a time may be a pad that nobody wrote.
            lacks = units * s[span + RUN] if owner == IN_DRAM else missing
            if lacks:
                gap_at = (at if owner == IN_DRAM else start) if gaps == 0 else gap_at
                gaps += lacks
        if tail:
            k = find(s, g, owner, start + inner - tail, k)
            k, _, _, _, _ = read_run(
                s, g, k, start + inner - tail, start + inner, owner, queue, serial, exact, True,
                held_to, 0, tail,
            )  # fmt: skip
    return tag, gaps, gap_at


@part
def touch(
    s: Cells, g: Cells, span: int, base: int, row: int, owner: int, queue: int, serial: int,
    held_to: int, tag: int,
) -> int:  # fmt: skip
    """Touch the bytes of a span; return the format of what was read."""
    low, hull = base + s[span + HULL_LOW], s[span + HULL]
    size = s[DRAM_BYTES] if owner == IN_DRAM else s[SPM_BYTES]
    if low < 0 or low + hull > size:
        report(s, BOUNDS, row, queue, serial, -1, 0, owner, low, low + hull, size)
        return 0
    if hull == 0:
        return tag
    exact, inner = s[span + EXACT], s[span + INNER]
    k = find(s, g, owner, low, -1) if owner == IN_DRAM else -1
    runs = s[span + COUNT0] * s[span + COUNT1] * s[span + COUNT2]
    if s[span + WRITES_IT]:
        flags = held_to | (0 if exact else INEXACT)
        # Of a send this is what has come to a target, before the send has ended.
        count = serial - (1 if s[span + SPACE] == REMOTE else 0)
        # Written once, as it should be, and never read: no need to know by whom.
        is_once = k >= 0 and g[k + G_READ] == ONCE and g[k + G_STOP] >= low + hull
        if is_once and (tag == 0 or tag == g[k + G_FORMAT]):
            return tag
        who = new_write(s, queue, count, row, owner, runs * inner, flags)
        touch_runs(s, g, span, base, owner, queue, serial, who, held_to, tag)
        return tag
    s[N_PIECES] = 0
    gaps, gap_at = 0, base + s[span + LOW]
    # What is never written is all alike: no need to look at its runs.
    if k >= 0 and g[k + G_READ] == NEVER and g[k + G_STOP] >= low + hull:
        tag = g[k + G_FORMAT]
        if g[k + G_WRITER] == NOBODY:
            tag, gaps = -1, runs * inner
    elif k >= 0 and noted(s, g, k, span, base, queue):
        tag = note_read(s, g, k, span, base, queue, serial, tag)
    else:
        tag, gaps, gap_at = touch_runs(s, g, span, base, owner, queue, serial, serial, held_to, tag)
    length = s[span + RUN] if owner == IN_DRAM else inner
    if gaps and (exact or gaps == hull):
        report(s, UNWRITTEN, row, queue, serial, -1, 0, owner, gap_at, gap_at + length, gaps)
    judge(s, span, row, owner, queue, serial, held_to, tag, low)
    return tag


@part
def access(s: Cells, g: Cells, tile: int, row: int, queue: int, serial: int, by_cpu: int) -> None:
    """Touch all that a command touches, or all that the processor does for it."""
    at = s[ROWS] + row * N_ROW
    which = s[TEMPLATES] + s[at + TEMPLATE] * N_TEMPLATE
    held_to, first = s[which + T_HELD_TO], s[at + FIRST]
    s[N_PENDING] = 0
    tag, kept = -1, -1
    for k in range(s[which + T_SPANS], s[which + T_SPANS] + s[which + T_N_SPANS]):
        span = s[SPANS] + k * N_SPAN
        if s[span + BY_CPU] != by_cpu:
            continue
        base = address(s, first + s[span + ADDRESS_OF], tile)
        is_remote = s[span + SPACE] == REMOTE
        for i in range(s[which + T_N_TILES] if is_remote else 1):
            owner = IN_DRAM if s[span + SPACE] == DRAM else tile
            if is_remote:
                owner = s[s[LISTS] + s[which + T_TILES] + i]
            carried = -1
            if s[span + WRITES_IT]:
                carried = max(tag, 0) if held_to & COPIES else s[span + FORMAT_OF]
            found = touch(s, g, span, base, row, owner, queue, serial, held_to, carried)
            if not s[span + WRITES_IT]:
                tag = found
                kept = tag if kept == -1 else kept
            elif held_to & ONE_FORMAT and kept > 0 and tag > 0 and kept != tag:
                # What a mask leaves out stays, in the format that it has.
                low = base + s[span + HULL_LOW]
                report(s, FORMAT, row, queue, serial, -1, 0, owner, low, low + s[span + HULL], kept)
    settle(s, row, queue, serial)
