"""A program's code → all that a walk through it works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.check import state
from drawloom.check.code import Code, Flat
from drawloom.check.state import (
    N_ENGINES,
    N_FLAGS,
    N_FOUND,
    N_WRITE,
    PAGE,
    Atoms,
    Flags,
    Ints,
    Memory,
    Notes,
    Time,
)
from drawloom.check.templates import (
    ADDRESS,
    ARM,
    DRAM,
    ENGINES,
    FORMATS,
    HULL,
    HULL_LOW,
    INNER,
    JOIN,
    LOOP,
    LOW,
    SEND,
    SIGNAL,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    TAIL,
    WRITES,
)
from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.program.commands import Engine
from drawloom.program.program import Program

MOST_CELLS = 1 << 27
Array = NDArray[Any]


def times(flat: Flat, chip: Chip, n_tiles: int) -> Time:
    """Return clocks at zero."""
    depths = {
        Engine.READ: chip.dram_read.depth,
        Engine.WRITE: chip.dram_write.depth,
        Engine.MOVE: chip.move.depth,
        Engine.MATRIX: chip.matrix.depth,
        Engine.VECTOR: chip.vector.depth,
        Engine.SEND: chip.send.depth,
    }
    # A queue's commands, and the one at work.
    held = np.array([depths.get(engine, 0) + 1 for engine in ENGINES], np.int64)
    keeps = [one.count for one in flat.templates if one.op == JOIN]
    kept = max(int(held.max()), min(64, max(keeps, default=0))) + 2
    n = n_tiles * N_ENGINES
    depth = flat.code.strides.shape[1]
    return Time(
        clock=np.zeros((n_tiles, n), np.int64),
        done=np.zeros((n, kept, n), np.int64),
        counts=np.zeros(n, np.int64),
        work=np.zeros(n, np.int64),
        stands=np.zeros(n_tiles, np.int64),
        turns=np.zeros((n_tiles, depth + 1), np.int64),
        at_turn=np.zeros((n_tiles, depth), np.int64),
        depths=held,
    )


def runs_of_rows(code: Code) -> Ints:
    """Return how often each row is walked over."""
    often = np.ones(len(code.rows), np.int64)
    for head in np.flatnonzero(code.rows[:, 0] == LOOP):
        often[head + 1 : code.rows[head, 1]] *= code.rows[head, 4]
    return often


def notes(flat: Flat, often: Ints) -> Notes:
    """Return room for findings and writes."""
    code = flat.code
    which, n = _per_template(code, often)
    writes = sum(
        int(n[k]) * (len(one.tiles) if one.op == SEND else sum(s[WRITES] for s in one.spans))
        for k, one in enumerate(flat.templates)
    )
    assert which is not None
    return Notes(
        found=np.zeros((state.MOST_FOUND, N_FOUND), np.int64),
        told=np.zeros(len(code.rows), np.int64),
        writes=np.zeros((writes + 1, N_WRITE), np.int64),
        pending=np.zeros((state.MOST_PENDING, 5), np.int64),
        pieces=np.zeros((state.MOST_PIECES, 2), np.int64),
        n=np.array([0, 1, *[0] * (state.N_COUNTERS - 2)], np.int64),
    )


def _per_template(code: Code, often: Ints) -> tuple[Ints, Ints]:
    """Return the rows that are commands, and how often each template runs."""
    rows = np.flatnonzero(code.rows[:, 0] > 1)
    n = np.bincount(code.rows[rows, 1], often[rows], minlength=len(code.templates))
    return rows, n.astype(np.int64)


def flags(flat: Flat, often: Ints, n_tiles: int) -> Flags:
    """Return flags that nobody armed or raised."""
    code = flat.code
    n_flags = n_tiles * N_FLAGS
    arms, comes = np.zeros(n_flags, np.int64), np.zeros(n_flags, np.int64)
    sent = 0
    bounds = code.starts
    for tile in range(n_tiles):
        rows: Ints = np.arange(int(bounds[tile]), int(bounds[tile + 1]))
        rows = rows[code.rows[rows, 0] > 1]
        n = np.bincount(code.rows[rows, 1], often[rows], minlength=len(code.templates))
        for k in np.flatnonzero(n):
            one, count = flat.templates[k], int(n[k])
            if one.op == ARM:
                arms[tile * N_FLAGS + one.flag] += count
            elif one.op in (SEND, SIGNAL):
                sent += count
                for target in one.tiles:
                    comes[target * N_FLAGS + one.flag] += count
    return Flags(
        armed=np.zeros(int(arms.sum()) + 1, np.int64),
        armed_at=_first(arms),
        n_armed=np.zeros(n_flags, np.int64),
        sends=np.zeros(n_flags, np.int64),
        waited=np.zeros(n_flags, np.int64),
        merged=np.zeros(n_flags, np.int64),
        n_came=np.zeros(n_flags, np.int64),
        came_at=_first(comes),
        came=np.zeros(int(comes.sum()) + 1, np.int64),
        sender=np.full(n_flags, -1, np.int64),
        last=np.zeros(n_flags, np.int64),
        clocks=np.zeros((sent + 1, n_tiles * N_ENGINES), np.int64),
    )


def _first(counts: Ints) -> Ints:
    """Return where each of some lists begins, one after the other."""
    return np.cumsum(counts) - counts


def memory(
    program: Program, flat: Flat, written: Ints, pages: Ints, marks: Callable[[Memory], None]
) -> tuple[Memory, Atoms]:
    """Return the memories and the atoms they fall into.

    Args:
        program: says what lies in DRAM before.
        flat: its code.
        written: ranges of DRAM that commands write.
        pages: of scratchpads the pages that are touched on any tile.
        marks: sets ``atom`` of a memory to 1 wherever a range begins or ends.

    Raises:
        InputError: there is too much to look at (``check.size``).
    """
    n_tiles = len(program.streams)
    brought = _brought(program)
    parts = _merged(written)
    grains = np.array([_grain(flat.code, in_dram=False), _grain(flat.code, in_dram=True)], np.int64)
    if len(brought):
        grains[1] = np.gcd.reduce([grains[1], *np.gcd.reduce(brought[:, :2], axis=0)])
    grains[1] = (
        max(1, np.gcd.reduce([grains[1], *np.gcd.reduce(parts, axis=0)])) if len(parts) else 1
    )
    local, per_tile = _table(_paged(pages, program.scratchpad_bytes), int(grains[0]), 0)
    far, total = _table(parts, int(grains[1]), n_tiles * per_tile)
    if total > MOST_CELLS:
        fault = Fault("bytes to look at", f"{total:,}", f"at most {MOST_CELLS:,}")
        raise InputError("check.size", f"program '{program.name}' is too large to check", [fault])
    made = Memory(
        size=np.array([program.scratchpad_bytes, program.dram_bytes], np.int64),
        grain=np.array([*grains, per_tile], np.int64),
        local=local,
        parts=far,
        brought=brought,
        atom=np.zeros(total + 1, np.int64),
    )
    begins = np.arange(n_tiles)[:, None] * per_tile + local[:, 2]
    made.atom[begins.reshape(-1)] = 1
    made.atom[made.parts[:, 2]] = 1
    marks(made)
    _mark_brought(made)
    return made, _atoms(made, n_tiles, n_tiles * per_tile)


def _grain(code: Code, *, in_dram: bool) -> int:
    """Return what all addresses, strides and sizes in a memory are multiples of."""
    spans = code.spans
    mine = (spans[:, SPACE] == DRAM) == in_dram
    if not mine.any():
        return 1
    columns = spans[mine][:, [LOW, INNER, STRIDE0, STRIDE1, STRIDE2, HULL_LOW, HULL, TAIL]]
    found = int(np.gcd.reduce(np.abs(columns), axis=None))
    found = int(np.gcd(found, PAGE))
    places = _places(code, mine)
    found = int(np.gcd(found, np.gcd.reduce(np.abs(code.bases[places]))))
    moves = code.moves[places]
    moves = moves[moves >= 0]
    if moves.size:
        found = int(np.gcd(found, np.gcd.reduce(np.abs(code.strides[moves]), axis=None)))
    return max(1, found)


def _places(code: Code, mine: NDArray[np.bool_]) -> Ints:
    """Return the places of all addresses that some spans start from."""
    rows = np.flatnonzero(code.rows[:, 0] > 1)
    which, first = code.rows[rows, 1], code.rows[rows, 2]
    table = code.templates
    found: list[Ints] = []
    for k in range(int(table[:, 8].max(initial=0))):
        there = table[which, 8] > k
        span = table[which[there], 7] + k
        chosen = mine[span]
        found.append(first[there][chosen] + code.spans[span[chosen], ADDRESS])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _brought(program: Program) -> Ints:
    found: list[tuple[int, int, int]] = []
    for region in program.regions:
        if region.kind in ("input", "constant") and region.bytes:
            number = FORMATS.index(region.fmt) + 1 if region.fmt in FORMATS else 0
            found.append((region.address, region.address + region.bytes, number))
    found += [(address, address + raw.size, 0) for address, raw in program.data if raw.size]
    table = np.array(sorted(found), np.int64).reshape(-1, 3)
    # Overlapping ranges would be counted twice: each ends where the next begins.
    table[:-1, 1] = np.minimum(table[:-1, 1], table[1:, 0])
    return table[table[:, 1] > table[:, 0]]


def _merged(ranges: Ints) -> Ints:
    """Return ranges sorted, those joined that meet."""
    if not len(ranges):
        return np.zeros((0, 2), np.int64)
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ranges[:, 1])
    begins = np.concatenate(([True], ranges[1:, 0] > reach[:-1]))
    ends = np.concatenate((begins[1:], [True]))
    return np.column_stack([ranges[begins, 0], reach[ends]])


def _paged(pages: Ints, size: int) -> Ints:
    """Return the runs of pages that are touched, as ranges of a scratchpad."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], pages, [0]))))
    return np.minimum(edges.reshape(-1, 2) * PAGE, size).astype(np.int64)


def _table(ranges: Ints, grain: int, first: int) -> tuple[Ints, int]:
    """Return ranges with their first cells, and the cell behind all; each has one more for its end."""
    cells = -(-(ranges[:, 1] - ranges[:, 0]) // grain) + 1
    ends = first + np.cumsum(cells)
    table = np.column_stack([ranges, ends - cells]).astype(np.int64)
    return table, int(ends[-1]) if len(ends) else first


def _mark_brought(m: Memory) -> None:
    for start, stop, cell in m.parts:
        for first, last, _ in _within(m, start, stop):
            m.atom[cell + (first - start) // m.grain[1]] = 1
            m.atom[cell + (last - start) // m.grain[1]] = 1


def _within(m: Memory, start: int, stop: int) -> list[tuple[int, int, int]]:
    """Return what lies in a range of DRAM before, cut to it."""
    low = int(np.searchsorted(m.brought[:, 1], start, side="right"))
    high = int(np.searchsorted(m.brought[:, 0], stop, side="left"))
    return [
        (max(start, int(first)), min(stop, int(last)), int(fmt))
        for first, last, fmt in m.brought[low:high]
    ]


def _atoms(m: Memory, n_tiles: int, n_local: int) -> Atoms:
    """Number the atoms, and put in what lies in DRAM before."""
    begins = np.flatnonzero(m.atom[:-1])
    n = begins.size
    np.cumsum(m.atom, out=m.atom)
    m.atom[:] -= 1
    m.atom[-1] = n
    local = int(np.searchsorted(begins, n_local))
    start, size = np.zeros(n, np.int64), np.zeros(n, np.int64)
    if local:
        inside: Ints = begins[:local] % m.grain[2]
        part = np.asarray(np.searchsorted(m.local[:, 2], inside, side="right")) - 1
        start[:local] = m.local[part, 0] + (inside - m.local[part, 2]) * m.grain[0]
    if n > local:
        part = np.searchsorted(m.parts[:, 2], begins[local:], side="right") - 1
        start[local:] = m.parts[part, 0] + (begins[local:] - m.parts[part, 2]) * m.grain[1]
    size[:-1] = np.maximum(0, start[1:] - start[:-1])
    slot = np.concatenate(
        (np.arange(local) * N_ENGINES, local * N_ENGINES + np.arange(n - local) * 2 * n_tiles)
    )
    made = Atoms(
        start=start,
        size=size,
        writer=np.full(n, -1, np.int64),
        format=np.zeros(n, np.int64),
        is_read=np.zeros(n, np.int64),
        readers=np.zeros(local * N_ENGINES + (n - local) * 2 * n_tiles, np.int64),
        slot=slot.astype(np.int64),
    )
    for start_, stop, cell in m.parts:
        for first, last, fmt in _within(m, start_, stop):
            one = m.atom[cell + (first - start_) // m.grain[1]]
            behind = m.atom[cell + (last - start_) // m.grain[1]]
            made.writer[one:behind] = 0
            made.format[one:behind] = fmt
    return made
