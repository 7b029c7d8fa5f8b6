"""Compiled code that steps tiles through their rows: processors, queues, joins, flags, barriers, loops."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from numba import njit

from drawloom.check.code import (
    OP,
    T_COUNT,
    T_ENGINE,
    T_FLAG,
    T_N_TILES,
    T_OP,
    T_TILES,
    TEMPLATE,
    Code,
)
from drawloom.check.judge import report
from drawloom.check.kernel import access
from drawloom.check.marks import collect_command, mark_command
from drawloom.check.state import (
    CPU_QUEUE,
    MIXED,
    N_CLOCKS,
    N_ENGINES,
    N_FINDINGS,
    N_FLAGS,
    SEND_QUEUE,
    SOURCES,
    UNARMED,
    Atoms,
    Flags,
    Ints,
    Memory,
    Notes,
    Time,
)
from drawloom.check.steps import follow, part, raise_to, tick
from drawloom.check.templates import (
    ARM,
    BARRIER,
    CPU,
    JOIN,
    PICK,
    SEND,
    SIGNAL,
    WAIT,
)

SHOWN = 64  # findings after which a walk ends
FILES = ("steps", "marks", "judge", "kernel", "state", "code", "templates", "walk")


@part
def arrive(f: Flags, n: Notes, t: Time, flag: int, queue: int, clock_at: int, row: int) -> None:
    """Let something arrive at a flag."""
    f.came[f.came_at[flag] + f.n_came[flag]] = clock_at
    if f.sender[flag] == -1:
        f.sender[flag] = queue
    elif f.sender[flag] != queue:
        f.sender[flag] = -2
    if f.sender[flag] == -2:
        # A wait that took all there was must not have been able to take this one instead.
        target = flag // N_FLAGS
        if f.last[flag] > f.clocks[clock_at, target * N_ENGINES + CPU_QUEUE]:
            serial = f.clocks[clock_at, queue]
            number = flag % N_FLAGS
            report(n, MIXED, queue // N_ENGINES, row, queue, serial, -1, 0, target, number, 0, 0)
    f.n_came[flag] += 1


@part
def bisected(f: Flags, flag: int, seen: int) -> int:
    """Return how many of a flag's arms come before a count of their processor."""
    low, high = 0, f.n_armed[flag]
    while low < high:
        middle = (low + high) // 2
        if f.armed[f.armed_at[flag] + middle] <= seen:
            low = middle + 1
        else:
            high = middle
    return low


@part
def send(c: Code, t: Time, f: Flags, n: Notes, tile: int, row: int) -> None:
    """Let a send arrive at all its targets."""
    which = c.rows[row, TEMPLATE]
    queue = tile * N_ENGINES + SEND_QUEUE
    serial = t.counts[queue]
    number = c.templates[which, T_FLAG]
    clock_at = n.n[N_CLOCKS]
    n.n[N_CLOCKS] += 1
    f.clocks[clock_at, :] = t.work
    for i in range(c.templates[which, T_N_TILES]):
        target = c.lists[c.templates[which, T_TILES] + i]
        flag = target * N_FLAGS + number
        # How often its target has armed the flag, as far as the send comes after that.
        seen = t.work[target * N_ENGINES + CPU_QUEUE]
        ready = bisected(f, flag, seen)
        f.sends[flag] += 1
        if ready < f.sends[flag]:
            sends = f.sends[flag]
            report(n, UNARMED, tile, row, queue, serial, -1, 0, target, number, ready, sends)
        arrive(f, n, t, flag, queue, clock_at, row)


@part
def wait(c: Code, t: Time, f: Flags, tile: int, row: int) -> bool:
    """Let a processor wait; False where not enough has come."""
    which = c.rows[row, TEMPLATE]
    flag = tile * N_FLAGS + c.templates[which, T_FLAG]
    total = f.waited[flag] + c.templates[which, T_COUNT]
    if f.n_came[flag] < total:
        return False
    f.waited[flag] = total
    # What must have come: all, where no more can have; else what its one sender sent first.
    is_all = f.n_came[flag] == total
    if is_all or f.sender[flag] >= 0:
        for k in range(f.merged[flag], total):
            raise_to(t.clock[tile], f.clocks[f.came[f.came_at[flag] + k]])
        f.merged[flag] = total
    serial = tick(t, tile)
    if is_all:
        f.last[flag] = serial
    return True


@part
def engine(c: Code, m: Memory, a: Atoms, t: Time, f: Flags, n: Notes, tile: int, row: int) -> None:
    """Hand a command to its queue: after the processor, the queue, and what it conflicts with."""
    which = c.rows[row, TEMPLATE]
    op, kind = c.templates[which, T_OP], c.templates[which, T_ENGINE]
    processor = tile * N_ENGINES + CPU_QUEUE
    queue, serial = processor, tick(t, tile)
    # What the processor does itself comes first: all of a cpu command, the number of a pick.
    for phase in range(0 if op in (CPU, PICK) else 1, 1 if op == CPU else 2):
        if phase == 1:
            queue = tile * N_ENGINES + kind
            t.counts[queue] += 1
            serial = t.counts[queue]
            if serial > t.depths[kind]:
                raise_to(t.clock[tile], t.done[queue, (serial - t.depths[kind]) % t.done.shape[1]])
        t.work[:] = t.clock[tile, :]
        if phase == 1 and serial > 1:
            raise_to(t.work, t.done[queue, (serial - 1) % t.done.shape[1]])
        t.work[queue] = serial
        access(c, m, a, t, n, tile, row, queue, serial, 1 if op == PICK and phase == 0 else 0)
    if op == SEND:
        send(c, t, f, n, tile, row)
    if op != CPU:
        t.done[queue, serial % t.done.shape[1], :] = t.work


@part
def join(c: Code, t: Time, tile: int, row: int) -> None:
    """Let a processor come after all but the last commands of some queues."""
    which = c.rows[row, TEMPLATE]
    keep, kept = c.templates[which, T_COUNT], t.done.shape[1]
    for i in range(c.templates[which, T_N_TILES]):
        queue = tile * N_ENGINES + c.lists[c.templates[which, T_TILES] + i]
        upto = t.counts[queue] - keep
        if upto > 0 and keep < kept and c.lists[c.templates[which, T_TILES] + i] != CPU_QUEUE:
            raise_to(t.clock[tile], t.done[queue, upto % kept])
    tick(t, tile)


@part
def step(c: Code, m: Memory, a: Atoms, t: Time, f: Flags, n: Notes, tile: int, row: int) -> bool:
    """Run a command; False where the tile cannot go on yet."""
    which = c.rows[row, TEMPLATE]
    op = c.templates[which, T_OP]
    if op == BARRIER:
        return False
    if op == WAIT:
        return wait(c, t, f, tile, row)
    if op == JOIN:
        join(c, t, tile, row)
    elif op == ARM:
        flag = tile * N_FLAGS + c.templates[which, T_FLAG]
        f.armed[f.armed_at[flag] + f.n_armed[flag]] = tick(t, tile)
        f.n_armed[flag] += 1
    elif op == SIGNAL:
        tick(t, tile)
        clock_at = n.n[N_CLOCKS]
        n.n[N_CLOCKS] += 1
        f.clocks[clock_at, :] = t.clock[tile]
        flag = c.lists[c.templates[which, T_TILES]] * N_FLAGS + c.templates[which, T_FLAG]
        arrive(f, n, t, flag, tile * N_ENGINES + CPU_QUEUE, clock_at, row)
    else:
        engine(c, m, a, t, f, n, tile, row)
    return True


@part
def meet(c: Code, t: Time) -> bool:
    """Let tiles that all stand at one barrier go on."""
    moved = False
    for tile in range(t.stands.shape[0]):
        row = t.stands[tile]
        if row < 0 or c.rows[row, OP] != BARRIER:
            continue
        which = c.rows[row, TEMPLATE]
        first, count, number = (
            c.templates[which, T_TILES],
            c.templates[which, T_N_TILES],
            c.templates[which, T_FLAG],
        )
        ready = True
        for i in range(count):
            other = t.stands[c.lists[first + i]]
            ready = ready and other >= 0 and c.rows[other, OP] == BARRIER
            ready = ready and c.templates[c.rows[other, TEMPLATE], T_FLAG] == number
        if not ready:
            continue
        t.work[:] = 0
        for i in range(count):
            raise_to(t.work, t.clock[c.lists[first + i]])
        for i in range(count):
            other = c.lists[first + i]
            raise_to(t.clock[other], t.work)
            tick(t, other)
            t.stands[other] += 1
            follow(c, t, other)
        moved = True
    return moved


@part
def turn(c: Code, m: Memory, a: Atoms, t: Time, f: Flags, n: Notes, tile: int) -> bool:
    """Run a tile until it is held or ends; return whether it ran at all."""
    moved = False
    while t.stands[tile] >= 0 and n.n[N_FINDINGS] < SHOWN:
        if not step(c, m, a, t, f, n, tile, t.stands[tile]):
            break
        t.stands[tile] += 1
        follow(c, t, tile)
        moved = True
    return moved


def _walk(sources: int) -> Callable[..., Any]:
    """Return the walk; Numba keeps the compiled code on disk, where it may write."""

    def walk(c: Code, m: Memory, a: Atoms, t: Time, f: Flags, n: Notes) -> None:
        # Numba's cache compares what a function closes over, but not the files of the
        # functions it calls: the sum of those files makes it notice every change.
        n.n[SOURCES] = sources
        moved = True
        while moved and n.n[N_FINDINGS] < SHOWN:
            moved = False
            for tile in range(t.stands.shape[0]):
                moved = turn(c, m, a, t, f, n, tile) or moved
            moved = meet(c, t) or moved

    return _kept(walk)


def _scans(sources: int) -> tuple[Callable[..., Any], ...]:
    """Return what begins a walk, and the two that look for ranges."""

    def mark(c: Code, m: Memory, t: Time, n: Notes) -> None:
        n.n[SOURCES] = sources
        for tile in range(t.stands.shape[0]):
            while t.stands[tile] >= 0:
                mark_command(c, m, t, tile, t.stands[tile])
                t.stands[tile] += 1
                follow(c, t, tile)

    def collect(c: Code, t: Time, n: Notes, ranges: Ints, pages: Ints) -> int:
        n.n[SOURCES] = sources
        found = 0
        for tile in range(t.stands.shape[0]):
            while t.stands[tile] >= 0:
                found = collect_command(c, t, tile, t.stands[tile], ranges, pages, found)
                t.stands[tile] += 1
                follow(c, t, tile)
        return found

    def begin(c: Code, t: Time, n: Notes) -> None:
        n.n[SOURCES] = sources
        t.turns[:] = 0
        t.at_turn[:] = 0
        for tile in range(t.stands.shape[0]):
            t.stands[tile] = c.starts[tile]
            follow(c, t, tile)

    return tuple(_kept(function) for function in (begin, collect, mark))


def _kept(function: Callable[..., Any]) -> Callable[..., Any]:
    compiler = cast(Any, njit)
    try:
        return compiler(cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder that Numba may write to: compile in every process
        return compiler(error_model="numpy")(function)


def _sources() -> int:
    paths = [Path(__file__).with_name(f"{name}.py") for name in FILES]
    return zlib.crc32(b"".join(path.read_bytes() for path in paths))


walk = _walk(_sources())
begin, collect, mark = _scans(_sources())
