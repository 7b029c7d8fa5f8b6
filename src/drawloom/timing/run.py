"""The whole of timing: price the commands, run the machine, hand back the Trace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.chip.model import Chip
from drawloom.program.program import Program
from drawloom.timing import compile as compiling
from drawloom.timing import hang, state
from drawloom.timing.state import Machine
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
    m, chunks = _run(compiling.machine(program, chip, costs, table), progress)
    if m.g[state.HUNG_TILE] >= 0:
        raise hang.unarmed(program, table, m)
    if not hang.halted(m):
        raise hang.deadlock(program, table, m)
    spans = np.concatenate(chunks)
    return Trace(
        program=program,
        chip=chip,
        profile=profile,
        table=table,
        command=spans[:, 0].astype(np.int32),
        start_ps=spans[:, 1].copy(),
        end_ps=spans[:, 2].copy(),
        spent_ps=m.spent,
        total_ps=int(m.g[state.NOW]),
        events=int(m.g[state.EVENTS]),
    )


def _run(m: Machine, progress: Progress | None) -> tuple[Machine, list[state.Ints]]:
    """Run the machine to its end; return it with its spans."""
    from drawloom.timing.machine import advance  # here, so that only timing imports Numba

    chunks: list[state.Ints] = []
    while True:
        status = advance(m)
        chunks.append(m.out[: m.g[state.OUT]].copy())
        m.g[state.OUT] = 0
        if status != state.FULL:
            return m, chunks
        if m.g[state.HEAP] > len(m.heap) // 2:
            m = m._replace(heap=np.concatenate([m.heap, np.zeros_like(m.heap)]))
        if progress:
            progress(int(m.g[state.EVENTS]), int(m.g[state.NOW]))
