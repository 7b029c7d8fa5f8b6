"""The chip's floor as SVG: every tile with what its engines were busy with, the links between."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from drawloom.chip.model import Chip
from drawloom.program.commands import Engine
from drawloom.report.figures import Figures
from drawloom.report.quantities import bytes_text, rate_text, share_text
from drawloom.report.svg import tag, text
from drawloom.timing.table import ENGINES

SIDE, GAP, EDGE, DRAM = 118, 34, 8, 46
BAR_HIGH = 5


def floorplan(figures: Figures) -> str:
    """Return the floorplan, coloured by the matrix engine (the page can switch)."""
    chip = figures.trace.chip
    wide = chip.cols * (SIDE + GAP) - GAP + 2 * EDGE
    high = chip.rows * (SIDE + GAP) - GAP + 2 * EDGE + DRAM + 14
    first = Engine.MATRIX if Engine.MATRIX in figures.utilisation else Engine.VECTOR
    parts = [_links(chip, figures.trace.link_bytes())]
    parts += [_tile(figures, tile, first) for tile in range(chip.n_tiles)]
    parts.append(_dram(figures, wide, high))
    label = f"Floorplan of {chip.n_tiles} tiles with the busy share of their engines"
    return tag(
        "svg", "".join(parts), viewBox=f"0 0 {wide} {high}", class_="figure", id="plan",
        role="img", aria_label=label,
    )  # fmt: skip


def by_tile(figures: Figures) -> list[list[float]]:
    """Return the busy share of each engine (all of ``Engine``, in order) of each tile."""
    chip = figures.trace.chip
    n_used = len(figures.trace.program.streams)
    nothing = (0.0,) * n_used
    return [
        [
            round(figures.utilisation.get(engine, nothing)[tile], 4) if tile < n_used else 0.0
            for engine in ENGINES
        ]
        for tile in range(chip.n_tiles)
    ]


def _corner(chip: Chip, tile: int) -> tuple[int, int]:
    column, row = chip.xy(tile)
    return EDGE + column * (SIDE + GAP), EDGE + row * (SIDE + GAP)


def _tile(figures: Figures, tile: int, engine: Engine) -> str:
    x, y = _corner(figures.trace.chip, tile)
    shares = by_tile(figures)[tile]
    share = shares[ENGINES.index(engine)]
    used = [each for each in ENGINES if each in figures.utilisation]
    title = f"tile {tile}: " + ", ".join(
        f"{each.value} {share_text(shares[ENGINES.index(each)])}" for each in used
    )
    parts = [
        tag("title", escape(title)),
        tag("rect", width=SIDE, height=SIDE, rx=12, class_="body"),
        text(str(tile), 11, 21, class_="soft"),
        text(share_text(share), SIDE - 11, 23, text_anchor="end", class_="pct"),
    ]
    top = SIDE - 10 - len(used) * (BAR_HIGH + 4)
    for number, each in enumerate(used):
        at, room = top + number * (BAR_HIGH + 4), SIDE - 22
        length = room * min(shares[ENGINES.index(each)], 1.0)
        parts.append(tag("rect", x=11, y=at, width=room, height=BAR_HIGH, rx=2.5, class_="barbg"))
        parts.append(
            tag("rect", x=11, y=at, width=length, height=BAR_HIGH, rx=min(2.5, length / 2),
                fill=f"var(--{each.value})")
        )  # fmt: skip
    return tag(
        "g", "".join(parts), transform=f"translate({x} {y})", class_="tile", data_tile=tile,
        style=f"--u:{share};--hue:var(--{engine.value})",
    )  # fmt: skip


def _links(chip: Chip, carried: Mapping[str, int]) -> str:
    """Draw each pair of neighbours' two links, as thick as the bytes they carried."""
    most = max(carried.values(), default=0)
    parts: list[str] = []
    for tile in range(chip.n_tiles):
        column, row = chip.xy(tile)
        for dx, dy in ((1, 0), (0, 1)):
            if column + dx < chip.cols and row + dy < chip.rows:
                other = chip.tile(column + dx, row + dy)
                parts.append(_link(chip, tile, other, carried.get(f"{tile}->{other}", 0), most, -5))
                parts.append(_link(chip, other, tile, carried.get(f"{other}->{tile}", 0), most, 5))
    return "".join(parts)


def _link(chip: Chip, source: int, target: int, carried: int, most: int, aside: int) -> str:
    (x1, y1), (x2, y2) = _corner(chip, source), _corner(chip, target)
    half = SIDE // 2
    along = aside if x1 == x2 else 0, aside if y1 == y2 else 0
    width = 1.5 + 6 * carried / most if carried else 1.5
    title = tag("title", escape(f"link {source} → {target}: {bytes_text(carried)}"))
    return tag(
        "line", title, x1=x1 + half + along[0], y1=y1 + half + along[1],
        x2=x2 + half + along[0], y2=y2 + half + along[1], stroke_width=width,
        stroke="var(--send)" if carried else "var(--line)",
    )  # fmt: skip


def _dram(figures: Figures, wide: int, high: int) -> str:
    read, written = figures.trace.dram_bytes
    used = figures.dram_bytes_per_s / figures.trace.chip.dram.peak
    top, room = high - EDGE - DRAM, wide - 2 * EDGE
    label = (
        f"DRAM  {bytes_text(read)} read, {bytes_text(written)} written  ·  "
        f"{rate_text(figures.dram_bytes_per_s, 'B/s')}, {share_text(used)} of peak"
    )
    parts = [
        tag("rect", x=EDGE, y=top, width=room, height=DRAM, rx=12, fill="var(--grid)"),
        tag("rect", x=EDGE, y=top, width=room * min(used, 1.0), height=DRAM, rx=12,
            fill="var(--read)", opacity=0.55),
        text(label, wide / 2, top + 28, text_anchor="middle"),
    ]  # fmt: skip
    return "".join(parts)
