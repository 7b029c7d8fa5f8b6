"""One array of whole numbers that the walk through a program works on: where what stands, and what columns mean.

All of it is one array, and the pieces of memory are another: compiled code that is handed two arrays is compiled in a
fraction of the time that code takes which is handed fifty. The array begins with ``HEADER`` numbers; those named as
sections say where a section begins, the others are counters and sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Cells = Any  # an array of whole numbers, as compiled code sees it

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
W_QUEUE, W_SERIAL, W_ROW, W_OWNER, W_SIZE, W_ALIVE, W_LOST, W_KILLER, W_FLAGS, W_HOLE = range(10)
N_WRITE = 10
INEXACT = 1 << 20  # in W_FLAGS, beside what the template is held to
# Columns of a piece of memory: bytes that have one history. Then comes, of each queue that may read it, the count of
# its last command that did since it was written.
G_OWNER, G_START, G_STOP, G_PREV, G_NEXT, G_WRITER, G_FORMAT, G_READ, G_NOTES = range(9)
READERS = 9
NOBODY, BEFORE = -1, 0  # as writers: nobody wrote it; it lay there before the program
NEVER = -1  # as G_READ: the program never writes here, so nobody need remember who reads
ONCE = -3  # as G_READ: nobody ever reads here, and what is written is written once: nothing can go wrong in any order
SENDING = -2  # as G_READ: nobody read what is written now, but the send that wrote it reads on for other targets
# Columns of a note: that some of a piece's bytes were read, by whom, which: of a span, from a base on; the note before,
# and how many there are.
O_QUEUE, O_SERIAL, O_SPAN, O_BASE, O_NEXT, O_DEPTH = range(6)
N_NOTE = 6
MOST_NOTES, MOST_DEPTH = 1 << 16, 16
# Columns of what nothing ordered so far before the command at work, and of what a span reads.
N_PENDED, N_PIECE = 5, 2
MOST_FOUND, MOST_PENDING, MOST_PIECES = 256, 256, 64

# Sections. The program, as ``Code`` has it:
STARTS, ROWS, BASES, MOVES, STRIDES, TEMPLATES, SPANS, LISTS = range(8)
# Clocks: of each tile's processor, of every queue up to which command it comes after; of the last commands of each
# queue; of the command at work. Commands that each queue was given, and how many it holds.
CLOCK, DONE, WORK, COUNTS, DEPTHS = range(8, 13)
# The row at which each tile stands, -1 at its end; turns done of the loops around it, and how deep it is in loops.
STANDS, TURNS_DONE = range(13, 15)
# Flags, of all tiles: counts of the processor at which each was armed, where these begin, how many there are; sends to
# it; arrivals that waits took, and whose clocks they took; arrivals, where they begin, how many; the queue of all
# senders, -1 none, -2 several; count of the processor at the last wait that took all there was; clocks of arrivals.
ARMED, ARMED_AT, N_ARMED, SENDS, WAITED, MERGED, CAME, CAME_AT, N_CAME, SENDER, LAST, CLOCKS = (
    range(15, 27)
)  # fmt: skip
# Findings, which rules each row was found to break, writes (0 is what was there before), and what is looked at now.
FOUND, TOLD, WRITES, PENDING, PIECES = range(27, 32)
# Of each page of memory the piece that holds its first byte: scratchpads, then DRAM.
PAGES = 32
NOTES = 56
# Numbers: sizes,
N_TILES, N_CLOCK, N_KEPT, N_LEVELS, SPM_BYTES, DRAM_BYTES = range(33, 39)
# bits of a byte's place in its page, of scratchpads and of DRAM; pages of a scratchpad; where those of DRAM begin,
NEAR_BITS, FAR_BITS, NEAR_PAGES, FAR_PAGES = range(39, 43)
# width of a piece, the first one given back, the end of those handed out, how many are free,
WIDTH, GIVEN_BACK, HANDED_OUT, N_FREE = range(43, 47)
# counters, why the walk holds: for room, or to be looked at, and whether that was done; what it was compiled from.
N_FINDINGS, N_WRITES, N_PENDING, N_PIECES, N_CLOCKS = range(47, 52)
WANTS_ROOM, WANTS_LOOK, LOOKED, SOURCES = range(52, 56)
N_NOTES, NOTES_ROOM = range(57, 59)  # notes on reads that were taken, and there is room for
LOOK = 2  # in the last column of a barrier's row: the walk holds there
HEADER = 64
MOST_CELLS = 1 << 27  # numbers about pieces of memory: 1 GiB


@dataclass(slots=True)
class Store:
    """What a walk works on.

    Attributes:
        cells: the header and the sections.
        pieces: the pieces of memory.
        shapes: of each section its shape.
    """

    cells: Ints
    pieces: Ints
    shapes: dict[int, tuple[int, ...]]

    def __getitem__(self, section: int) -> Ints:
        """Return a section, to be read or written."""
        shape = self.shapes[section]
        first = int(self.cells[section])
        return self.cells[first : first + int(np.prod(shape))].reshape(shape)

    def history(self) -> Ints:
        """Return the pieces of memory, one a row; those given back hold nothing."""
        width = int(self.cells[WIDTH])
        return self.pieces[: self.cells[HANDED_OUT]].reshape(-1, width)

    def written(self) -> tuple[Ints, Ints, Ints]:
        """Return where pieces of DRAM that the program wrote begin and end, and in which format; in no order."""
        pieces = self.history()
        # Column by column: a piece is wide, and there may be a million of them.
        mine = np.flatnonzero((pieces[:, G_WRITER] > 0) & (pieces[:, G_OWNER] == IN_DRAM))
        start, stop, tags = (pieces[mine, column] for column in (G_START, G_STOP, G_FORMAT))
        return start, stop, tags

    def make_room(self) -> bool:
        """Make room for up to four times as many pieces; False where there is none."""
        old, used = self.pieces, int(self.cells[HANDED_OUT])
        width = int(self.cells[WIDTH])
        more = min(4 * len(old), MOST_CELLS // width * width) - len(old)
        if more <= 0:
            return False
        self.pieces = np.zeros(len(old) + more, np.int64)
        self.pieces[:used] = old[:used]
        self.cells[N_FREE] += more // width
        return True
