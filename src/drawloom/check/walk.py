"""Compiled code that steps tiles through their rows: processors, queues, joins, flags, barriers, loops."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from numba import njit

from drawloom.check.code import (
    N_ROW,
    N_TEMPLATE,
    OP,
    T_COUNT,
    T_ENGINE,
    T_FLAG,
    T_MADE,
    T_N_TILES,
    T_OP,
    T_TILES,
    TEMPLATE,
    TURNS,
)
from drawloom.check.judge import report
from drawloom.check.kernel import access
from drawloom.check.state import (
    ARMED,
    ARMED_AT,
    CAME,
    CAME_AT,
    CLOCK,
    CLOCKS,
    COUNTS,
    CPU_QUEUE,
    DEPTHS,
    LAST,
    LISTS,
    LOOK,
    LOOKED,
    MERGED,
    MIXED,
    N_ARMED,
    N_CAME,
    N_CLOCK,
    N_CLOCKS,
    N_ENGINES,
    N_FINDINGS,
    N_FLAGS,
    N_FREE,
    N_KEPT,
    N_TILES,
    ROWS,
    SEND_QUEUE,
    SENDER,
    SENDS,
    SOURCES,
    STANDS,
    TEMPLATES,
    UNARMED,
    WAITED,
    WANTS_LOOK,
    WANTS_ROOM,
    WORK,
    Cells,
    Ints,
)
from drawloom.check.steps import done_at, first_of, follow, part, raise_to, tick
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
FILES = ("steps", "pieces", "judge", "notes", "kernel", "state", "code", "templates", "walk")


@part
def template_of(s: Cells, row: int) -> int:
    """Return where the template of a row stands."""
    return s[TEMPLATES] + s[s[ROWS] + row * N_ROW + TEMPLATE] * N_TEMPLATE


@part
def new_clock(s: Cells, clock: int) -> int:
    """Keep a clock for those it is handed to; return its number."""
    number = s[N_CLOCKS]
    s[N_CLOCKS] += 1
    n = s[N_CLOCK]
    kept = s[CLOCKS] + number * n
    for k in range(n):
        s[kept + k] = s[clock + k]
    return number


@part
def arrive(s: Cells, flag: int, queue: int, number: int, row: int) -> None:
    """Let something arrive at a flag, with the clock of that number."""
    s[s[CAME] + s[s[CAME_AT] + flag] + s[s[N_CAME] + flag]] = number
    sender = s[SENDER] + flag
    if s[sender] == -1:
        s[sender] = queue
    elif s[sender] != queue:
        s[sender] = -2
    if s[sender] == -2:
        # A wait that took all there was must not have been able to take this one instead.
        target = flag // N_FLAGS
        clock = s[CLOCKS] + number * s[N_CLOCK]
        if s[s[LAST] + flag] > s[clock + target * N_ENGINES + CPU_QUEUE]:
            report(s, MIXED, row, queue, s[clock + queue], -1, 0, target, flag % N_FLAGS, 0, 0)
    s[s[N_CAME] + flag] += 1


@part
def n_ready(s: Cells, flag: int, seen: int) -> int:
    """Return how many of a flag's arms come before a count of their processor."""
    armed = s[ARMED] + s[s[ARMED_AT] + flag]
    low, high = 0, s[s[N_ARMED] + flag]
    while low < high:
        middle = (low + high) // 2
        if s[armed + middle] <= seen:
            low = middle + 1
        else:
            high = middle
    return low


@part
def send(s: Cells, tile: int, row: int) -> None:
    """Let a send arrive at all its targets."""
    which = template_of(s, row)
    queue = tile * N_ENGINES + SEND_QUEUE
    serial = s[s[WORK] + queue]
    clock = new_clock(s, s[WORK])
    if s[which + T_N_TILES] > 1:
        # What has come to one target may still be on its way to another.
        s[s[CLOCKS] + clock * s[N_CLOCK] + queue] = serial - 1
    for i in range(s[which + T_N_TILES]):
        target = s[s[LISTS] + s[which + T_TILES] + i]
        flag = target * N_FLAGS + s[which + T_FLAG]
        # How often its target has armed the flag, as far as the send comes after that.
        ready = n_ready(s, flag, s[s[WORK] + target * N_ENGINES + CPU_QUEUE])
        s[s[SENDS] + flag] += 1
        sends = s[s[SENDS] + flag]
        if ready < sends:
            report(s, UNARMED, row, queue, serial, -1, 0, target, s[which + T_FLAG], ready, sends)
        arrive(s, flag, queue, clock, row)


@part
def wait(s: Cells, tile: int, row: int) -> bool:
    """Let a processor wait; False where not enough has come."""
    which = template_of(s, row)
    flag = tile * N_FLAGS + s[which + T_FLAG]
    total = s[s[WAITED] + flag] + s[which + T_COUNT]
    if s[s[N_CAME] + flag] < total:
        return False
    s[s[WAITED] + flag] = total
    # What must have come: all, where no more can have; else what its one sender sent first.
    is_all = s[s[N_CAME] + flag] == total
    if is_all or s[s[SENDER] + flag] >= 0:
        n = s[N_CLOCK]
        came = s[CAME] + s[s[CAME_AT] + flag]
        for k in range(s[s[MERGED] + flag], total):
            raise_to(s, s[CLOCK] + tile * n, s[CLOCKS] + s[came + k] * n)
        s[s[MERGED] + flag] = total
    serial = tick(s, tile)
    if is_all:
        s[s[LAST] + flag] = serial
    return True


@part
def engine(s: Cells, g: Cells, tile: int, row: int) -> None:
    """Hand a command to its queue: after the processor, the queue, and what it conflicts with."""
    which = template_of(s, row)
    op, kind = s[which + T_OP], s[which + T_ENGINE]
    n = s[N_CLOCK]
    clock, work = s[CLOCK] + tile * n, s[WORK]
    queue = tile * N_ENGINES + CPU_QUEUE
    serial = tick(s, tile)
    count = 0
    # What the processor does itself comes first: all of a cpu command, the number of a pick.
    by_cpu = op == CPU
    for phase in range(0 if by_cpu or op == PICK else 1, 1 if by_cpu else 2):
        if phase == 1:
            queue = tile * N_ENGINES + kind
            s[s[COUNTS] + queue] += 1
            count = s[s[COUNTS] + queue]
            # A send counts twice: when it has come to a target, and when it has ended.
            serial = 2 * count if op == SEND else count
            depth = s[s[DEPTHS] + kind]
            if count > depth:
                raise_to(s, clock, done_at(s, queue, count - depth))
        for k in range(n):
            s[work + k] = s[clock + k]
        if phase == 1 and count > 1:
            raise_to(s, work, done_at(s, queue, count - 1))
        s[work + queue] = serial
        access(s, g, tile, row, queue, serial, 1 if op == PICK and phase == 0 else 0)
    if op == SEND:
        send(s, tile, row)
    if op != CPU:
        done = done_at(s, queue, count)
        for k in range(n):
            s[done + k] = s[work + k]


@part
def join(s: Cells, tile: int, row: int) -> None:
    """Let a processor come after all but the last commands of some queues."""
    which = template_of(s, row)
    keep = s[which + T_COUNT]
    for i in range(s[which + T_N_TILES]):
        kind = s[s[LISTS] + s[which + T_TILES] + i]
        queue = tile * N_ENGINES + kind
        upto = s[s[COUNTS] + queue] - keep
        if upto > 0 and keep < s[N_KEPT] and kind != CPU_QUEUE:
            raise_to(s, s[CLOCK] + tile * s[N_CLOCK], done_at(s, queue, upto))
    tick(s, tile)


@part
def step(s: Cells, g: Cells, tile: int, row: int) -> bool:
    """Run a command; False where the tile cannot go on yet."""
    which = template_of(s, row)
    op = s[which + T_OP]
    if op == BARRIER:
        return False
    if op == WAIT:
        return wait(s, tile, row)
    if op == JOIN:
        join(s, tile, row)
    elif op == ARM:
        flag = tile * N_FLAGS + s[which + T_FLAG]
        s[s[ARMED] + s[s[ARMED_AT] + flag] + s[s[N_ARMED] + flag]] = tick(s, tile)
        s[s[N_ARMED] + flag] += 1
    elif op == SIGNAL:
        tick(s, tile)
        number = new_clock(s, s[CLOCK] + tile * s[N_CLOCK])
        flag = s[s[LISTS] + s[which + T_TILES]] * N_FLAGS + s[which + T_FLAG]
        arrive(s, flag, tile * N_ENGINES + CPU_QUEUE, number, row)
    else:
        if s[N_FREE] < s[which + T_MADE]:
            s[WANTS_ROOM] = 1
            return False
        engine(s, g, tile, row)
    return True


@part
def is_at(s: Cells, row: int, number: int) -> bool:
    """Whether a row is a barrier of a set of tiles."""
    if row < 0 or s[s[ROWS] + row * N_ROW + OP] != BARRIER:
        return False
    return s[template_of(s, row) + T_FLAG] == number


@part
def meet(s: Cells) -> bool:
    """Let tiles that all stand at one barrier go on."""
    moved = False
    n = s[N_CLOCK]
    for tile in range(s[N_TILES]):
        row = s[s[STANDS] + tile]
        if row < 0 or s[s[ROWS] + row * N_ROW + OP] != BARRIER:
            continue
        which = template_of(s, row)
        first, count = s[LISTS] + s[which + T_TILES], s[which + T_N_TILES]
        ready = True
        for i in range(count):
            ready = ready and is_at(s, s[s[STANDS] + s[first + i]], s[which + T_FLAG])
        if not ready:
            continue
        if s[s[ROWS] + row * N_ROW + TURNS] == LOOK and not s[LOOKED]:
            s[WANTS_LOOK] = 1
            return False
        s[LOOKED] = 0
        for k in range(n):
            s[s[WORK] + k] = 0
        for i in range(count):
            raise_to(s, s[WORK], s[CLOCK] + s[first + i] * n)
        for i in range(count):
            other = s[first + i]
            raise_to(s, s[CLOCK] + other * n, s[WORK])
            tick(s, other)
            follow(s, other, s[s[STANDS] + other] + 1)
        moved = True
    return moved


@part
def turn(s: Cells, g: Cells, tile: int) -> bool:
    """Run a tile until it is held or ends; return whether it ran at all."""
    moved = False
    row = s[s[STANDS] + tile]
    while row >= 0 and s[N_FINDINGS] < SHOWN:
        if not step(s, g, tile, row):
            break
        row = follow(s, tile, row + 1)
        moved = True
    return moved


def _walk(sources: int) -> Callable[[Ints, Ints], None]:
    """Return the walk; Numba keeps the compiled code on disk, where it may write."""

    def walk(cells: Ints, pieces: Ints) -> None:
        s, g = first_of(cells), first_of(pieces)
        # Numba's cache compares what a function closes over, but not the files of the
        # functions it calls: the sum of those files makes it notice every change.
        if s[SOURCES] != sources:
            s[SOURCES] = sources
            for tile in range(s[N_TILES]):
                follow(s, tile, s[s[STANDS] + tile])
        moved = True
        while moved and s[N_FINDINGS] < SHOWN:
            moved = False
            for tile in range(s[N_TILES]):
                moved = turn(s, g, tile) or moved
                if s[WANTS_ROOM]:
                    return
            moved = meet(s) or moved
            if s[WANTS_LOOK]:
                return

    return _kept(walk)


def _kept(function: Callable[[Ints, Ints], None]) -> Callable[[Ints, Ints], None]:
    compiler = cast(Any, njit)
    try:
        return compiler(cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder that Numba may write to: compile in every process
        return compiler(error_model="numpy")(function)


def _sources() -> int:
    paths = [Path(__file__).with_name(f"{name}.py") for name in FILES]
    return zlib.crc32(b"".join(path.read_bytes() for path in paths))


walk = _walk(_sources())
