"""The spans of a trace packed for the page: a lane per tile and engine, binned where there are many.

Of each span: gap since the last one's end, length, caption, layer, further commands in it, time
of its length in which nothing ran, bytes; as base-128 varints, base64. Times are in ticks: cycles
of the chip, rounded down.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.report.captions import caption
from drawloom.report.layers import ByLayer
from drawloom.timing import Trace
from drawloom.timing.table import ENGINES

MAX_SPANS = 50_000
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """What the page draws: ``lanes`` are (tile, engine, number of spans)."""

    tick_ps: int
    lanes: tuple[tuple[int, int, int], ...]
    captions: tuple[str, ...]
    packed: str
    bin_ps: int  # 0: every span stands alone

    @property
    def n_spans(self) -> int:
        """Number of spans that are drawn."""
        return sum(n for _, _, n in self.lanes)


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """Columns of equal length, in the order of lanes and then of time."""

    lane: Ints
    start: Ints
    end: Ints
    busy: Ints
    caption: Ints
    layer: Ints
    count: Ints
    bytes: Ints


def timeline(trace: Trace, layers: ByLayer, limit: int = MAX_SPANS) -> Timeline:
    """Return the timeline of a trace with at most ``limit`` spans."""
    captions, of_command = _captions(trace)
    tick = trace.chip.period
    spans = _columns(trace, layers, of_command)
    drawn, width = spans, 0
    while len(drawn.lane) > limit:
        width = 2 * width or max(1, trace.total_ps // limit)
        drawn = _binned(spans, width)
    lanes, n_spans = np.unique(drawn.lane, return_counts=True)
    n_engines = len(ENGINES)
    return Timeline(
        tick_ps=tick,
        lanes=tuple(
            (int(lane) // n_engines, int(lane) % n_engines, int(n))
            for lane, n in zip(lanes, n_spans, strict=True)
        ),
        captions=captions,
        packed=_packed(drawn, tick),
        bin_ps=width,
    )


def _captions(trace: Trace) -> tuple[tuple[str, ...], Ints]:
    positions: dict[str, int] = {}
    rows = [positions.setdefault(caption(c), len(positions)) for c in trace.table.commands]
    return tuple(positions), np.array(rows, np.int64)


def _columns(trace: Trace, layers: ByLayer, captions: Ints) -> _Spans:
    table, command = trace.table, trace.command
    lane = (table.tile * len(ENGINES) + table.engine)[command]
    order = np.lexsort((trace.start_ps, lane))
    row = command[order]
    start, end = trace.start_ps[order], trace.end_ps[order]
    # A tile's processor that only waits is not busy.
    own = table.engine[row] == len(ENGINES) - 1
    busy = np.where(own, np.minimum(table.fixed_ps[row], end - start), end - start)
    ones = np.ones(len(row), np.int64)
    return _Spans(
        lane[order], start, end, busy, captions[row], layers.of_command[row], ones, table.bytes[row]
    )


def _binned(spans: _Spans, width: int) -> _Spans:
    """Join the spans of a lane that start in one bin; those longer than a bin stand alone."""
    long = spans.end - spans.start >= width
    key = np.stack([spans.lane, spans.start // width], axis=1)
    new = np.any(key[1:] != key[:-1], axis=1) | long[1:] | long[:-1]
    first = np.nonzero(np.concatenate([[True], new]))[0]
    group = np.cumsum(np.concatenate([[0], new.astype(np.int64)]))
    # What a joined span is called after: the longest of its commands.
    by_length = np.lexsort((spans.end - spans.start, group))
    longest = by_length[np.concatenate([first[1:], [len(group)]]) - 1]
    return _Spans(
        spans.lane[first],
        spans.start[first],
        np.maximum.reduceat(spans.end, first),
        np.add.reduceat(spans.busy, first),
        spans.caption[longest],
        spans.layer[longest],
        np.add.reduceat(spans.count, first),
        np.add.reduceat(spans.bytes, first),
    )


def _packed(spans: _Spans, tick: int) -> str:
    start, end = spans.start // tick, spans.end // tick
    before = np.concatenate([[0], end[:-1]])
    before[np.concatenate([[True], spans.lane[1:] != spans.lane[:-1]])] = 0
    columns = (
        start - before,
        end - start,
        spans.caption,
        spans.layer,
        spans.count - 1,
        np.maximum(end - start - spans.busy // tick, 0),
        spans.bytes,
    )
    return base64.b64encode(varints(np.stack(columns, axis=1).reshape(-1))).decode()


def varints(values: Ints) -> bytes:
    """Return whole numbers >= 0, seven bits a byte, low bits first, the last byte below 128."""
    assert not values.size or values.min() >= 0, "a lane's spans overlap"
    n_bytes = np.ones(len(values), np.int64)
    for bits in range(7, 63, 7):
        n_bytes += values >= (1 << bits)
    offsets = np.cumsum(n_bytes) - n_bytes
    out = np.zeros(int(n_bytes.sum()), np.uint8)
    for k in range(int(n_bytes.max(initial=1))):
        here = n_bytes > k
        more = np.where(n_bytes[here] > k + 1, 128, 0)
        out[offsets[here] + k] = (values[here] >> (7 * k) & 127) | more
    return out.tobytes()
