"""Whether a loop's turn left everything as the one before did, and what the turns to come will leave behind.

The walk holds at the fence that ends a turn. Two turns that leave the same behind, up to a shift of what moves, are
followed by turns that all do: each begins with what the one before began with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drawloom.check import state
from drawloom.check.code import Flat
from drawloom.check.loops import Shared
from drawloom.check.memory import place_pieces, strides_of
from drawloom.check.state import IN_DRAM, LOOK, Ints, Store

TURNS = 4  # column of a row
MIXED = -2
PLACE_BITS = 48


@dataclass(slots=True)
class Repeats:
    """The loops of a walk, and what their last turn left.

    Attributes:
        flat: the program.
        store: what the walk works on.
        loops: those whose turns may tell of each other.
        moves: of each row by how much the DRAM that it writes moves with the outer loop.
    """

    flat: Flat
    store: Store
    loops: list[Shared]
    moves: Ints = field(init=False)
    _left: tuple[Ints, ...] | None = None
    _began: Ints = field(default_factory=lambda: np.zeros((0, 6), np.int64))
    _first: int = 1

    def __post_init__(self) -> None:
        """Let the walk hold at the end of each turn of the loops."""
        self.moves = strides_of(self.flat) if self.loops else np.zeros(0, np.int64)
        for loop in self.loops:
            self.store[state.ROWS][loop.ends[0] - 1, TURNS] = LOOK

    def look(self) -> None:
        """Look at what a turn left; pass over the rest of the loop where it is what the one before left."""
        row = int(self.store[state.STANDS][0])
        loop = next(one for one in self.loops if one.ends[0] - 1 == row)
        turn = int(self.store[state.TURNS_DONE][0, 0])
        self.store.cells[state.LOOKED] = 1
        # Where a tile has a barrier too few or too many, tiles meet elsewhere.
        is_fence = (self.store[state.STANDS] == np.array(loop.ends) - 1).all()
        is_fence = is_fence and (self.store[state.TURNS_DONE][:, 0] == turn).all()
        if is_fence and turn < loop.count - 1:
            pieces = self.store.history()[:, : state.READERS]
            pieces = pieces[pieces[:, state.G_START] < pieces[:, state.G_STOP]]
            fresh, lies = self._fresh(pieces, turn), _kinds(pieces)
            left = (lies[lies[:, 0] != IN_DRAM], self._flags(), fresh)
            before, self._left = self._left, left
            if turn and before and all(map(np.array_equal, before, left)):
                lies = self._passed_over(loop, lies, fresh, turn)
            self._began = _in_dram(lies)
            self._lay(lies)
        else:
            self._left = None
        self._first = int(self.store.cells[state.N_WRITES])

    def _flags(self) -> Ints:
        """Return what came to flags and was not taken, and who sends to them."""
        store = self.store
        came = store[state.N_CAME]
        return np.concatenate(
            (
                store[state.N_ARMED] - store[state.SENDS],
                came - store[state.WAITED],
                came - store[state.MERGED],
                store[state.SENDER],
            )
        )

    def _fresh(self, pieces: Ints, turn: int) -> Ints:
        """Return what the turn wrote to DRAM, where it would be in the first: how far it moves, format, where."""
        mine = pieces[
            (pieces[:, state.G_OWNER] == IN_DRAM) & (pieces[:, state.G_WRITER] >= self._first)
        ]
        move = self.moves[self.store[state.WRITES][mine[:, state.G_WRITER], state.W_ROW]]
        where = mine[:, [state.G_START, state.G_STOP]] - turn * move[:, None]
        order = np.lexsort((where[:, 0], move))
        return _joined(np.column_stack((move, mine[:, state.G_FORMAT], where))[order])

    def _passed_over(self, loop: Shared, lies: Ints, fresh: Ints, turn: int) -> Ints:
        """Return what lies where once all turns are done, and end the loop with this one.

        Not where a turn to come would find something else than this one found at an address that moves.
        """
        moving = fresh[fresh[:, 0] != 0]
        found = _found(self._began, loop.reads, turn)
        far = _in_dram(lies)
        if (found == MIXED).any():
            return lies
        for later in range(turn + 1, loop.count):
            if not np.array_equal(_found(far, loop.reads, later), found):
                return lies
            if len(moving):
                new = moving[:, 1:].copy()
                new[:, 1:] += later * moving[:, :1]
                far = _joined(_over(far, new[np.argsort(new[:, 1], kind="stable")]))
        self._end(loop, turn)
        return np.concatenate((lies[lies[:, 0] != IN_DRAM], far))

    def _end(self, loop: Shared, turn: int) -> None:
        """Let a loop end with a turn."""
        rows = self.store[state.ROWS]
        for table in (rows, self.flat.code.rows):
            table[[*loop.heads, *loop.ends], TURNS] = turn + 1
        rows[loop.ends[0] - 1, TURNS] = 1

    def _lay(self, lies: Ints) -> None:
        """Lay memory anew: behind a fence it does not matter who wrote and read what, only what lies where."""
        pieces = np.zeros((len(lies), int(self.store.cells[state.WIDTH])), np.int64)
        columns = [
            state.G_OWNER,
            state.G_WRITER,
            state.G_READ,
            state.G_FORMAT,
            state.G_START,
            state.G_STOP,
        ]
        pieces[:, columns] = lies
        written = pieces[:, state.G_WRITER] > 0
        # Of all writes any will do: all that comes behind the fence comes after it.
        pieces[written, state.G_WRITER] = self.store.cells[state.N_WRITES] - 1
        place_pieces(self.store, pieces)


def _kinds(pieces: Ints) -> Ints:
    """Return what lies where: owner, -1 nobody wrote it, 0 there before, 1 written, -1 never written, format, where."""
    order = np.argsort((pieces[:, state.G_OWNER] + 1 << PLACE_BITS) + pieces[:, state.G_START])
    pieces = pieces[order]
    return _joined(
        np.column_stack(
            (
                pieces[:, state.G_OWNER],
                np.minimum(pieces[:, state.G_WRITER], 1),
                np.minimum(pieces[:, state.G_READ], 0),
                pieces[:, [state.G_FORMAT, state.G_START, state.G_STOP]],
            )
        )
    )


def _in_dram(lies: Ints) -> Ints:
    """Return what lies in DRAM, in order of addresses."""
    far = lies[lies[:, 0] == IN_DRAM]
    return far[np.argsort(far[:, -2], kind="stable")]


def _found(far: Ints, reads: Ints, turn: int) -> Ints:
    """Return what reads find at a turn: whether bytes were written, and their format; MIXED where not alike."""
    if not len(reads):
        return reads
    is_there = np.minimum(far[:, 1], 0)
    differs = (is_there[1:] != is_there[:-1]) | (far[1:, 3] != far[:-1, 3])
    begins = np.flatnonzero(np.concatenate(([True], differs)))
    stops = np.concatenate((far[begins[1:], -2], far[-1:, -1]))
    low = reads[:, 0] + turn * reads[:, 2]
    k = np.searchsorted(stops, low, side="right")
    what = np.column_stack((is_there[begins][k], far[begins, 3][k]))
    what[stops[k] < low + reads[:, 1]] = MIXED
    return what


def _joined(table: Ints) -> Ints:
    """Return ranges in order, the last two columns, those joined that meet and are alike."""
    if not len(table):
        return table
    what, start, stop = table[:, :-2], table[:, -2], table[:, -1]
    differs = start[1:] != stop[:-1]
    for column in what.T:
        differs |= column[1:] != column[:-1]
    begins = np.concatenate(([True], differs))
    ends = np.concatenate((differs, [True]))
    return np.column_stack((what[begins], start[begins], stop[ends]))


def _over(far: Ints, new: Ints) -> Ints:
    """Return what lies in DRAM, as ``_kinds`` has it, with ranges written over: format, first byte, behind the last."""
    edges = np.unique(np.concatenate((far[:, -2:].reshape(-1), new[:, 1:].reshape(-1))))
    start = edges[:-1]
    made = far[np.searchsorted(far[:, -1], start, side="right")]
    made[:, -2], made[:, -1] = start, edges[1:]
    k = np.minimum(np.searchsorted(new[:, 2], start, side="right"), len(new) - 1)
    is_new = (new[k, 1] <= start) & (start < new[k, 2])
    made[is_new, 1:4] = np.column_stack((np.ones(len(start)), np.zeros(len(start)), new[k, 0]))[
        is_new
    ]
    return made
