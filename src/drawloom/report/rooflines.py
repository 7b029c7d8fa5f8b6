"""Rooflines of several machines in one picture: what each could do, and what its passes reach."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.compare.answer import Answer
from drawloom.compare.roof import Roof, roof_of
from drawloom.report.quantities import rate_text
from drawloom.report.svg import LogAxis, tag, text

WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 1100, 520, 90, 20, 20, 52
LETTER, LINE = 8, 16  # of a label, at the most: so wide, so high
TOKEN = "a token"
AXIS = "operations per byte of memory traffic (circle: a token's pass, square: a prompt's or a graph's)"
HUES = ("matrix", "vector", "read", "send", "move", "write", "cpu")


def rooflines(answers: Sequence[Answer]) -> str:
    """Return the picture; a line that says so where no machine's peak is known."""
    roofs = [(at, roof) for at, each in enumerate(answers) if (roof := roof_of(each))]
    if not roofs:
        return '<p class="soft">No peak is known: there is no roofline.</p>'
    made = [roof for _, roof in roofs]
    xs = [x for roof in made for _, x, _ in roof.points] + [r.peak / r.rate for r in made]
    ys = [y for roof in made for _, _, y in roof.points]
    x = LogAxis(min(xs) / 3, max(xs) * 3, LEFT, WIDE - RIGHT)
    y = LogAxis(min(ys) / 3, max(r.peak for r in made) * 2, HIGH - BOTTOM, TOP)
    ends = _label_ends(made, x, y)
    parts = [_grid(x, y)]
    parts += [_draw(roof, x, y, at, end) for (at, roof), end in zip(roofs, ends, strict=True)]
    return tag("svg", "".join(parts), viewBox=f"0 0 {WIDE} {HIGH}", class_="figure", role="img",
               aria_label="rooflines of the machines with their passes")  # fmt: skip


def _label_ends(roofs: Sequence[Roof], x: LogAxis, y: LogAxis) -> list[float]:
    """Return where each label ends, over its roof: as far right as no other stands there."""
    placed: list[tuple[float, float, float]] = []
    ends: list[float] = []
    for roof in roofs:
        line, width = y.at(roof.peak), LETTER * (len(roof.label) + 1)
        end = x.stop - 4
        near = sorted((each for each in placed if abs(each[2] - line) < LINE), reverse=True)
        for start, stop, _ in near:
            if stop > end - width and start < end:
                end = start
        placed.append((end - width, end, line))
        ends.append(end)
    return ends


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
    parts.append(text(AXIS, middle, HIGH - 9, text_anchor="middle"))
    return "".join(parts)


def _draw(roof: Roof, x: LogAxis, y: LogAxis, at: int, end: float) -> str:
    colour = f"var(--{HUES[at % len(HUES)]})"
    low = max(x.low, y.low / roof.rate)
    corner = min(max(roof.peak / roof.rate, low), x.high)
    path = f"M{x.at(low):.1f} {y.at(low * roof.rate):.1f}L{x.at(corner):.1f} {y.at(roof.peak):.1f}"
    parts = [
        tag("path", d=f"{path}L{x.stop} {y.at(roof.peak):.1f}", fill="none", stroke=colour,
            stroke_width=2),
        text(roof.label, end, y.at(roof.peak) - 5, text_anchor="end",
             class_="halo"),
    ]  # fmt: skip
    for word, intensity, rate in roof.points:
        title = tag("title", f"{roof.label}, {word}: {rate_text(rate, 'OP/s')}")
        # Smaller from machine to machine: of passes that lie on each other the earlier stay rings.
        size, where = max(4.0, 8.0 - 1.5 * at), (x.at(intensity), y.at(rate))
        look = {"fill": colour, "stroke": "var(--card)"}
        if word != TOKEN:
            sides = {
                "x": where[0] - size,
                "y": where[1] - size,
                "width": 2 * size,
                "height": 2 * size,
            }
            parts.append(tag("rect", title, **sides, **look))
        else:
            parts.append(tag("circle", title, cx=where[0], cy=where[1], r=size, **look))
    return "".join(parts)
