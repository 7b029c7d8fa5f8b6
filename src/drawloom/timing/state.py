"""The names of the integers that a timed machine's state is made of, and that state.

Times are picoseconds. All state stands in integer arrays, so that the functions which change it
can be compiled, and so that it is the same under Numba and plain Python.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# What a row of code does, and its columns.
LOOP, END, HALT, RUN, SEND, ARM, SIGNAL, WAIT, JOIN, BARRIER, CPU = range(11)
OP, ENGINE, FIXED, AMOUNT, A, B, SPAN, SPAN_END, COMMAND = range(9)
# Engines, as in table.ENGINES; the first five are covered by hazard checks.
READS, WRITES, SENDS = 2, 3, 5
N_HAZARD, N_ENGINES = 5, 6
# A span: first byte, length, whether written; then the strides of the loops.
LOW, LENGTH, WRITTEN, STRIDES = range(4)
# A tile's processor: row, phase, loop depth, since when in this command, since when held.
PC, PHASE, DEPTH, SINCE, HELD, FIRST, N_PROC = range(7)
NEXT, ENTER, ACT, ON_QUEUE, ON_WAIT, ON_JOIN, ON_BARRIER, HALTED = range(8)
# Where a processor's time went.
S_ISSUE, S_QUEUE, S_WAIT, S_JOIN, S_BARRIER, S_SYNC, S_WORK, N_SPENT = range(8)
# An engine's queue, and a place in it: row, finished commands needed of each engine, spans.
ISSUED, FINISHED, RUNNING, START, CAPACITY, N_QUEUE = range(6)
ROW, NEED, N_SPANS, PLACES = 0, 1, 6, 7
# Events; the number is the priority. DRAM ends are not in the heap and come first.
ENGINE_END, ARRIVE, FLOW, PROCESSOR, CLAIM = range(1, 6)
# Scalars.
NOW, HEAP, SERIAL, OUT, EVENTS, DIRTY, N_CLAIMS, ISSUE_PS, FIRST_PS, HUNG_TILE = range(10)
FLOW_LAST, FLOW_NEXT, READ_RATE, WRITE_RATE, N_READS, N_WRITES = range(10, 16)
READ_LIMIT, WRITE_LIMIT, COMBINED_LIMIT, PORT_LIMIT, SOURCES, N_SCALARS = range(16, 22)
NEVER = np.iinfo(np.int64).max
DONE, FULL, HUNG = range(3)

Ints = NDArray[np.int64]


class Machine(NamedTuple):
    """The program and the state of everything that has one, as integer arrays."""

    code: Ints  # rows x columns
    spans: Ints  # spans x (LOW, LENGTH, WRITTEN, a stride per loop level)
    lists: Ints  # length then items: routes, targets, tiles of barriers
    proc: Ints  # tiles x N_PROC
    index: Ints  # tiles x loop levels
    spent: Ints  # tiles x N_SPENT
    queue: Ints  # tiles x N_ENGINES x N_QUEUE
    place: Ints  # tiles x N_ENGINES x capacity x (PLACES + 3 per span)
    armed: Ints  # tiles x flags
    count: Ints  # tiles x flags
    left: Ints  # 2 x tiles: billionths of a byte to go; NEVER: no transfer
    held: Ints  # resources: 1 while a transfer holds it
    claims: Ints  # tiles that wait for a route, in order
    stood: Ints  # by start of a barrier's list: how many tiles stand there
    heap: Ints  # events: time, priority and serial, what
    out: Ints  # spans: command, start, end
    g: Ints  # scalars
