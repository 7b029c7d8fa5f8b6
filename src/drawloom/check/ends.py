"""What the end of a walk shows: outputs that are not whole or of another format, and writes that nobody read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drawloom.check import state
from drawloom.check.findings import Finding
from drawloom.check.memory import unwritten
from drawloom.check.state import IN_DRAM, Ints, Store
from drawloom.check.telling import Teller
from drawloom.check.templates import FORMATS, PART_USED, WHOLE_USED
from drawloom.program.program import Program

PAD = 256  # bytes that may go unread: what pads a block
PAD_IN_DRAM = 32  # in DRAM: what pads an element


def outputs(program: Program, store: Store) -> Iterator[Finding]:
    """Yield outputs that are not written whole, or hold another format than they are said to."""
    gaps = unwritten(store)
    pieces = store.history()
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
        held = _within(pieces, region.address, region.address + region.bytes)
        number = FORMATS.index(region.fmt) + 1
        is_other = (held[:, state.G_FORMAT] != 0) & (held[:, state.G_FORMAT] != number)
        for piece in held[is_other & (held[:, state.G_WRITER] > 0)][:1]:
            fmt = FORMATS[int(piece[state.G_FORMAT]) - 1]
            detail = (
                f"output '{region.name}' of '{region.fmt}' is written as '{fmt}', "
                f"the first at byte {int(piece[state.G_START]):,} of DRAM"
            )
            yield Finding("format", None, None, detail, (region.name,))


def lost(program: Program, teller: Teller, store: Store) -> Iterator[Finding]:
    """Yield writes of which nobody read anything, or a large part not; what makes up an output counts as read."""
    writes = store[state.WRITES][: store.cells[state.N_WRITES]]
    unread = writes[:, state.W_LOST].copy()
    pieces = store.history()
    is_read = (pieces[:, state.G_READ] > 0) | (pieces[:, state.G_READ] == state.NEVER)
    is_left = (pieces[:, state.G_WRITER] > 0) & ~is_read
    left = pieces[is_left & ~_is_output(program, pieces)]
    sizes = left[:, state.G_STOP] - left[:, state.G_START]
    np.add.at(unread, left[:, state.G_WRITER], sizes)
    held_to = writes[:, state.W_FLAGS]
    exact = (held_to & state.INEXACT) == 0
    least = np.where(writes[:, state.W_OWNER] == IN_DRAM, PAD_IN_DRAM, PAD)
    whole = (held_to & WHOLE_USED != 0) & (unread == writes[:, state.W_SIZE]) & (unread > 0)
    part = (held_to & PART_USED != 0) & (unread >= least) & (unread < writes[:, state.W_SIZE])
    for k in np.flatnonzero(exact & (whole | part)):
        yield teller.lost(writes[k], int(unread[k]), writes[writes[k, state.W_KILLER]])


def _within(pieces: Ints, start: int, stop: int) -> Ints:
    """Return the pieces of DRAM that meet a range, in order."""
    is_one = (pieces[:, state.G_OWNER] == IN_DRAM) & (pieces[:, state.G_START] < stop)
    is_one &= (pieces[:, state.G_STOP] > start) & (
        pieces[:, state.G_START] < pieces[:, state.G_STOP]
    )
    found = pieces[is_one]
    return found[np.argsort(found[:, state.G_START])]


def _is_output(program: Program, pieces: Ints) -> Ints:
    found = np.zeros(len(pieces), np.bool_)
    for region in program.regions:
        if region.kind == "output":
            found |= (pieces[:, state.G_START] < region.address + region.bytes) & (
                pieces[:, state.G_STOP] > region.address
            )
    return found & (pieces[:, state.G_OWNER] == IN_DRAM)
