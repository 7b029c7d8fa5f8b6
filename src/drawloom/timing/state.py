"""The machine's state: one array of integers, and the names of the places in it.

All times are picoseconds. A record (a row of code, a tile, a queue, a command in a queue) is
known by the place of its first integer, and a field by what is added to that: ``s[q + ISSUED]``.
One flat array, because it makes the compiled loop quick, and the same under plain Python.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Cells(Protocol):
    """The state as the event loop sees it: integers by place."""

    def __getitem__(self, at: int, /) -> int: ...
    def __setitem__(self, at: int, value: int, /) -> None: ...


NEVER = np.iinfo(np.int64).max
DONE, FULL, HUNG = range(3)  # how a run of the event loop ends

# The head of the array: scalars,
NOW, EVENTS, SERIAL, N_HEAP, N_OUT, N_CLAIMS, HUNG_TILE, DIRTY, SOURCES = range(9)
FLOW_NEXT, FLOW_CHIP, N_CHIPS, CHIP_TILES = range(9, 13)  # when and where a DRAM transfer ends
READ_LIMIT, WRITE_LIMIT, COMBINED_LIMIT, PORT_LIMIT, ISSUE_PS, FIRST_PS = range(15, 21)
# sizes,
N_TILES, TILE_SIZE, N_FLAGS, PLACE_SIZE, N_PLACES, SPAN_SIZE, HEAP_ROOM, OUT_ROOM = range(21, 29)
# and where the other parts begin.
SPANS, LISTS, TILES, QUEUES, PLACES, FLAGS, HELD, CLAIMS, STOOD, CHIPS, OUT, HEAP = range(29, 41)
CODE = 41

# A row of code; LATE is how long what a send has sent is still on its way.
OP, ENGINE, FIXED, AMOUNT, A, B, SPAN, SPAN_END, COMMAND, LATE, N_CODE = range(11)
LOOP, END, HALT, RUN, SEND, ARM, SIGNAL, WAIT, JOIN, BARRIER, CPU = range(11)  # its OP
# A byte range: first byte, length, whether written; then its strides, outermost loop first.
LOW, LENGTH, WRITTEN, STRIDES = range(4)
# A tile: its processor (row, phase, loop depth, since when in this command, since when holding,
# no message sent yet), the billionths of a byte its DRAM transfers have left (NEVER: none),
# where its processor's time went; then its loop indices.
PC, PHASE, DEPTH, SINCE, HOLDING, FIRST, LEFT = range(7)  # LEFT: reads, writes
S_ISSUE, S_QUEUE, S_WAIT, S_JOIN, S_BARRIER, S_SYNC, S_WORK, INDEX = range(8, 16)
NEXT, ENTER, ACT, ON_QUEUE, ON_WAIT, ON_JOIN, ON_BARRIER, HALTED = range(8)  # its PHASE
# A queue: how many commands entered and ended, whether one runs and since when, its room.
ISSUED, FINISHED, RUNNING, START, CAPACITY, N_QUEUE = range(6)
READS, WRITES, SENDS = 2, 3, 5  # engines, as in table.ENGINES
N_HAZARD, N_ENGINES = 5, 6  # the first five are covered by the hazard checks
# A command in a queue: its row, how many commands of each other engine must have ended before
# it starts, its number of byte ranges; then per range: first byte, past the last, whether written.
ROW, NEED, N_RANGES, RANGES = 0, 1, 6, 7
# A chip's DRAM: when its transfers were last looked at, when the first ends, rates and numbers of
# reads and writes, whether rates must be shared anew.
C_LAST, C_NEXT, C_RATE, C_ACTIVE, C_DIRTY, N_CHIP = 0, 1, 2, 4, 6, 7
# A flag of a tile.
ARMED, COUNT, N_FLAG = range(3)
# Events by priority; ends of DRAM transfers are not in the heap and come before all.
ENGINE_END, ARRIVE, FLOW, PROCESSOR, CLAIM = range(1, 6)
KIND_SHIFT = 56  # an event's order: priority above its serial


def tiles_of(s: Ints) -> Ints:
    """Return the tiles' records: tiles x fields."""
    return s[s[TILES] : s[QUEUES]].reshape(s[N_TILES], s[TILE_SIZE])


def queues_of(s: Ints) -> Ints:
    """Return the queues' records: tiles x engines x fields."""
    return s[s[QUEUES] : s[PLACES]].reshape(s[N_TILES], N_ENGINES, N_QUEUE)


def places_of(s: Ints) -> Ints:
    """Return the commands in the queues: tiles x engines x places x fields."""
    return s[s[PLACES] : s[FLAGS]].reshape(s[N_TILES], N_ENGINES, s[N_PLACES], s[PLACE_SIZE])


def flags_of(s: Ints) -> Ints:
    """Return the tiles' flags: tiles x flags x fields."""
    return s[s[FLAGS] : s[HELD]].reshape(s[N_TILES], s[N_FLAGS], N_FLAG)


def spans_of(s: Ints) -> Ints:
    """Return a copy of the spans that are over: spans x (command, start, end)."""
    return s[s[OUT] : s[OUT] + 3 * s[N_OUT]].reshape(-1, 3).copy()
