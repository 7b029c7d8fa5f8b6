"""Bytes of outputs that a program writes once and never reads: no order in which it does so can be wrong.

Two accesses of the same bytes make a race; of these there is one each. That they are all written, and in which format,
is looked at beside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drawloom.check.code import Flat
from drawloom.check.memory import all_spans, from_first, merged, reach_of
from drawloom.check.state import Ints
from drawloom.check.templates import (
    COUNT0,
    COUNT1,
    COUNT2,
    DRAM,
    EXACT,
    FORMATS,
    HULL,
    INNER,
    LOW,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    WRITES,
)
from drawloom.program.program import Program

MOST_RUNS = 1 << 19  # that are told apart
LEAST_RUNS = 1 << 12  # below, nothing is to be gained
NONE: Ints = np.zeros((0, 3), np.int64)


def once(program: Program, flat: Flat) -> Ints:
    """Return ranges of outputs whose bytes are written once and never read: first byte, behind the last, format."""
    outputs = _outputs(program)
    if not len(outputs):
        return NONE
    code = flat.code
    rows, spans = all_spans(code)
    chosen = (code.spans[spans, SPACE] == DRAM) & (code.spans[spans, HULL] > 0)
    rows, spans = rows[chosen], spans[chosen]
    low, high = _hulls(flat, rows, spans)
    k = np.clip(np.searchsorted(outputs[:, 1], low, side="right"), 0, len(outputs) - 1)
    inside = (outputs[k, 0] <= low) & (high <= outputs[k, 1])
    is_write = (code.spans[spans, WRITES] == 1) & (code.spans[spans, EXACT] == 1)
    good = inside & is_write
    outputs = outputs[~_met(outputs, low[~good], high[~good])]
    mine = good & _met(np.column_stack((low, high)), outputs[:, 0], outputs[:, 1])
    runs = _runs(flat, rows[mine], spans[mine])
    if runs is None:
        return NONE
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    torn = runs[1:, 0] < runs[:-1, 1]
    outputs = outputs[~_met(outputs, runs[1:, 0][torn], runs[:-1, 1][torn])]
    return _within(merged(runs, program.dram_bytes), outputs)


def _outputs(program: Program) -> Ints:
    """Return outputs of a known format, where they lie apart."""
    found = sorted(
        (region.address, region.address + region.bytes, FORMATS.index(region.fmt) + 1)
        for region in program.regions
        if region.kind == "output" and region.bytes and region.fmt in FORMATS
    )
    table = np.array(found, np.int64).reshape(-1, 3)
    others = [r for r in program.regions if r.kind != "output" and r.bytes]
    low = np.array([r.address for r in others], np.int64)
    high = np.array([r.address + r.bytes for r in others], np.int64)
    if (table[1:, 0] < table[:-1, 1]).any():
        return NONE
    return table[~_met(table, low, high)]


def _hulls(flat: Flat, rows: Ints, spans: Ints) -> tuple[Ints, Ints]:
    """Return the first byte, and the one behind the last, of what spans touch in all turns of the loops around."""
    low, size, stride = reach_of(flat, rows, spans)
    _, _, turns = from_first(flat, rows, spans)
    far = stride * (turns[:, 0] - 1)
    return low + np.minimum(0, far), low + size + np.maximum(0, far)


def _met(ranges: Ints, low: Ints, high: Ints) -> NDArray[np.bool_]:
    """Return for each range whether any of others, given by their ends, meets it."""
    others = merged(np.column_stack((low, high)), int(np.iinfo(np.int64).max))
    if not len(others):
        return np.zeros(len(ranges), np.bool_)
    k = np.minimum(np.searchsorted(others[:, 1], ranges[:, 0], side="right"), len(others) - 1)
    return (others[k, 0] < ranges[:, 1]) & (others[k, 1] > ranges[:, 0])


def _runs(flat: Flat, rows: Ints, spans: Ints) -> Ints | None:
    """Return all runs of spans in all turns, first byte and behind the last; None of too few or too many."""
    code = flat.code
    base, strides, turns = from_first(flat, rows, spans)
    levels = [(strides[:, k], turns[:, k]) for k in range(strides.shape[1])]
    levels += [
        (code.spans[spans, stride], code.spans[spans, count])
        for stride, count in ((STRIDE0, COUNT0), (STRIDE1, COUNT1), (STRIDE2, COUNT2))
    ]
    total = sum(np.prod([count for _, count in levels], axis=0, dtype=np.float64))
    if not LEAST_RUNS <= total <= MOST_RUNS:
        return None
    low, which = base + code.spans[spans, LOW], np.arange(len(rows))
    for stride, count in levels:
        if (count > 1).any():
            times = count[which]
            each = np.repeat(np.arange(len(low)), times)
            turn = np.arange(len(each)) - np.repeat(np.cumsum(times) - times, times)
            which = which[each]
            low = low[each] + turn * stride[which]
    return np.column_stack((low, low + code.spans[spans, INNER][which]))


def _within(ranges: Ints, outputs: Ints) -> Ints:
    """Return ranges inside outputs, with the outputs' formats."""
    if not len(outputs) or not len(ranges):
        return NONE
    # A range may reach over outputs side by side.
    edges = np.unique(np.concatenate((ranges.reshape(-1), outputs[:, :2].reshape(-1))))
    start, stop = edges[:-1], edges[1:]
    i = np.minimum(np.searchsorted(ranges[:, 1], start, side="right"), len(ranges) - 1)
    k = np.minimum(np.searchsorted(outputs[:, 1], start, side="right"), len(outputs) - 1)
    both = (ranges[i, 0] <= start) & (outputs[k, 0] <= start)
    return np.column_stack((start, stop, outputs[k, 2]))[both]
