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
    FORMATS,
    HULL,
    HULL_LOW,
    INNER,
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
ROOM = 1 << 16  # pieces there is room for at first, beside those there are
MOST_RANGES = 1 << 20  # that are told apart; beyond, what lies between some counts as written


def page_counts(program: Program) -> tuple[int, int, int]:
    """Return bits of a byte's place in a page of DRAM, pages of a scratchpad, and of DRAM."""
    far = program.dram_bytes
    bits = max(PAGE_BITS, (max(1, far - 1) // MOST_PAGES).bit_length())
    return bits, -(-program.scratchpad_bytes >> PAGE_BITS), -(-far >> bits)


def lay_out(store: Store, program: Program, parts: Ints, once: Ints) -> None:
    """Put in the pieces of memory that there are before the program.

    Args:
        store: takes them.
        program: says what lies in DRAM before.
        parts: ranges of DRAM outside which nothing is ever written.
        once: ranges that are written once and never read, with formats.
    """
    n_tiles = len(program.streams)
    far_bits, near_pages, _ = page_counts(program)
    table = _dram(program.dram_bytes, parts, brought(program))
    table = _with_once(table, once) if len(once) else table
    width = READERS + max(N_ENGINES, 2 * n_tiles)
    for number, value in (
        (state.SPM_BYTES, program.scratchpad_bytes), (state.DRAM_BYTES, program.dram_bytes),
        (state.NEAR_BITS, PAGE_BITS), (state.FAR_BITS, far_bits), (state.NEAR_PAGES, near_pages),
        (state.FAR_PAGES, n_tiles * near_pages), (state.WIDTH, width),
    ):  # fmt: skip
        store.cells[number] = value
    pieces = np.zeros((n_tiles + len(table), width), np.int64)
    pieces[:n_tiles, state.G_OWNER] = np.arange(n_tiles)
    pieces[:n_tiles, state.G_STOP] = program.scratchpad_bytes
    pieces[:n_tiles, state.G_WRITER] = state.NOBODY
    pieces[n_tiles:, state.G_OWNER] = IN_DRAM
    columns = [state.G_START, state.G_STOP, state.G_WRITER, state.G_FORMAT, state.G_READ]
    pieces[n_tiles:, columns] = table
    place_pieces(store, pieces)


def place_pieces(store: Store, pieces: Ints) -> None:
    """Put pieces of memory in place of those that there are: in lists, and the pages that lead to them."""
    cells = store.cells
    pieces = pieces[np.lexsort((pieces[:, state.G_START], pieces[:, state.G_OWNER]))]
    n, width = len(pieces), int(cells[state.WIDTH])
    owner = pieces[:, state.G_OWNER]
    edges = np.concatenate(([True], owner[1:] != owner[:-1], [True]))
    each = np.arange(n, dtype=np.int64) * width
    pieces[:, state.G_PREV] = np.where(edges[:-1], -1, each - width)
    pieces[:, state.G_NEXT] = np.where(edges[1:], -1, each + width)
    pages = store[state.PAGES]
    near_pages, n_near = int(cells[state.NEAR_PAGES]), int(cells[state.FAR_PAGES])
    bounds = np.flatnonzero(edges)
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        tile = int(owner[first])
        part = slice(n_near, None)
        if tile != IN_DRAM:
            part = slice(tile * near_pages, (tile + 1) * near_pages)
        bits = int(cells[state.FAR_BITS if tile == IN_DRAM else state.NEAR_BITS])
        starts = np.arange(len(pages[part]), dtype=np.int64) << bits
        there = np.searchsorted(pieces[first:last, state.G_STOP], starts, side="right")
        pages[part] = (first + there) * width
    room = max(ROOM, len(store.pieces) // width - n)
    store.pieces = np.zeros((n + room) * width, np.int64)
    store.pieces[: n * width] = pieces.reshape(-1)
    for number, value in (
        (state.HANDED_OUT, n * width), (state.N_FREE, room), (state.GIVEN_BACK, -1), (state.N_NOTES, 1)
    ):  # fmt: skip
        cells[number] = value


def pieces_before(program: Program) -> Ints:
    """Return what lies in DRAM before: first byte, byte behind the last, as who wrote it, format; all of DRAM."""
    return _dram(program.dram_bytes, np.zeros((0, 2), np.int64), brought(program))


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


def _with_once(table: Ints, once: Ints) -> Ints:
    """Return pieces of DRAM with ranges that are written once; they lie outside of what is there before."""
    edges = np.unique(np.concatenate((table[:, :2].reshape(-1), once[:, :2].reshape(-1))))
    made = table[np.searchsorted(table[:, 1], edges[:-1], side="right")]
    made[:, 0], made[:, 1] = edges[:-1], edges[1:]
    is_once, k = _inside(once, edges[:-1])
    mine = is_once == 1
    made[mine, 2], made[mine, 4] = state.BEFORE, state.ONCE
    made[mine, 3] = once[k[mine], 2]
    return made


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
    rows, spans = all_spans(code)
    chosen = (code.spans[spans, SPACE] == DRAM) & (code.spans[spans, WRITES] == 1)
    chosen &= code.spans[spans, HULL] > 0
    return merged(spread_of(flat, rows[chosen], spans[chosen]), program.dram_bytes)


def spread_of(flat: Flat, rows: Ints, spans: Ints) -> Ints:
    """Return ranges that hold all that spans of rows touch, in all turns of the loops around."""
    code = flat.code
    low, strides, counts = from_first(flat, rows, spans)
    table = np.column_stack((low + code.spans[spans, LOW], code.spans[spans, INNER]))
    levels = [
        (code.spans[spans, stride], code.spans[spans, count])
        for stride, count in ((STRIDE2, COUNT2), (STRIDE1, COUNT1), (STRIDE0, COUNT0))
    ]
    levels += [(strides[:, k], counts[:, k]) for k in reversed(range(strides.shape[1]))]
    return _spread(table, levels)


def reach_of(flat: Flat, rows: Ints, spans: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the first byte and the bytes around all that spans touch in a turn of the outermost loop; its stride."""
    code = flat.code
    low, strides, counts = from_first(flat, rows, spans)
    low = low + code.spans[spans, HULL_LOW]
    size = code.spans[spans, HULL].copy()
    for k in range(1, strides.shape[1]):
        far = strides[:, k] * (counts[:, k] - 1)
        low += np.minimum(0, far)
        size += np.abs(far)
    return low, size, strides[:, 0]


def strides_of(flat: Flat) -> Ints:
    """Return for each row the bytes by which what it writes to DRAM moves with a turn of the outermost loop."""
    code = flat.code
    rows, spans = all_spans(code)
    chosen = (code.spans[spans, SPACE] == DRAM) & (code.spans[spans, WRITES] == 1)
    made = np.zeros(len(code.rows), np.int64)
    made[rows[chosen]] = reach_of(flat, rows[chosen], spans[chosen])[2]
    return made


def from_first(flat: Flat, rows: Ints, spans: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the addresses of spans at the first turns, their strides, and how often the loops around turn."""
    bases, strides = moved_by(flat.code, rows, flat.code.spans[spans, ADDRESS])
    return bases, strides, flat.counts[rows]


def moved_by(code: Code, rows: Ints, which: Ints | int) -> tuple[Ints, Ints]:
    """Return addresses of rows at the first turns, and by how much each loop around moves them, outermost first."""
    place = code.rows[rows, 2] + which
    moves = code.moves[place]
    return code.bases[place], np.where(moves[:, None] >= 0, code.strides[moves], 0)


def _spread(table: Ints, levels: list[tuple[Ints, Ints]]) -> Ints:
    """Return ranges, given by first byte and bytes, spread by levels: each moves by a stride, so often.

    Where what is left out between is less than thrice what is taken, it is taken too.
    """
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


def all_spans(code: Code) -> tuple[Ints, Ints]:
    """Return for everything that commands touch the row, and which of all spans it is."""
    rows = np.flatnonzero(code.rows[:, 0] > 1)
    which = code.rows[rows, 1]
    first, n = code.templates[which, 7], code.templates[which, 8]
    each = np.repeat(np.arange(len(rows)), n)
    place = np.arange(len(each)) - np.repeat(np.cumsum(n) - n, n)
    return rows[each], first[each] + place


def merged(ranges: Ints, size: int) -> Ints:
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
