"""A trace as one standing picture (SVG): every engine of every tile over time, pieces above, DRAM below.

Time is cut into columns of a pixel. A lane shows in each the share in which its engine was busy, in
four shades; the curve below shows what flowed between DRAM and the tiles, evenly over each command.
"""

from __future__ import annotations

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


def picture(trace: Trace, title: str = "") -> str:
    """Return the picture of a trace; ``title`` stands above it, by default the program's name."""
    tiles = sorted({int(tile) for tile in np.unique(trace.tile)})
    engines = [e for e in COLOURS if (trace.engine == ENGINES.index(e)).any()]
    per_tile = len(engines) * (LANE + 1) + 3
    pieces, below = _pieces(trace, top=44)
    top = below + 6
    parts = [tag("style", _STYLE), text(title or trace.program.name, 0, 14, font_weight="600")]
    parts += [_legend(engines), pieces]
    for number, tile in enumerate(tiles):
        at = top + number * per_tile
        parts.append(text(f"tile {tile}", 0, at + per_tile / 2 + 2, class_="s"))
        parts += [
            _lane(trace, tile, engine, at + row * (LANE + 1)) for row, engine in enumerate(engines)
        ]
    top += len(tiles) * per_tile + 8
    parts.append(_dram(trace, top))
    parts.append(_axis(trace, top + DRAM))
    high = top + DRAM + 22
    said = f"{trace.program.name}: what every engine does, over {time_text(trace.total_ps)}"
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


def _lane(trace: Trace, tile: int, engine: Engine, y: float) -> str:
    mine = (trace.tile == tile) & (trace.engine == ENGINES.index(engine))
    columns = WIDE - LEFT
    share = busy_share(
        trace.start_ps[mine].astype(float), trace.end_ps[mine].astype(float),
        float(trace.total_ps), columns,
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


def _pieces(trace: Trace, top: int) -> tuple[str, int]:
    """Return a bar for each piece from its first command to its last, and where they end below."""
    origin = trace.table.origin[trace.command]
    known = np.flatnonzero(origin >= 0)
    names = [trace.program.origins[int(at)].piece for at in origin[known]]
    spans: dict[str, tuple[int, int]] = {}
    for name, start, end in zip(names, trace.start_ps[known], trace.end_ps[known], strict=True):
        first, last = spans.get(name, (int(start), int(end)))
        spans[name] = min(first, int(start)), max(last, int(end))
    rows: list[int] = []
    parts: list[str] = []
    scale = (WIDE - LEFT) / trace.total_ps
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
    table = trace.table
    read, written = (
        _flow(trace, size[trace.command], columns) for size in (table.dram_read, table.dram_written)
    )
    return read, written


def _dram(trace: Trace, top: int) -> str:
    """Return the curves of bytes read and written per time."""
    rates = dram_rate(trace, WIDE - LEFT)
    most = max(trace.chip.dram.peak, float(np.max(rates)))
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


def _flow(trace: Trace, size: NDArray[np.int64], columns: int) -> Floats:
    """Return bytes per second in each column, a command's spread evenly over its span."""
    moving = size > 0
    start, end = trace.start_ps[moving].astype(float), trace.end_ps[moving].astype(float)
    rate = size[moving] / np.maximum(end - start, 1.0)
    edges = np.arange(columns + 1) * (trace.total_ps / columns)
    moments = np.concatenate([start, end])
    order = np.argsort(moments, kind="stable")
    at = moments[order]
    slope = np.cumsum(np.concatenate([rate, -rate])[order])
    # Bytes so far at each moment, then at each edge.
    so_far = np.concatenate([[0.0], np.cumsum(np.diff(at) * slope[:-1])]) if len(at) else at
    total = np.interp(edges, at, so_far) if len(at) else np.zeros(columns + 1)
    return np.diff(total) / (trace.total_ps / columns) * PS_PER_S


def _axis(trace: Trace, y: float) -> str:
    parts = [tag("path", d=f"M{LEFT} {y:g}H{WIDE}", stroke="#8a8f99", stroke_opacity=0.5)]
    for part in range(5):
        x = LEFT + (WIDE - LEFT) * part / 4
        anchor = "start" if not part else "end" if part == 4 else "middle"
        parts.append(
            text(time_text(trace.total_ps * part // 4), x, y + 15, text_anchor=anchor, class_="s")
        )
    return "".join(parts)
