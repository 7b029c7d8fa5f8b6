"""All memories at the beginning of a walk: what lies there before, and what of DRAM is ever written."""

from __future__ import annotations

import numpy as np

from drawloom.check import state
from drawloom.check.code import Code, Flat
from drawloom.check.state import IN_DRAM, N_ENGINES, NEVER, READERS, Ints, Store
from drawloom.check.templates import (
    ADDRESS,
    COUNT0,
    COUNT1,
    COUNT2,
    DRAM,
    END,
    FORMATS,
    HULL,
    INNER,
    LOOP,
    LOW,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    WRITES,
)
from drawloom.program.program import Program

PAGE_BITS = 12  # of a scratchpad
MOST_PAGES = 1 << 17  # of DRAM
ROOM = 1 << 13  # pieces there is room for at first, beside those there are
MOST_RANGES = 1 << 20  # that are told apart; beyond, what lies between some counts as written


def lay_out(store: Store, program: Program, parts: Ints) -> None:
    """Put in the pieces of memory that there are before the program, and the pages that lead to them.

    Args:
        store: takes them.
        program: says what lies in DRAM before.
        parts: ranges of DRAM outside which nothing is ever written.
    """
    n_tiles = len(program.streams)
    near, far = program.scratchpad_bytes, program.dram_bytes
    far_bits = max(PAGE_BITS, (max(1, far - 1) // MOST_PAGES).bit_length())
    near_pages, far_pages = -(-near >> PAGE_BITS), -(-far >> far_bits)
    table = _dram(far, parts, brought(program))
    width = READERS + max(N_ENGINES, 2 * n_tiles)
    n = n_tiles + len(table)
    pieces = np.zeros((n + ROOM, width), np.int64)
    pieces[:n_tiles, state.G_OWNER] = np.arange(n_tiles)
    pieces[n_tiles:n, state.G_OWNER] = IN_DRAM
    pieces[:n_tiles, state.G_STOP] = near
    pieces[:n_tiles, state.G_WRITER] = state.NOBODY
    pieces[:n_tiles, [state.G_PREV, state.G_NEXT]] = -1
    columns = [state.G_START, state.G_STOP, state.G_WRITER, state.G_FORMAT, state.G_READ]
    pieces[n_tiles:n, columns] = table
    each: Ints = np.arange(n_tiles, n)
    pieces[n_tiles:n, state.G_PREV] = np.where(each > n_tiles, (each - 1) * width, -1)
    pieces[n_tiles:n, state.G_NEXT] = np.where(each < n - 1, (each + 1) * width, -1)
    firsts: Ints = np.arange(far_pages, dtype=np.int64) << far_bits
    leads = np.concatenate(
        (
            np.repeat(np.arange(n_tiles, dtype=np.int64), near_pages),
            n_tiles + np.searchsorted(table[:, 1], firsts, side="right"),
        )
    )
    cells = store.cells
    for number, value in (
        (state.PAGES, len(cells)), (state.SPM_BYTES, near), (state.DRAM_BYTES, far),
        (state.NEAR_BITS, PAGE_BITS), (state.FAR_BITS, far_bits), (state.NEAR_PAGES, near_pages),
        (state.FAR_PAGES, n_tiles * near_pages), (state.WIDTH, width),
        (state.HANDED_OUT, n * width), (state.N_FREE, ROOM),
    ):  # fmt: skip
        cells[number] = value
    store.shapes[state.PAGES] = (len(leads),)
    store.cells = np.concatenate((cells, leads * width))
    store.pieces = pieces.reshape(-1)


def _dram(size: int, parts: Ints, there: Ints) -> Ints:
    """Return the pieces of DRAM: first byte, byte behind the last, writer, format, whether it is ever written."""
    if not size:
        return np.zeros((0, 5), np.int64)
    both = np.array([0, size], np.int64)
    edges: Ints = np.concatenate((both, parts.reshape(-1), there[:, :2].reshape(-1)))
    edges = np.unique(np.clip(edges, 0, size))
    start, stop = edges[:-1], edges[1:]
    is_there, k = _inside(there, start)
    is_part, _ = _inside(parts, start)
    table = np.column_stack(
        (
            start,
            stop,
            np.where(is_there, state.BEFORE, state.NOBODY),
            np.where(is_there, there[k, 2] if len(there) else 0, 0),
            np.where(is_part, 0, NEVER),
        )
    ).astype(np.int64)
    # Neighbours that are alike are one piece.
    begins = np.concatenate(([True], (table[1:, 2:] != table[:-1, 2:]).any(axis=1)))
    table[begins, 1] = np.concatenate((table[begins, 0][1:], [size]))
    return table[begins]


def _inside(ranges: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Return whether each byte lies in one of some sorted ranges, and in which if so."""
    if not len(ranges):
        return np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    k = np.maximum(np.searchsorted(ranges[:, 0], at, side="right") - 1, 0).astype(np.int64)
    return ((ranges[k, 0] <= at) & (at < ranges[k, 1])).astype(np.int64), k


def brought(program: Program) -> Ints:
    """Return what lies in DRAM before: first byte, byte behind the last, number of the format; sorted."""
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


def written(program: Program, flat: Flat) -> Ints:
    """Return ranges of DRAM that hold all that the program writes, sorted, those joined that meet."""
    code = flat.code
    rows, spans = dram_spans(code, writes=True)
    if not len(rows):
        return np.zeros((0, 2), np.int64)
    place = code.rows[rows, 2] + code.spans[spans, ADDRESS]
    low = code.bases[place] + code.spans[spans, LOW]
    size = code.spans[spans, INNER]
    moves = code.moves[place]
    strides = np.where(moves[:, None] >= 0, code.strides[moves], 0)
    counts = turns_around(flat, rows)
    table = np.column_stack((low, size))
    levels = [
        (code.spans[spans, stride], code.spans[spans, count])
        for stride, count in ((STRIDE2, COUNT2), (STRIDE1, COUNT1), (STRIDE0, COUNT0))
    ]
    levels += [(strides[:, k], counts[:, k]) for k in reversed(range(strides.shape[1]))]
    return _merged(spread(table, levels), program.dram_bytes)


def spread(table: Ints, levels: list[tuple[Ints, Ints]]) -> Ints:
    """Return ranges, given by first byte and bytes, spread by levels: each moves by a stride, so often.

    Where what is left out between is less than thrice what is taken, it is taken too.
    """
    which: Ints = np.arange(len(table))
    table = np.unique(np.column_stack((table, *(x for level in levels for x in level))), axis=0)
    which = np.arange(len(table))
    low, size = table[:, 0].copy(), table[:, 1].copy()
    for k in range(len(levels)):
        stride, count = table[which, 2 + 2 * k], table[which, 3 + 2 * k]
        is_near = (np.abs(stride) <= 4 * size) | (count <= 1)
        if int(np.where(is_near, 1, count).sum()) > MOST_RANGES:
            is_near[:] = True
        low = np.where(is_near, low + np.minimum(0, stride * (count - 1)), low)
        size = np.where(is_near, size + np.abs(stride) * (count - 1), size)
        times = np.where(is_near, 1, count)
        each = np.repeat(np.arange(len(low)), times)
        turn = np.arange(len(each)) - np.repeat(np.cumsum(times) - times, times)
        low, size, which = low[each] + turn * stride[each], size[each], which[each]
    return np.column_stack((low, low + size))


def dram_spans(code: Code, *, writes: bool) -> tuple[Ints, Ints]:
    """Return the rows that touch DRAM so, and with which of all spans."""
    mine = (code.spans[:, SPACE] == DRAM) & (code.spans[:, WRITES] == writes)
    mine &= code.spans[:, HULL] > 0
    rows = np.flatnonzero(code.rows[:, 0] > 1)
    which = code.rows[rows, 1]
    first, n = code.templates[which, 7], code.templates[which, 8]
    found_rows: list[Ints] = []
    found_spans: list[Ints] = []
    for k in range(int(n.max(initial=0))):
        there = n > k
        span = first[there] + k
        chosen = mine[span]
        found_rows.append(rows[there][chosen])
        found_spans.append(span[chosen])
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *found_rows]), np.concatenate([none, *found_spans])


def turns_around(flat: Flat, rows: Ints) -> Ints:
    """Return for each row how often the loops around it turn, outermost first; 1 where there is none."""
    code = flat.code
    counts = np.ones((len(code.rows), code.strides.shape[1]), np.int64)
    around: list[int] = []
    for row in np.flatnonzero(code.rows[:, 0] <= END).tolist():
        if code.rows[row, 0] == LOOP:
            counts[row + 1 : code.rows[row, 1], len(around)] = code.rows[row, 3]
            around.append(row)
        else:
            around.pop()
    return counts[rows]


def _merged(ranges: Ints, size: int) -> Ints:
    """Return ranges sorted and cut to a memory, those joined that meet."""
    ranges = np.clip(ranges, 0, size)
    ranges = ranges[ranges[:, 1] > ranges[:, 0]]
    if not len(ranges):
        return np.zeros((0, 2), np.int64)
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ranges[:, 1])
    begins = np.concatenate(([True], ranges[1:, 0] > reach[:-1]))
    ends = np.concatenate((begins[1:], [True]))
    return np.column_stack([ranges[begins, 0], reach[ends]])


def unwritten(store: Store) -> Ints:
    """Return the ranges of DRAM that nobody wrote, sorted, once a walk is over."""
    pieces = store.history()
    nobody = (pieces[:, state.G_READ] == NEVER) | (pieces[:, state.G_WRITER] == state.NOBODY)
    is_one = (pieces[:, state.G_OWNER] == IN_DRAM) & (
        pieces[:, state.G_START] < pieces[:, state.G_STOP]
    )
    found = pieces[is_one & nobody][:, [state.G_START, state.G_STOP]]
    return found[np.argsort(found[:, 0])]
