"""What the end of a walk shows: outputs that are not whole or of another format, and writes that nobody read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drawloom.check import state
from drawloom.check.findings import Finding
from drawloom.check.memory import unwritten
from drawloom.check.parts import Parts, fill_writes
from drawloom.check.state import IN_DRAM, Ints, Store
from drawloom.check.telling import Teller
from drawloom.check.templates import FORMATS, IS_MOVE, PART_USED, WHOLE_USED
from drawloom.chip.formats import FORMAT_BYTES
from drawloom.program.program import Program

PAD = 256  # bytes that may go unread: what pads a block
HOLE = 64  # bytes side by side in DRAM: more than pads a row of elements of up to two bytes


def outputs(program: Program, store: Store) -> Iterator[Finding]:
    """Yield outputs that are not written whole, or hold another format than they are said to."""
    gaps = unwritten(store)
    pieces = store.written()
    for region in program.regions:
        if region.kind != "output" or not region.bytes:
            continue
        k = int(np.searchsorted(gaps[:, 1], region.address, side="right"))
        if k < len(gaps) and gaps[k, 0] < region.address + region.bytes:
            at = max(region.address, int(gaps[k, 0]))
            detail = f"'{region.name}': nothing is written from byte {at:,} of DRAM on"
            yield Finding("output", None, None, detail, (region.name,))
        if region.fmt not in FORMATS:
            continue
        start, stop, tags = pieces
        is_other = (tags != 0) & (tags != FORMATS.index(region.fmt) + 1)
        is_other &= (start < region.address + region.bytes) & (stop > region.address)
        if is_other.any():
            first = int(np.argmin(np.where(is_other, start, np.iinfo(np.int64).max)))
            detail = (
                f"output '{region.name}' of '{region.fmt}' is written as '{FORMATS[int(tags[first]) - 1]}', "
                f"the first at byte {int(start[first]):,} of DRAM"
            )
            yield Finding("format", None, None, detail, (region.name,))


def lost(program: Program, teller: Teller, store: Store, parts: Parts) -> Iterator[Finding]:
    """Yield writes of which nobody read anything, or a large part not; what makes up an output counts as read.

    Of what ``parts`` names the model itself takes a part.
    """
    writes = store[state.WRITES][: store.cells[state.N_WRITES]]
    if len(writes) == 1:  # the first stands for none
        return
    unread = writes[:, state.W_LOST].copy()
    pieces = store.history()
    is_read = (pieces[:, state.G_READ] > 0) | (pieces[:, state.G_READ] == state.NEVER)
    is_left = (pieces[:, state.G_WRITER] > 0) & ~is_read
    is_output = _is_output(program, pieces)
    left = pieces[is_left & ~is_output]
    sizes = left[:, state.G_STOP] - left[:, state.G_START]
    np.add.at(unread, left[:, state.G_WRITER], sizes)
    hole = writes[:, state.W_HOLE].copy()
    np.maximum.at(hole, left[:, state.G_WRITER], sizes // _wide(left[:, state.G_FORMAT]))
    held_to = writes[:, state.W_FLAGS]
    exact = (held_to & state.INEXACT) == 0
    is_large = np.where(writes[:, state.W_OWNER] == IN_DRAM, hole >= HOLE, unread >= PAD)
    # Moves put an image together bit by bit, the later ones over the earlier.
    killers = writes[writes[:, state.W_KILLER], state.W_FLAGS]
    is_large &= (held_to & killers & IS_MOVE) == 0
    whole = (held_to & WHOLE_USED != 0) & (unread == writes[:, state.W_SIZE]) & (unread > 0)
    part = (held_to & PART_USED != 0) & is_large & (unread < writes[:, state.W_SIZE])
    handed = pieces[(pieces[:, state.G_WRITER] > 0) & is_output]
    used = writes[:, state.W_SIZE] - unread
    np.subtract.at(
        used, handed[:, state.G_WRITER], handed[:, state.G_STOP] - handed[:, state.G_START]
    )
    origins = np.array([teller.origin(row) for row in writes[:, state.W_ROW].tolist()], np.int64)
    spared = _is_more_than_needed(origins, writes, unread, used) | _is_of_fill(teller, writes)
    part &= ~_is_for(program, origins, writes, parts.nodes)
    whole &= ~_is_for(program, origins, writes, parts.short)
    for k in np.flatnonzero(exact & (whole | part) & ~spared):
        yield teller.lost(writes[k], int(unread[k]), writes[writes[k, state.W_KILLER]])


def _is_of_fill(teller: Teller, writes: Ints) -> NDArray[np.bool_]:
    """Return which writes to DRAM carry what a fill made: it lies under what comes over it."""
    fills = fill_writes(teller.flat)
    return (writes[:, state.W_OWNER] == IN_DRAM) & np.isin(writes[:, state.W_ROW], fills)


def _wide(formats: Ints) -> Ints:
    """Return how many times two bytes an element of a format takes, at least 1; of no format 1."""
    sizes = [2, *(FORMAT_BYTES.get(name, 1) for name in FORMATS)]
    return np.maximum(np.array(sizes, np.int64)[formats] // 2, 1)


def _is_for(
    program: Program, origins: Ints, writes: Ints, nodes: frozenset[str]
) -> NDArray[np.bool_]:
    """Return which writes to DRAM are made for some nodes."""
    among = [origin.node in nodes for origin in program.origins]
    found = np.array([k >= 0 and among[k] for k in origins.tolist()], np.bool_)
    return found & (writes[:, state.W_OWNER] == IN_DRAM)


def _is_more_than_needed(
    origins: Ints, writes: Ints, unread: Ints, used: Ints
) -> NDArray[np.bool_]:
    """Return which writes to DRAM belong to a piece of work half of whose result or more nobody reads, but some.

    Such a piece computes more than is needed, as one does that makes all rows where the last is asked for.
    What makes up an output is not ``used``, nor ``unread``.
    """
    in_dram = writes[:, state.W_OWNER] == IN_DRAM
    origin = origins + 1
    most = int(origin.max(initial=0)) + 1
    left, taken = (
        np.bincount(origin, np.where(in_dram, column, 0), most) for column in (unread, used)
    )
    more = (left >= taken) & (taken > 0)
    more[0] = False  # what is of no piece
    return more[origin] & in_dram


def _is_output(program: Program, pieces: Ints) -> Ints:
    found = np.zeros(len(pieces), np.bool_)
    for region in program.regions:
        if region.kind == "output":
            found |= (pieces[:, state.G_START] < region.address + region.bytes) & (
                pieces[:, state.G_STOP] > region.address
            )
    return found & (pieces[:, state.G_OWNER] == IN_DRAM)
