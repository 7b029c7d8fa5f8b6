"""The roofline of a run as SVG: what the chip could do at each intensity, and what layers did."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import atan2, degrees, sqrt

from drawloom.report.figures import Figures
from drawloom.report.layers import Layer
from drawloom.report.quantities import digits, rate_text, share_text, time_text
from drawloom.report.svg import LogAxis, tag, text
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

WIDE, HIGH = 680, 600
LEFT, RIGHT, TOP, BOTTOM = 86, 16, 20, 52
NAMED = 5  # layers whose names stand beside their points
LETTER = 7.5  # width of one, about


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a piece of work lies: operations per DRAM byte, operations a second."""

    intensity: float
    rate: float


def roofline(figures: Figures) -> str:
    """Return the roofline; without any multiply-adds a line that says so."""
    points = {
        number: _Point(
            2 * layer.macs / layer.dram_bytes, 2 * layer.macs * PS_PER_S / layer.share_ps
        )
        for number, layer in enumerate(figures.layers.layers)
        if layer.macs and layer.dram_bytes and layer.share_ps
    }
    if not figures.bound.macs or not figures.dram_bytes:
        return '<p class="soft">The matrix engines have nothing to do: there is no roofline.</p>'
    whole = _Point(
        figures.bound.operations / figures.dram_bytes, max(figures.operations_per_s, 1.0)
    )
    chip = figures.trace.chip
    fmt = max(figures.bound.macs, key=lambda fmt: figures.bound.macs[fmt])
    peak = 2.0 * chip.matrix.macs_per_cycle[fmt] * chip.n_tiles * PS_PER_S / chip.period
    x, y = _axes([*points.values(), whole], peak, peak / chip.dram.read)
    parts = [_grid(x, y), _roofs(x, y, peak, chip.dram.read, chip.dram.combined, fmt)]
    parts += [_dot(figures, number, point, x, y) for number, point in points.items()]
    parts += [_names(figures, points, x, y), _star(whole, x, y)]
    label = (
        f"Roofline: {digits(whole.intensity)} operations per DRAM byte, "
        f"{rate_text(whole.rate, 'OP/s')} of {rate_text(peak, 'OP/s')}"
    )
    return tag(
        "svg", "".join(parts), viewBox=f"0 0 {WIDE} {HIGH}", class_="figure", role="img",
        aria_label=label,
    )  # fmt: skip


def _axes(points: list[_Point], peak: float, ridge: float) -> tuple[LogAxis, LogAxis]:
    xs = [point.intensity for point in points] + [ridge]
    ys = [point.rate for point in points] + [peak]
    x = LogAxis(min(xs) / 3, max(xs) * 4, LEFT, WIDE - RIGHT)
    return x, LogAxis(min(ys) / 3, peak * 2.2, HIGH - BOTTOM, TOP)


def _grid(x: LogAxis, y: LogAxis) -> str:
    parts: list[str] = []
    for value in x.decades():
        at = x.at(value)
        parts.append(tag("line", x1=at, x2=at, y1=y.start, y2=y.stop, class_="grid"))
        parts.append(text(f"{value:,.10g}", at, HIGH - 32, text_anchor="middle", class_="soft"))
    for value in y.decades():
        at = y.at(value)
        parts.append(tag("line", x1=x.start, x2=x.stop, y1=at, y2=at, class_="grid"))
        label = rate_text(value, "OP/s").replace(".00", "").replace(".0 ", " ")
        parts.append(text(label, LEFT - 6, at + 4, text_anchor="end", class_="soft"))
    middle = (x.start + x.stop) / 2
    parts.append(
        text("operations per byte of DRAM traffic", middle, HIGH - 9, text_anchor="middle")
    )
    return "".join(parts)


def _roofs(x: LogAxis, y: LogAxis, peak: float, read: int, combined: int, fmt: str) -> str:
    parts: list[str] = []
    for rate, kind in ((combined, "roof2"), (read, "roof")):
        low = max(x.low, y.low / rate)
        corner = min(max(peak / rate, low), x.high)
        path = f"M{x.at(low):.1f} {y.at(low * rate):.1f}L{x.at(corner):.1f} {y.at(peak):.1f}"
        path += f"L{x.stop} {y.at(peak):.1f}" if kind == "roof" else ""
        parts.append(tag("path", d=path, class_=kind))
    parts.append(
        text(
            f"matrix peak {rate_text(peak, 'OP/s')} ({fmt})", x.stop - 4, y.at(peak) - 8,
            text_anchor="end", class_="halo",
        )
    )  # fmt: skip
    low = max(x.low, y.low / read)
    dx, dy = x.at(low * 10) - x.at(low), y.at(low * 10 * read) - y.at(low * read)
    middle = low * max(peak / read / low, 1.0) ** 0.6
    turned = f"translate({x.at(middle):.1f} {y.at(middle * read):.1f}) rotate({degrees(atan2(dy, dx)):.1f})"
    label = f"DRAM read {rate_text(read, 'B/s')}"
    more = f", both ways {rate_text(combined, 'B/s')}" if combined != read else ""
    parts.append(
        tag("text", escape(label + more), transform=turned, dy=-20, text_anchor="middle",
            class_="halo")
    )  # fmt: skip
    return "".join(parts)


def _dot(figures: Figures, number: int, point: _Point, x: LogAxis, y: LogAxis) -> str:
    layer = figures.layers.layers[number]
    share = layer.share_ps / figures.on_chip_ps
    title = (
        f"{layer.name}: {rate_text(point.rate, 'OP/s')} at {digits(point.intensity)} OP/B, "
        f"{time_text(layer.share_ps)} ({share_text(share)})"
    )
    return tag(
        "circle", tag("title", escape(title)), cx=x.at(point.intensity), cy=y.at(point.rate),
        r=4 + 14 * sqrt(share), fill=f"var(--{main_engine(layer)})", class_="dotlayer",
        data_layer=number,
    )  # fmt: skip


def _names(figures: Figures, points: dict[int, _Point], x: LogAxis, y: LogAxis) -> str:
    """Name the longest layers beside their points, none over another."""
    layers = figures.layers.layers
    taken: list[float] = []
    parts: list[str] = []
    for number in sorted(points, key=lambda number: -layers[number].share_ps):
        at = x.at(points[number].intensity), y.at(points[number].rate)
        if len(taken) == NAMED or any(abs(at[1] - other) < 16 for other in taken):
            continue
        taken.append(at[1])
        name = short(layers[number].name)
        radius = 9 + 14 * sqrt(layers[number].share_ps / max(figures.on_chip_ps, 1))
        side = 1 if at[0] + radius + LETTER * len(name) < x.stop else -1
        anchor = "start" if side > 0 else "end"
        parts.append(
            text(name, at[0] + side * radius, at[1] + 5, text_anchor=anchor, class_="halo soft")
        )
    return "".join(parts)


def _star(point: _Point, x: LogAxis, y: LogAxis) -> str:
    place = f"translate({x.at(point.intensity):.1f} {y.at(point.rate):.1f})"
    corner = f"translate({x.stop - 12:.1f} {y.start - 16:.1f})"
    path = "M0-11L2.9-3.4L11-3.4L4.4 1.6L6.8 9.3L0 4.6L-6.8 9.3L-4.4 1.6L-11-3.4L-2.9-3.4Z"
    star = tag("path", d=path, fill="var(--bound)", stroke="var(--card)", stroke_width=1.5)
    label = text(f"whole run {rate_text(point.rate, 'OP/s')}", -16, 5, text_anchor="end")
    return tag("g", star, transform=place) + tag("g", star + label, transform=corner)


def main_engine(layer: Layer) -> str:
    """Return the name of the engine that a layer kept busy longest."""
    longest = max(range(len(ENGINES)), key=lambda at: layer.busy_ps[at])
    return ENGINES[longest].value


def short(name: str, limit: int = 34) -> str:
    """Return a name with its middle left out where it is long."""
    half = limit // 2 - 1
    return name if len(name) <= limit else f"{name[:half]}…{name[-half:]}"
