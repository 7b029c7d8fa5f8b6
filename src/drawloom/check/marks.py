"""Compiled code that looks for what a walk must tell apart: where ranges of bytes begin and end."""

from __future__ import annotations

from typing import Any

from drawloom.check.code import FIRST, T_N_SPANS, T_N_TILES, T_SPANS, T_TILES, TEMPLATE, Code
from drawloom.check.state import IN_DRAM, PAGE, Ints, Memory, Time
from drawloom.check.steps import address, overlapping, part
from drawloom.check.templates import (
    ADDRESS,
    COUNT0,
    COUNT1,
    COUNT2,
    DRAM,
    HULL,
    HULL_LOW,
    INNER,
    LOW,
    REMOTE,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    TAIL,
    WRITES,
)


@part
def mark_range(m: Memory, start: int, stop: int, owner: int) -> None:
    """Mark where a range begins and ends, as far as it is looked at."""
    parts = m.parts if owner == IN_DRAM else m.local
    grain = m.grain[1] if owner == IN_DRAM else m.grain[0]
    shift = 0 if owner == IN_DRAM else owner * m.grain[2]
    at = overlapping(parts, start)
    while at < parts.shape[0] and parts[at, 0] < stop:
        first = parts[at, 0]
        cell = shift + parts[at, 2]
        m.atom[cell + (max(start, first) - first) // grain] = 1
        m.atom[cell + (min(stop, parts[at, 1]) - first) // grain] = 1
        at += 1


@part
def mark_span(m: Memory, span: Any, base: int, owner: int) -> None:
    """Mark where the runs of a span begin and end."""
    low = base + span[HULL_LOW]
    if low < 0 or low + span[HULL] > (m.size[1] if owner == IN_DRAM else m.size[0]):
        return
    for i in range(span[COUNT0]):
        for j in range(span[COUNT1]):
            for k in range(span[COUNT2]):
                start = base + span[LOW] + i * span[STRIDE0] + j * span[STRIDE1] + k * span[STRIDE2]
                mark_range(m, start, start + span[INNER], owner)
                if span[TAIL]:
                    mark_range(m, start + span[INNER] - span[TAIL], start + span[INNER], owner)


@part
def is_apart(m: Memory, span: Any, base: int) -> bool:
    """Whether a span of DRAM meets nothing that is looked at."""
    start = base + span[HULL_LOW]
    at = overlapping(m.parts, start)
    return at == m.parts.shape[0] or m.parts[at, 0] >= start + span[HULL]


@part
def mark_command(c: Code, m: Memory, t: Time, tile: int, row: int) -> None:
    """Mark the ranges of a command."""
    which = c.rows[row, TEMPLATE]
    for k in range(
        c.templates[which, T_SPANS], c.templates[which, T_SPANS] + c.templates[which, T_N_SPANS]
    ):
        span = c.spans[k]
        if span[HULL] == 0:
            continue
        base = address(c, c.rows[row, FIRST] + span[ADDRESS], t.at_turn[tile])
        if span[SPACE] == REMOTE:
            for i in range(c.templates[which, T_N_TILES]):
                mark_span(m, span, base, c.lists[c.templates[which, T_TILES] + i])
        elif span[SPACE] != DRAM:
            mark_span(m, span, base, tile)
        elif not is_apart(m, span, base):
            mark_span(m, span, base, IN_DRAM)


@part
def collect_command(
    c: Code, t: Time, tile: int, row: int, ranges: Ints, pages: Ints, n: int
) -> int:
    """Append the ranges of DRAM that a command writes; return how many there are. Mark the pages of scratchpads."""
    which = c.rows[row, TEMPLATE]
    for k in range(
        c.templates[which, T_SPANS], c.templates[which, T_SPANS] + c.templates[which, T_N_SPANS]
    ):
        span = c.spans[k]
        base = address(c, c.rows[row, FIRST] + span[ADDRESS], t.at_turn[tile])
        low = base + span[HULL_LOW]
        if span[SPACE] != DRAM and low >= 0 and span[HULL]:
            for page in range(low // PAGE, min(pages.shape[0], (low + span[HULL] - 1) // PAGE + 1)):
                pages[page] = 1
        if span[SPACE] != DRAM or not span[WRITES] or span[HULL] == 0:
            continue
        runs = span[COUNT0] * span[COUNT1] * span[COUNT2]
        if span[COUNT0] == 1 or runs * span[INNER] * 4 >= span[HULL]:
            if n < ranges.shape[0]:
                ranges[n, 0] = base + span[HULL_LOW]
                ranges[n, 1] = ranges[n, 0] + span[HULL]
            n += 1
            continue
        # Far apart: level by level.
        below = min(0, span[STRIDE1]) * (span[COUNT1] - 1) + min(0, span[STRIDE2]) * (
            span[COUNT2] - 1
        )
        size = span[HULL] - abs(span[STRIDE0]) * (span[COUNT0] - 1)
        for i in range(span[COUNT0]):
            if n < ranges.shape[0]:
                ranges[n, 0] = base + i * span[STRIDE0] + below
                ranges[n, 1] = ranges[n, 0] + size
            n += 1
    return n
