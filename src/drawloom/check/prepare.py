"""A program's code → all that a walk through it works on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.check import state
from drawloom.check.code import Flat
from drawloom.check.memory import lay_out, page_counts, written
from drawloom.check.once import NONE, once
from drawloom.check.state import HEADER, N_ENGINES, N_FLAGS, N_FOUND, N_WRITE, Ints, Store
from drawloom.check.templates import ARM, ENGINES, JOIN, SEND, SIGNAL, WRITES
from drawloom.chip.model import Chip
from drawloom.program.commands import Engine
from drawloom.program.program import Program

MOST_KEPT = 64  # commands of a queue whose clocks are kept, beyond what it holds
Array = NDArray[Any]


def prepare(program: Program, flat: Flat, chip: Chip, often: Ints, *, strict: bool) -> Store:
    """Return a walk's beginning: all tiles at their first row, nothing written, no flag armed.

    The strict rules count who reads each byte: for them no reads are noted as wholes, and no write is passed over.
    """
    made = _sections(program, flat, chip, often, 0 if strict else state.MOST_NOTES)
    lay_out(made, program, written(program, flat), NONE if strict else once(program, flat))
    return made


def _sections(program: Program, flat: Flat, chip: Chip, often: Ints, notes: int) -> Store:
    code, n_tiles = flat.code, len(program.streams)
    _, near_pages, far_pages = page_counts(program)
    held = _depths(chip)
    keeps = [one.count for one in flat.templates if one.op == JOIN]
    kept = max(int(held.max()), min(MOST_KEPT, max(keeps, default=0))) + 2
    n_clock, n_flags = n_tiles * N_ENGINES, n_tiles * N_FLAGS
    arms, comes, sent, writes = _counts(flat, often, n_tiles)
    levels = code.strides.shape[1]
    filled: dict[int, Ints] = {
        state.STARTS: code.starts, state.ROWS: code.rows, state.BASES: code.bases,
        state.MOVES: code.moves, state.STRIDES: code.strides, state.TEMPLATES: code.templates,
        state.SPANS: code.spans, state.LISTS: code.lists, state.DEPTHS: held,
        state.STANDS: code.starts[:-1], state.SENDER: np.full(n_flags, -1, np.int64),
        state.ARMED_AT: np.cumsum(arms) - arms, state.CAME_AT: np.cumsum(comes) - comes,
    }  # fmt: skip
    empty: dict[int, tuple[int, ...]] = {
        state.CLOCK: (n_tiles, n_clock), state.DONE: (n_clock, kept, n_clock),
        state.WORK: (n_clock,), state.COUNTS: (n_clock,), state.TURNS_DONE: (n_tiles, levels + 1),
        **dict.fromkeys((state.N_ARMED, state.SENDS, state.WAITED, state.MERGED, state.N_CAME, state.LAST), (n_flags,)),
        state.ARMED: (int(arms.sum()) + 1,), state.CAME: (int(comes.sum()) + 1,),
        state.CLOCKS: (sent + 1, n_clock), state.FOUND: (state.MOST_FOUND, N_FOUND),
        state.TOLD: (len(code.rows),), state.WRITES: (writes + 1, N_WRITE),
        state.PENDING: (state.MOST_PENDING, state.N_PENDED),
        state.PIECES: (state.MOST_PIECES, state.N_PIECE),
        state.PAGES: (n_tiles * near_pages + far_pages,),
        state.NOTES: (notes + 1, state.N_NOTE),
    }  # fmt: skip
    made = _laid(filled, empty)
    for number, value in (
        (state.N_TILES, n_tiles), (state.N_CLOCK, n_clock), (state.N_KEPT, kept),
        (state.N_LEVELS, levels), (state.N_WRITES, 1), (state.NOTES_ROOM, notes),
    ):  # fmt: skip
        made.cells[number] = value
    return made


def _laid(filled: dict[int, Ints], empty: dict[int, tuple[int, ...]]) -> Store:
    """Return sections one after the other."""
    shapes = {**{k: each.shape for k, each in filled.items()}, **empty}
    sizes = {section: int(np.prod(shape)) for section, shape in shapes.items()}
    made = Store(
        np.zeros(HEADER + sum(sizes.values()), np.int64), np.zeros(0, np.int64), dict(shapes)
    )
    at = HEADER
    for section, size in sizes.items():
        made.cells[section] = at
        at += size
    for section, values in filled.items():
        made[section][...] = values
    return made


def _depths(chip: Chip) -> Ints:
    """Return how many commands each queue and its engine hold."""
    depths = {
        Engine.READ: chip.dram_read.depth,
        Engine.WRITE: chip.dram_write.depth,
        Engine.MOVE: chip.move.depth,
        Engine.MATRIX: chip.matrix.depth,
        Engine.VECTOR: chip.vector.depth,
        Engine.SEND: chip.send.depth,
    }
    return np.array([depths.get(engine, 0) + 1 for engine in ENGINES], np.int64)


def _counts(flat: Flat, often: Ints, n_tiles: int) -> tuple[Ints, Ints, int, int]:
    """Return how often each flag is armed and arrived at, how many sends there are, and how many writes."""
    code = flat.code
    arms, comes = np.zeros((n_tiles, N_FLAGS), np.int64), np.zeros((n_tiles, N_FLAGS), np.int64)
    sent, writes = 0, 0
    rows = np.flatnonzero(code.rows[:, 0] > 1)
    which = code.rows[rows, 1]
    tile = np.searchsorted(code.starts, rows, side="right") - 1
    n_templates = len(flat.templates)
    counts = np.bincount(tile * n_templates + which, often[rows], minlength=n_tiles * n_templates)
    by_tile = counts.reshape(n_tiles, n_templates).astype(np.int64)
    totals = by_tile.sum(axis=0).tolist()
    for k, (one, total) in enumerate(zip(flat.templates, totals, strict=True)):
        if one.op == ARM:
            arms[:, one.flag] += by_tile[:, k]
        elif one.op in (SEND, SIGNAL):
            sent += total
            for target in one.tiles:
                comes[target, one.flag] += total
        writes += total * (
            len(one.tiles) if one.op == SEND else sum(span[WRITES] for span in one.spans)
        )
    return arms.reshape(-1), comes.reshape(-1), sent, writes
