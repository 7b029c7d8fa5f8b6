"""Arrays that the walk through a program works on, and what their columns mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Cells = Any  # arrays of whole numbers, as compiled code sees them
PAGE = 4096  # bytes of a scratchpad that are looked for together

N_ENGINES = 7
SEND_QUEUE, CPU_QUEUE, READ_QUEUE = 5, 6, 2
N_FLAGS = 64
# Rules, by number in a finding.
RACE, UNARMED, UNWRITTEN, BOUNDS, FORMAT, STRADDLE, REMAINS, MIXED = range(8)
# Columns of a finding.
RULE, TILE, ROW, QUEUE, SERIAL, OTHER_QUEUE, OTHER_SERIAL, OWNER, START, STOP, EXTRA = range(11)
N_FOUND = 11
IN_DRAM = -1  # as the owner of bytes
# Columns of a write.
W_QUEUE, W_SERIAL, W_ROW, W_OWNER, W_SIZE, W_ALIVE, W_LOST, W_KILLER, W_FLAGS = range(9)
N_WRITE = 9
INEXACT = 1 << 20  # in W_FLAGS, beside what the template is held to
# Counters.
N_FINDINGS, N_WRITES, N_PENDING, N_PIECES, N_ARRIVED, N_CLOCKS, SOURCES = range(7)
N_COUNTERS = 7
MOST_FOUND = 256
MOST_PENDING, MOST_PIECES = 256, 64


class Memory(NamedTuple):
    """All memories as cells, and the atoms that they fall into: bytes that all ranges hold or leave as a whole.

    Attributes:
        size: bytes of a scratchpad, bytes of DRAM.
        grain: bytes of a cell, of scratchpads and of DRAM; cells of a scratchpad.
        local: of scratchpads what is looked at: first byte, byte behind the last, first cell; sorted.
        parts: of DRAM the same.
        brought: what lies in DRAM before: first byte, byte behind the last, format; sorted.
        atom: of each cell its atom; while atoms are looked for, whether one begins there.
    """

    size: Cells
    grain: Cells
    local: Cells
    parts: Cells
    brought: Cells
    atom: Cells


class Atoms(NamedTuple):
    """What is known of each atom.

    Attributes:
        start: its first byte; ``size`` its bytes.
        writer: the write that holds it; -1 nobody, 0 from before the program.
        format: number of the format it was written in, 0 if not known.
        is_read: whether anybody read it since.
        readers: of each queue that may read it, the count of its last command that did since.
        slot: where its readers begin.
    """

    start: Cells
    size: Cells
    writer: Cells
    format: Cells
    is_read: Cells
    readers: Cells
    slot: Cells


class Time(NamedTuple):
    """Clocks and counts.

    Attributes:
        clock: of each tile's processor, of every queue up to which command it comes after.
        done: the clocks of the last commands of each queue of each tile.
        counts: commands that each queue of each tile was given.
        work: clock of the command that is being looked at.
        stands: row at which each tile stands; -1 at its end.
        turns: turns done of the loops around, outermost first; ``at_turn`` the same as addresses see them.
        depths: commands that a queue and its engine hold.
    """

    clock: Cells
    done: Cells
    counts: Cells
    work: Cells
    stands: Cells
    turns: Cells
    at_turn: Cells
    depths: Cells


class Flags(NamedTuple):
    """Flags of tiles, one after the other.

    Attributes:
        armed: counts of the processor at which each was armed, ``armed_at`` where they begin, ``n_armed`` how many.
        sends, waited, merged: sends to it; arrivals that waits took; arrivals whose clocks they took.
        n_came, came_at, came: arrivals; where their clocks begin; the clocks, by number.
        sender: queue of all senders, -1 none, -2 several.
        last: count of the processor at the last wait that took all there was.
        clocks: clocks of arrivals.
    """

    armed: Cells
    armed_at: Cells
    n_armed: Cells
    sends: Cells
    waited: Cells
    merged: Cells
    n_came: Cells
    came_at: Cells
    came: Cells
    sender: Cells
    last: Cells
    clocks: Cells


class Notes(NamedTuple):
    """What is found, and what is being looked at.

    Attributes:
        found: findings.
        told: for each row a bit for each rule that it was found to break.
        writes: all writes; number 0 is what was there before.
        pending: accesses that nothing ordered so far before the command: queue, count, owner, first, last.
        pieces: of what a span reads: writes, and how many bytes of each.
        n: counters.
    """

    found: Cells
    told: Cells
    writes: Cells
    pending: Cells
    pieces: Cells
    n: Cells
