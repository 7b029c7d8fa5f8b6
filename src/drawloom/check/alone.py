"""What is wrong with commands wherever in time they stand: limits, engines, addresses off their lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drawloom.check.code import Flat
from drawloom.check.findings import Finding
from drawloom.check.limits import STRICTLY
from drawloom.check.telling import memory_name, place_of
from drawloom.check.templates import ADDRESS, ENGINES, HULL, HULL_LOW, SPACE, SPM
from drawloom.chip.model import Chip
from drawloom.program.commands import Engine
from drawloom.program.program import Program

_READ_ON = (ENGINES.index(Engine.MATRIX),)  # engines that read while they write


def alone(program: Program, chip: Chip, flat: Flat, *, strict: bool) -> Iterator[Finding]:
    """Yield what is wrong with each command by itself, once for those that are alike."""
    rows = flat.code.rows
    commands = np.flatnonzero(rows[:, 0] > 1)
    which = rows[commands, 1]
    for number in np.flatnonzero([bool(one.faults) for one in flat.templates]):
        place = place_of(flat, int(commands[np.flatnonzero(which == number)[0]]))
        for rule, detail in flat.templates[number].faults:
            if rule in STRICTLY and not strict:
                continue
            yield Finding(rule, place, None, detail, (place.command.origin, type(place.command)))
    yield from _overlapping(flat, commands, which)
    if strict:
        yield from _misaligned(flat, commands, which)


def _misaligned(flat: Flat, commands: np.ndarray, which: np.ndarray) -> Iterator[Finding]:
    """Yield commands with an address that is not a multiple of what it must be."""
    code = flat.code
    for k in range(max((len(one.aligned) for one in flat.templates), default=0)):
        of = np.array([one.aligned[k] if len(one.aligned) > k else 1 for one in flat.templates])
        step = of[which]
        there = step > 1
        place = code.rows[commands[there], 2] + k
        step, moves = step[there], code.moves[place]
        off = code.bases[place] % step != 0
        moving = moves >= 0
        off[moving] |= (code.strides[moves[moving]] % step[moving, None] != 0).any(axis=1)
        for row, at, multiple in zip(
            commands[there][off], code.bases[place][off], step[off], strict=True
        ):
            found = place_of(flat, int(row))
            detail = f"address {k + 1}, {int(at):#x}, is no multiple of {int(multiple)}"
            key = (found.command.origin, type(found.command))
            yield Finding("align", found, None, detail, key)
            break


def _overlapping(flat: Flat, commands: np.ndarray, which: np.ndarray) -> Iterator[Finding]:
    """Yield products and windows that write over what they still read; sums may start where they end."""
    for number, one in enumerate(flat.templates):
        if one.engine not in _READ_ON or not one.spans:
            continue
        rows = commands[which == number]
        first = flat.code.rows[rows, 2]
        *reads, write = [s for s in one.spans if s[SPACE] == SPM]
        written = flat.code.bases[first + write[ADDRESS]] + write[HULL_LOW]
        for k, span in enumerate(reads):
            if k == 2:
                continue  # what sums start from lies where they end
            read = flat.code.bases[first + span[ADDRESS]] + span[HULL_LOW]
            met = (read < written + write[HULL]) & (written < read + span[HULL])
            for row, start, stop in zip(
                rows[met],
                np.maximum(read, written)[met],
                np.minimum(read + span[HULL], written + write[HULL])[met],
                strict=True,
            ):
                found = place_of(flat, int(row))
                detail = f"bytes {start:,} to {stop:,} of {memory_name(found.tile)}"
                key = (found.command.origin, type(found.command))
                yield Finding(
                    "overlap", found, None, detail, key, found.tile, int(start), int(stop)
                )
                break
