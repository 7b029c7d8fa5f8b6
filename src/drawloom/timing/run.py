"""The whole of timing: price the commands, run the machine, hand back the Trace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.chip.model import Chip
from drawloom.program.program import Program
from drawloom.timing import compile as compiling
from drawloom.timing import hang, state
from drawloom.timing.state import Ints
from drawloom.timing.table import command_table, profile_of
from drawloom.timing.trace import Trace

Progress = Callable[[int, int], None]


def time(
    program: Program, chip: Chip, profile: str = "lean", *, progress: Progress | None = None
) -> Trace:
    """Run a program on a chip for its times: no value is computed.

    Args:
        program: the commands of every tile.
        chip: the machine; its rates, queues, links and energy.
        profile: the software on the tile, a key of ``chip.profiles``.
        progress: called now and then with the events so far and the time reached (ps).

    Raises:
        InputError: the chip has no such profile, or cannot run the program.
        Hang: the program does not end: a send to a flag that is not armed, or a deadlock.
    """
    costs = profile_of(chip, profile)
    table = command_table(program, chip, costs)
    s, spans = run_machine(compiling.machine([program], chip, costs, [table]), progress)
    if s[state.HUNG_TILE] >= 0:
        raise hang.unarmed(program, table, s)
    if not hang.halted(s):
        raise hang.deadlock(program, table, s)
    return Trace(
        program=program,
        chip=chip,
        profile=profile,
        table=table,
        command=spans[:, 0].astype(np.int32),
        start_ps=spans[:, 1].copy(),
        end_ps=spans[:, 2].copy(),
        spent_ps=state.tiles_of(s)[:, state.S_ISSUE : state.INDEX].copy(),
        total_ps=int(s[state.NOW]),
        events=int(s[state.EVENTS]),
    )


def ends(program: Program, chip: Chip, profile: str = "lean") -> list[list[int]]:
    """Return when each command of each tile ends, in picoseconds, of a program without loops.

    Raises:
        InputError: the chip has no such profile, or cannot run the program.
        Hang: the program does not end.
    """
    trace = time(program, chip, profile)
    over = np.zeros(len(trace.table.commands), np.int64)
    over[trace.command] = trace.end_ps
    behind = np.cumsum([len(stream) for stream in program.streams])
    assert behind[-1] == len(over), "loops"
    return [part.tolist() for part in np.split(over, behind[:-1])]


def run_machine(s: Ints, progress: Progress | None) -> tuple[Ints, Ints]:
    """Run the machine to its end; return it and its spans."""
    from drawloom.timing.machine import advance  # here, since it imports Numba

    chunks: list[Ints] = []
    while True:
        status = advance(s)
        chunks.append(state.spans_of(s))
        s[state.N_OUT] = 0
        if status != state.FULL:
            return s, np.concatenate(chunks)
        if s[state.N_HEAP] > s[state.HEAP_ROOM] // 2:
            s = compiling.with_more_heap(s)
        if progress:
            progress(int(s[state.EVENTS]), int(s[state.NOW]))
