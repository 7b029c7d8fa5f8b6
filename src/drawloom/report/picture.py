"""A trace as one standing picture (SVG): every engine of every tile over time, pieces above, DRAM below.

Time is cut into columns of a pixel. A lane shows in each the share in which its engine was busy, in
four shades; the curve below shows what flowed between DRAM and the tiles, evenly over each command.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from drawloom.program.commands import Engine
from drawloom.report.quantities import rate_text, time_text
from drawloom.report.svg import tag, text
from drawloom.timing import Trace
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

WIDE, LEFT, HIGH, LANE, DRAM = 960, 64, 18, 3, 70
SHADES = 4
COLOURS = {
    Engine.MATRIX: "#3a6fd8",
    Engine.VECTOR: "#e08a1e",
    Engine.READ: "#1f9d78",
    Engine.WRITE: "#7fae2e",
    Engine.MOVE: "#9563d1",
    Engine.SEND: "#d44a80",
}
Floats = NDArray[np.float64]
_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#3b3f46}.s{fill:#7b818b}"
    "@media(prefers-color-scheme:dark){text{fill:#d8d7d2}.s{fill:#9298a2}}"
)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """The spans of a trace within a stretch of time, counted from its beginning."""

    trace: Trace
    begin: int
    length: int
    row: NDArray[np.int32]  # in the trace's table
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @staticmethod
    def of(trace: Trace, begin: int, end: int) -> _View:
        seen = (trace.end_ps > begin) & (trace.start_ps < end)
        start, stop = (np.clip(t[seen], begin, end) - begin for t in (trace.start_ps, trace.end_ps))
        return _View(trace, begin, end - begin, trace.command[seen], start, stop)


def picture(trace: Trace, title: str = "", pieces: Container[str] = ()) -> str:
    """Return the picture of a trace.

    Args:
        trace: what ran when.
        title: stands above; by default the program's name.
        pieces: show the time from the first command of these to the last; by default all of it.
    """
    view = _View.of(trace, *_stretch(trace, pieces))
    table = trace.table
    tiles = sorted({int(tile) for tile in np.unique(table.tile[view.row])})
    used = {int(engine) for engine in np.unique(table.engine[view.row])}
    engines = [e for e in COLOURS if ENGINES.index(e) in used]
    per_tile = len(engines) * (LANE + 1) + 3
    bars, below = _pieces(view, top=44)
    top = below + 6
    parts = [tag("style", _STYLE), text(title or trace.program.name, 0, 14, font_weight="600")]
    parts += [_legend(engines), bars]
    for number, tile in enumerate(tiles):
        at = top + number * per_tile
        parts.append(text(f"tile {tile}", 0, at + per_tile / 2 + 2, class_="s"))
        parts += [
            _lane(view, tile, engine, at + row * (LANE + 1)) for row, engine in enumerate(engines)
        ]
    top += len(tiles) * per_tile + 8
    parts.append(_dram(view, top))
    parts.append(_axis(view, top + DRAM))
    high = top + DRAM + 22
    said = f"{trace.program.name}: what every engine does, over {time_text(view.length)}"
    return tag(
        "svg", "".join(parts), xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDE} {high}", role="img", aria_label=said,
    )  # fmt: skip


def busy_share(start_ps: Floats, end_ps: Floats, total_ps: float, columns: int) -> Floats:
    """Return the busy share of each of ``columns`` equal parts of time; spans do not overlap."""
    edges = np.arange(columns + 1) * (total_ps / columns)
    order = np.argsort(start_ps, kind="stable")
    start, end = start_ps[order], end_ps[order]
    done = np.concatenate([[0.0], np.cumsum(end - start)])
    # Busy time up to an edge: spans that began before it, less what the last of them still has.
    begun = np.searchsorted(start, edges, side="left")
    last_end = np.concatenate([[0.0], end])[begun]
    until = done[begun] - np.maximum(last_end - edges, 0.0)
    return np.clip(np.diff(until) * columns / total_ps, 0.0, 1.0)


def _stretch(trace: Trace, pieces: Container[str]) -> tuple[int, int]:
    """Return from when to when some pieces run; the whole trace where there are none."""
    origins = trace.program.origins
    wanted = np.array([origin.piece in pieces for origin in origins] or [False])
    origin = trace.table.origin[trace.command]
    inside = wanted[np.maximum(origin, 0)] & (origin >= 0)
    if not inside.any():
        return 0, trace.total_ps
    return int(trace.start_ps[inside].min()), int(trace.end_ps[inside].max())


def _lane(view: _View, tile: int, engine: Engine, y: float) -> str:
    table = view.trace.table
    mine = (table.tile[view.row] == tile) & (table.engine[view.row] == ENGINES.index(engine))
    share = busy_share(
        view.start[mine].astype(float), view.end[mine].astype(float), float(view.length),
        WIDE - LEFT,
    )  # fmt: skip
    shade = np.ceil(share * SHADES - 0.05).astype(int)
    drawn: list[str] = []
    for level in range(1, SHADES + 1):
        path = _runs(shade == level, y + LANE / 2)
        if path:
            drawn.append(
                tag("path", d=path, stroke=COLOURS[engine], stroke_width=LANE,
                    stroke_opacity=level / SHADES, fill="none")
            )  # fmt: skip
    return "".join(drawn)


def _runs(filled: NDArray[np.bool_], y: float) -> str:
    """Return the path of the stretches of columns that are filled."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], filled.astype(np.int8), [0]])))
    return "".join(f"M{LEFT + a} {y:g}h{b - a}" for a, b in edges.reshape(-1, 2))


def _legend(engines: list[Engine]) -> str:
    parts: list[str] = []
    x = LEFT
    for engine in engines:
        parts.append(tag("rect", x=x, y=23, width=12, height=8, fill=COLOURS[engine]))
        parts.append(text(engine.value, x + 16, 31, class_="s"))
        x += 76
    return "".join(parts)


def _pieces(view: _View, top: int) -> tuple[str, int]:
    """Return a bar for each piece from its first command to its last, and where they end below."""
    origin = view.trace.table.origin[view.row]
    known = np.flatnonzero(origin >= 0)
    names = [view.trace.program.origins[int(at)].piece for at in origin[known]]
    spans: dict[str, tuple[int, int]] = {}
    for name, start, end in zip(names, view.start[known], view.end[known], strict=True):
        first, last = spans.get(name, (int(start), int(end)))
        spans[name] = min(first, int(start)), max(last, int(end))
    rows: list[int] = []
    parts: list[str] = []
    scale = (WIDE - LEFT) / view.length
    for name, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        x, width = LEFT + start * scale, max((end - start) * scale, 1.0)
        room = [at for at, until in enumerate(rows) if until <= x]
        row = room[0] if room else len(rows)
        rows[row : row + 1] = [int(max(x + width, x + 6.2 * len(name) + 6)) + 1]
        y = top + row * HIGH
        inside = tag("title", escape(f"{name}: {time_text(start)} to {time_text(end)}"))
        parts.append(
            tag("rect", inside, x=x, y=y, width=width, height=HIGH - 4, rx=2, fill="#8a8f99",
                fill_opacity=0.25)
        )  # fmt: skip
        parts.append(text(name, x + 3, y + 11))
    return "".join(parts), top + len(rows) * HIGH


def dram_rate(trace: Trace, columns: int) -> tuple[Floats, Floats]:
    """Return bytes read and bytes written per second, in each of ``columns`` equal parts of time."""
    return _rates(_View.of(trace, 0, trace.total_ps), columns)


def _rates(view: _View, columns: int) -> tuple[Floats, Floats]:
    table = view.trace.table
    read, written = (
        _flow(view, size[view.row], columns) for size in (table.dram_read, table.dram_written)
    )
    return read, written


def _dram(view: _View, top: int) -> str:
    """Return the curves of bytes read and written per time."""
    rates = _rates(view, WIDE - LEFT)
    most = max(view.trace.chip.dram.peak, float(np.max(rates)))
    parts = [
        text("DRAM", 0, top + 14, class_="s"),
        text(rate_text(most, "B/s"), 0, top + 28, class_="s"),
    ]
    for rate, engine in zip(rates, (Engine.READ, Engine.WRITE), strict=True):
        points = " ".join(
            f"{LEFT + x}.5,{top + DRAM - DRAM * y / most:.1f}" for x, y in enumerate(rate)
        )
        parts.append(
            tag("polyline", points=points, fill="none", stroke=COLOURS[engine], stroke_width=1.2)
        )
    return "".join(parts)


def _flow(view: _View, size: NDArray[np.int64], columns: int) -> Floats:
    """Return bytes per second in each column, a command's spread evenly over what is seen of it."""
    moving = size > 0
    start, end = view.start[moving].astype(float), view.end[moving].astype(float)
    rate = size[moving] / np.maximum(end - start, 1.0)
    edges = np.arange(columns + 1) * (view.length / columns)
    moments = np.concatenate([start, end])
    order = np.argsort(moments, kind="stable")
    at = moments[order]
    slope = np.cumsum(np.concatenate([rate, -rate])[order])
    # Bytes so far at each moment, then at each edge.
    so_far = np.concatenate([[0.0], np.cumsum(np.diff(at) * slope[:-1])]) if len(at) else at
    total = np.interp(edges, at, so_far) if len(at) else np.zeros(columns + 1)
    return np.diff(total) / (view.length / columns) * PS_PER_S


def _axis(view: _View, y: float) -> str:
    parts = [tag("path", d=f"M{LEFT} {y:g}H{WIDE}", stroke="#8a8f99", stroke_opacity=0.5)]
    for part in range(5):
        x = LEFT + (WIDE - LEFT) * part / 4
        anchor = "start" if not part else "end" if part == 4 else "middle"
        parts.append(
            text(
                time_text(view.begin + view.length * part // 4),
                x,
                y + 15,
                text_anchor=anchor,
                class_="s",
            )
        )
    return "".join(parts)
