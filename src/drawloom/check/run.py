"""Runs a program's order, not its values: every access against all that nothing orders before it.

Each queue of each tile counts its commands. A clock says, of every queue, up to which command a
moment comes after. Processors, queues (full ones hold a processor up), joins, barriers, flags and
hazard checks hand clocks on. Two accesses race where one writes and the later one's clock has not got to the
earlier one's count. Whatever order the tiles are stepped in here, clocks come out the same.

The same walk keeps for every byte which write holds it, in which format, and whether it was read: what is wrong
in every order, such as a buffer that is loaded over before it was used, shows there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drawloom.check import prepare, state
from drawloom.check.alone import alone
from drawloom.check.code import Flat, flatten
from drawloom.check.findings import Finding
from drawloom.check.loops import shorten
from drawloom.check.standing import standing
from drawloom.check.state import Atoms, Ints, Memory, Notes
from drawloom.check.telling import Teller
from drawloom.check.templates import FORMATS, PART_USED, WHOLE_USED
from drawloom.check.traffic import traffic
from drawloom.check.walk import begin, collect, mark, walk
from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.program.program import Program

MOST = 8_000_000  # commands that are walked over: beyond, a check takes minutes
SHOWN = 20  # findings that are returned
PAD = 256  # bytes that may go unread: what pads a block
PAD_IN_DRAM = 32  # in DRAM: what pads an element


def check(
    program: Program, chip: Chip, most: int = MOST, *, strict: bool = False
) -> tuple[Finding, ...]:
    """Return what is wrong with a program, at most ``SHOWN`` findings; none if nothing is.

    ``strict`` holds it to the rules ``align``, ``straddle``, ``remains`` and ``lost`` as well, which
    compiled programs do not all keep.

    Raises:
        InputError: more than ``most`` commands would be looked at, or too many bytes (``check.size``).
    """
    flat = flatten(program, chip, strict=strict)
    often = shorten(program, flat)
    total = int(often[flat.code.rows[:, 0] > 1].sum())
    if total > most:
        fault = Fault("commands run", f"{total:,}", f"at most {most:,}")
        raise InputError("check.size", f"program '{program.name}' is too long to check", [fault])
    found = list(_findings(program, chip, flat, often, strict=strict))
    kept: dict[object, Finding] = {}
    for one in found:
        kept.setdefault(one.key, one)
    return tuple(kept.values())[:SHOWN]


def _findings(
    program: Program, chip: Chip, flat: Flat, often: Ints, *, strict: bool
) -> Iterator[Finding]:
    yield from alone(program, chip, flat, strict=strict)
    if strict:
        yield from traffic(program, flat)
    n_tiles = len(program.streams)
    time, notes = prepare.times(flat, chip, n_tiles), prepare.notes(flat, often)
    code = flat.code
    begin(code, time, notes)
    ranges = np.zeros((max(64, len(code.rows)), 2), np.int64)
    pages = np.zeros(-(-program.scratchpad_bytes // state.PAGE), np.int64)
    n = collect(code, time, notes, ranges, pages)
    if n > len(ranges):
        ranges = np.zeros((n, 2), np.int64)
        begin(code, time, notes)
        collect(code, time, notes, ranges, pages)
    inside = (ranges[:n, 0] >= 0) & (ranges[:n, 1] <= program.dram_bytes)

    def marks(memory: Memory) -> None:
        begin(code, time, notes)
        mark(code, memory, time, notes)

    memory, atoms = prepare.memory(program, flat, ranges[:n][inside], pages, marks)
    flags = prepare.flags(flat, often, n_tiles)
    begin(code, time, notes)
    walk(code, memory, atoms, time, flags, notes)
    teller = Teller(flat)
    for row in notes.found[: notes.n[state.N_FINDINGS]]:
        yield teller.finding(row)
    if notes.n[state.N_FINDINGS]:
        return
    stuck = list(standing(program, flat, time, flags))
    yield from stuck
    if not stuck:
        yield from _outputs(program, memory, atoms)
        yield from _formats(program, memory, atoms)
        yield from _lost(program, teller, memory, atoms, notes)


def _outputs(program: Program, memory: Memory, atoms: Atoms) -> Iterator[Finding]:
    for region in program.regions:
        if region.kind == "output" and region.bytes:
            at = _gap(memory, atoms, region.address, region.address + region.bytes)
            if at is not None:
                detail = f"'{region.name}': nothing is written from byte {at:,} of DRAM on"
                yield Finding("output", None, None, detail, (region.name,))


def _formats(program: Program, memory: Memory, atoms: Atoms) -> Iterator[Finding]:
    """Yield outputs that do not hold the format they are said to."""
    for region in program.regions:
        if region.kind != "output" or region.fmt not in FORMATS:
            continue
        number = FORMATS.index(region.fmt) + 1
        for first, last in _atoms(memory, region.address, region.address + region.bytes):
            held = atoms.format[first:last]
            for k in np.flatnonzero(
                (held != 0) & (held != number) & (atoms.writer[first:last] > 0)
            ):
                start, fmt = int(atoms.start[first + k]), FORMATS[int(held[k]) - 1]
                detail = (
                    f"output '{region.name}' of '{region.fmt}' is written as '{fmt}', "
                    f"the first at byte {start:,} of DRAM"
                )
                yield Finding("format", None, None, detail, (region.name,))
                break


def _atoms(memory: Memory, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the atoms that make up a range of DRAM, as ranges of their numbers."""
    for first, last, cell in memory.parts.tolist():
        low, high = max(first, start), min(last, stop)
        if low < high:
            grain = int(memory.grain[1])
            yield (
                int(memory.atom[cell + (low - first) // grain]),
                int(memory.atom[cell + (high - first) // grain]),
            )


def _gap(memory: Memory, atoms: Atoms, start: int, stop: int) -> int | None:
    """Return the first byte of a range of DRAM that nobody wrote."""
    for first, last, cell in memory.parts:
        if last <= start or first >= stop:
            continue
        if first > start:
            return start
        one = memory.atom[cell + (start - first) // memory.grain[1]]
        for k in range(one, len(atoms.start)):
            if atoms.start[k] >= min(last, stop) or atoms.start[k] < first:
                break
            if atoms.writer[k] < 0 and atoms.start[k] + max(1, atoms.size[k]) > start:
                return max(start, int(atoms.start[k]))
        start = int(last)
        if start >= stop:
            return None
    return start if start < stop else None


def _lost(
    program: Program, teller: Teller, memory: Memory, atoms: Atoms, notes: Notes
) -> Iterator[Finding]:
    """Yield writes of which nobody read anything, or a large part not."""
    n = int(notes.n[state.N_WRITES])
    writes = notes.writes[:n]
    unread = writes[:, state.W_LOST].copy()
    left = (atoms.writer > 0) & (atoms.is_read == 0)
    for region in program.regions:
        if region.kind == "output":
            for first, last in _atoms(memory, region.address, region.address + region.bytes):
                left[first:last] = False
    np.add.at(unread, atoms.writer[left], atoms.size[left])
    held_to = writes[:, state.W_FLAGS]
    exact = (held_to & state.INEXACT) == 0
    whole = (held_to & WHOLE_USED != 0) & (unread == writes[:, state.W_SIZE]) & (unread > 0)
    least = np.where(writes[:, state.W_OWNER] == state.IN_DRAM, PAD_IN_DRAM, PAD)
    part = (held_to & PART_USED != 0) & (unread >= least) & (unread < writes[:, state.W_SIZE])
    for k in np.flatnonzero(exact & (whole | part)):
        yield teller.lost(writes[k], int(unread[k]), writes[writes[k, state.W_KILLER]])
