"""Compiled code that looks at every access of every command: its order, its bytes, what became of them."""

from __future__ import annotations

from typing import Any

from drawloom.check.code import (
    FIRST,
    T_HELD_TO,
    T_N_SPANS,
    T_N_TILES,
    T_SPANS,
    T_TILES,
    TEMPLATE,
    Code,
)
from drawloom.check.judge import judge, new_write, note_piece, order, report, settle
from drawloom.check.state import (
    BOUNDS,
    CPU_QUEUE,
    IN_DRAM,
    INEXACT,
    N_ENGINES,
    N_PENDING,
    N_PIECES,
    READ_QUEUE,
    UNWRITTEN,
    W_ALIVE,
    W_FLAGS,
    W_KILLER,
    W_LOST,
    W_QUEUE,
    W_SERIAL,
    Atoms,
    Memory,
    Notes,
    Time,
)
from drawloom.check.steps import address, overlapping, part
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
    REMOTE,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    TAIL,
    WRITES,
)
from drawloom.check.templates import FORMAT as FORMAT_OF


@part
def read_atoms(
    a: Atoms, t: Time, n: Notes, first: int, last: int, queue: int, serial: int, tag: int,
    owner: int, exact: bool, is_tail: bool,
) -> tuple[int, int]:  # fmt: skip
    """Read atoms; return the format of all bytes read so far (-1 none yet, 0 several), and bytes unwritten.

    What may pad a block, ``is_tail``, is read too, but it does not matter what lies there.
    """
    missing = 0
    in_dram = owner == IN_DRAM
    reader = queue % N_ENGINES
    if in_dram:
        reader = queue // N_ENGINES * 2 + (1 if reader == CPU_QUEUE else 0)
    for k in range(first, last):
        w = a.writer[k]
        if w < 0:
            missing += a.size[k]
        elif w > 0:
            write = n.writes[w]
            can_race = not in_dram or (exact and not write[W_FLAGS] & INEXACT)
            order(
                t,
                n,
                write[W_QUEUE],
                write[W_SERIAL],
                queue,
                can_race,
                owner,
                a.start[k],
                a.start[k] + a.size[k],
            )
            if not in_dram:
                note_piece(n, w, a.size[k], is_tail)
        if w >= 0 and not is_tail:
            tag = a.format[k] if tag in (-1, a.format[k]) else 0
        if exact or not in_dram:
            a.is_read[k] = 1
            a.readers[a.slot[k] + reader] = serial
    return tag, missing


@part
def write_atoms(
    a: Atoms, t: Time, n: Notes, first: int, last: int, queue: int, me: int, tag: int,
    owner: int, exact: bool,
) -> None:  # fmt: skip
    """Write atoms: after who wrote and read them, whose bytes are gone."""
    in_dram = owner == IN_DRAM
    n_readers = t.clock.shape[0] * 2 if in_dram else N_ENGINES
    for k in range(first, last):
        start = a.start[k]
        stop = start + a.size[k]
        w = a.writer[k]
        if w > 0:
            write = n.writes[w]
            can_race = not in_dram or (exact and not write[W_FLAGS] & INEXACT)
            order(t, n, write[W_QUEUE], write[W_SERIAL], queue, can_race, owner, start, stop)
            write[W_ALIVE] -= a.size[k]
            if not a.is_read[k]:
                write[W_LOST] += a.size[k]
                write[W_KILLER] = me
        if a.is_read[k]:
            for r in range(n_readers):
                serial = a.readers[a.slot[k] + r]
                if serial:
                    other = owner * N_ENGINES + r
                    if in_dram:
                        other = r // 2 * N_ENGINES + (CPU_QUEUE if r % 2 else READ_QUEUE)
                    order(t, n, other, serial, queue, exact or not in_dram, owner, start, stop)
                    a.readers[a.slot[k] + r] = 0
            a.is_read[k] = 0
        a.writer[k] = me
        a.format[k] = tag


@part
def touch_run(
    m: Memory, a: Atoms, t: Time, n: Notes, start: int, stop: int, owner: int, queue: int,
    who: int, is_write: bool, tag: int, exact: bool, is_tail: bool,
) -> tuple[int, int]:  # fmt: skip
    """Touch one run of bytes; return the format read so far and how many bytes nobody wrote."""
    in_dram = owner == IN_DRAM
    parts = m.parts if in_dram else m.local
    grain = m.grain[1] if in_dram else m.grain[0]
    shift = 0 if in_dram else owner * m.grain[2]
    missing = stop - start
    at = overlapping(parts, start)
    low = start
    while low < stop:
        inside, behind = stop, stop
        if at < parts.shape[0] and parts[at, 0] < stop:
            inside, behind = max(low, parts[at, 0]), min(stop, parts[at, 1])
        if inside > low and in_dram and not is_write:
            found, tag = brought(m, low, inside, tag)
            missing -= found
        if inside < stop:
            cell = shift + parts[at, 2] + (inside - parts[at, 0]) // grain
            first, last = m.atom[cell], m.atom[cell + (behind - inside) // grain]
            if is_write:
                write_atoms(a, t, n, first, last, queue, who, tag, owner, exact)
            else:
                tag, gap = read_atoms(a, t, n, first, last, queue, who, tag, owner, exact, is_tail)
                missing -= behind - inside - gap
        low = behind
        at += 1
    return tag, missing


@part
def brought(m: Memory, start: int, stop: int, tag: int) -> tuple[int, int]:
    """Return how many bytes lie there before the program, and the format read so far."""
    at = overlapping(m.brought, start)
    found = 0
    while at < m.brought.shape[0] and m.brought[at, 0] < stop:
        found += min(stop, m.brought[at, 1]) - max(start, m.brought[at, 0])
        tag = m.brought[at, 2] if tag in (-1, m.brought[at, 2]) else 0
        at += 1
    return found, tag


@part
def touch_runs(
    m: Memory, a: Atoms, t: Time, n: Notes, span: Any, base: int, owner: int, queue: int, who: int,
    tag: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Touch all runs of a span; return the format read, how many bytes nobody wrote, and the first of them."""
    is_write, exact = span[WRITES] == 1, span[EXACT] == 1
    gaps, gap_at = 0, 0
    for i in range(span[COUNT0]):
        for j in range(span[COUNT1]):
            for k in range(span[COUNT2]):
                start = base + span[LOW] + i * span[STRIDE0] + j * span[STRIDE1] + k * span[STRIDE2]
                middle = start + span[INNER] - span[TAIL]
                for is_tail in range(2 if span[TAIL] else 1):
                    first = middle if is_tail else start
                    last = start + span[INNER] if is_tail else middle
                    tag, missing = touch_run(
                        m,
                        a,
                        t,
                        n,
                        first,
                        last,
                        owner,
                        queue,
                        who,
                        is_write,
                        tag,
                        exact,
                        is_tail == 1,
                    )
                    if missing and not is_tail and (owner != IN_DRAM or missing == span[INNER]):
                        gap_at = first if gaps == 0 else gap_at
                        gaps += missing
    return tag, gaps, gap_at


@part
def touch(
    m: Memory, a: Atoms, t: Time, n: Notes, span: Any, base: int, tile: int, row: int,
    owner: int, queue: int, serial: int, held_to: int, tag: int,
) -> int:  # fmt: skip
    """Touch the bytes of a span; return the format of what was read."""
    low = base + span[HULL_LOW]
    size = m.size[1] if owner == IN_DRAM else m.size[0]
    if low < 0 or low + span[HULL] > size:
        report(n, BOUNDS, tile, row, queue, serial, -1, 0, owner, low, low + span[HULL], size)
        return 0
    if span[HULL] == 0:
        return tag
    is_write, exact = span[WRITES] == 1, span[EXACT] == 1
    who = serial
    runs = span[COUNT0] * span[COUNT1] * span[COUNT2]
    if is_write:
        flags = held_to | (0 if exact else INEXACT)
        who = new_write(n, queue, serial, row, owner, runs * span[INNER], flags)
    n.n[N_PIECES] = 0
    tag, gaps, gap_at = touch_runs(m, a, t, n, span, base, owner, queue, who, tag)
    if not is_write:
        if gaps and (exact or gaps == span[HULL]):
            report(
                n,
                UNWRITTEN,
                tile,
                row,
                queue,
                serial,
                -1,
                0,
                owner,
                gap_at,
                gap_at + span[INNER],
                gaps,
            )
        judge(n, span, tile, row, owner, queue, serial, held_to, tag, low)
    return tag


@part
def access(
    c: Code,
    m: Memory,
    a: Atoms,
    t: Time,
    n: Notes,
    tile: int,
    row: int,
    queue: int,
    serial: int,
    by_cpu: int,
) -> None:
    """Touch all that a command touches, or all that the processor does for it."""
    which = c.rows[row, TEMPLATE]
    held_to, first, spans = (
        c.templates[which, T_HELD_TO],
        c.templates[which, T_SPANS],
        c.templates[which, T_N_SPANS],
    )
    n.n[N_PENDING] = 0
    tag = -1
    for k in range(first, first + spans):
        span = c.spans[k]
        if span[BY_CPU] != by_cpu:
            continue
        base = address(c, c.rows[row, FIRST] + span[ADDRESS_OF], t.at_turn[tile])
        is_remote = span[SPACE] == REMOTE
        for i in range(c.templates[which, T_N_TILES] if is_remote else 1):
            owner = IN_DRAM if span[SPACE] == DRAM else tile
            if is_remote:
                owner = c.lists[c.templates[which, T_TILES] + i]
            carried = -1
            if span[WRITES]:
                carried = max(tag, 0) if held_to & COPIES else span[FORMAT_OF]
            found = touch(m, a, t, n, span, base, tile, row, owner, queue, serial, held_to, carried)
            if not span[WRITES]:
                tag = found
    settle(n, t, tile, row, queue, serial)
