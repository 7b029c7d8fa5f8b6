"""The page of a comparison: machines side by side, their bars, what binds them, their rooflines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from math import isfinite
from pathlib import Path
from string import Template

import drawloom
from drawloom.compare import words
from drawloom.compare.answer import Answer
from drawloom.compare.price import parse_prices, price_of
from drawloom.compare.span import Span
from drawloom.files import write_whole
from drawloom.report.rooflines import HUES, rooflines
from drawloom.report.svg import tag, text

_ASSETS = Path(__file__).parent / "assets"
WIDE, ROW, LEFT, RIGHT, TOP = 560, 34, 110, 172, 8
PART_HUES = {"matrix": "matrix", "memory": "read", "links": "send", "rest": "cpu"}
CHARTS: tuple[tuple[str, str, Callable[[Answer], Span | None], float], ...] = (
    ("Time to the first token", "ms", lambda each: each.first, 1e3),
    ("Time of a token", "ms", lambda each: each.token, 1e3),
    ("Throughput", "tokens/s", lambda each: each.rate, 1.0),
    ("Cost of a million tokens", "$", lambda each: each.cost, 1.0),
    ("Energy of a token", "J", lambda each: each.energy, 1.0),
)


def write_compared(answers: Sequence[Answer], prices: Sequence[str], path: str | Path) -> None:
    """Write the page of a comparison: one HTML file that needs no network.

    Raises:
        InputError: the file cannot be written (``files.write``).
    """
    write_whole(path, compared(answers, prices).encode())


def compared(answers: Sequence[Answer], prices: Sequence[str] = ()) -> str:
    """Return the page of a comparison as HTML."""
    ask = answers[0].ask
    batches = list(dict.fromkeys(each.ask.batch for each in answers))
    parts = [_batch([each for each in answers if each.ask.batch == batch]) for batch in batches]
    fields = {
        "version": escape(drawloom.__version__),
        "title": escape(f"{ask.sizes.name} on {len({a.machine.label for a in answers})} machines"),
        "model": escape(ask.sizes.name),
        "what": escape(", ".join(dict.fromkeys(each.machine.label for each in answers))),
        "pills": _pills(answers),
        "batches": "".join(parts),
        "basis": _basis(answers, prices),
        "css": _asset("page.css"),
    }
    return Template(_asset("compared.html")).substitute(fields)


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _pills(answers: Sequence[Answer]) -> str:
    ask = answers[0].ask
    pairs = {"phase": ask.phase, "tokens in": f"{ask.prompt:,}", "tokens out": f"{ask.answer:,}",
             "weights": ask.weights}  # fmt: skip
    return "".join(
        f"<li><span>{escape(name)}</span><b>{escape(value)}</b></li>"
        for name, value in pairs.items()
    )


def _batch(answers: Sequence[Answer]) -> str:
    fitting = [each for each in answers if each.passes is not None]
    charts = "".join(
        f'<div class="card w6"><h3>{escape(title)}, {escape(unit)}</h3>{_chart(fitting, get, by)}</div>'
        for title, unit, get, by in CHARTS
        if any(get(each) for each in fitting)
    )
    said = "".join(f"<p>{escape(line)}</p>" for line in words.explain(answers)[1:])
    return (
        f"<h2>Batch {answers[0].ask.batch}</h2>"
        "<p>A bar is what is likely, the line over it what the figure may be; a pale bar is only a "
        "bound, the best that no program can beat.</p>"
        f'<section class="cards">{charts}'
        f'<div class="card w6"><h3>What each resource needs by itself, ms</h3>{_stacks(fitting)}</div>'
        f'<div class="card w12"><h3>Roofline of whole machines</h3>'
        f'<div class="broad">{rooflines(fitting)}</div></div></section>'
        f'<h2>Why</h2><div class="card">{said}</div>'
    )


def _chart(answers: Sequence[Answer], get: Callable[[Answer], Span | None], by: float) -> str:
    spans = [get(each) for each in answers]
    ends = [s.high if isfinite(s.high) else s.best for s in spans if s]
    most = max((end * by for end in ends), default=1.0) or 1.0
    scale = (WIDE - LEFT - RIGHT) / most
    rows = [
        _row(each, span, at, scale * by, by)
        for at, (each, span) in enumerate(zip(answers, spans, strict=True))
    ]
    return _svg("".join(rows), len(answers), "bars with their errors, one a machine")


def _row(each: Answer, span: Span | None, at: int, scale: float, by: float) -> str:
    y = TOP + at * ROW
    name = text(each.machine.label, LEFT - 8, y + 17, text_anchor="end")
    if span is None or not span.is_known:
        return name + text("not known", LEFT + 2, y + 17, class_="soft")
    is_bound = each.passes is not None and each.passes.is_bound
    hue = f"var(--{HUES[at % len(HUES)]})"
    low, high = LEFT + span.low * scale, LEFT + min(span.high, 1e300) * scale
    parts = [name]
    shown = LEFT if span.value is None and span.low == 0 else LEFT + span.best * scale
    opacity = 0.35 if is_bound or span.value is None else 0.85
    parts.append(
        tag("rect", x=LEFT, y=y + 4, width=max(1.0, shown - LEFT), height=18, rx=3, fill=hue,
            fill_opacity=opacity)
    )  # fmt: skip
    if high > low and isfinite(high):
        line = f"M{low:.1f} {y + 13}H{high:.1f}M{low:.1f} {y + 8}v10M{high:.1f} {y + 8}v10"
        parts.append(tag("path", d=line, class_="roof"))
    sign = words.bound_sign(each, span) if is_bound else ""
    label = words.span_text(span, by, bound=sign)
    parts.append(text(label, max(shown, min(high, WIDE - RIGHT)) + 6, y + 17))
    return "".join(parts)


def _stacks(answers: Sequence[Answer]) -> str:
    most = max((sum(each.parts.values()) for each in answers), default=1.0) or 1.0
    scale = (WIDE - LEFT - RIGHT) / most
    rows: list[str] = []
    for at, each in enumerate(answers):
        y, x = TOP + at * ROW, float(LEFT)
        rows.append(text(each.machine.label, LEFT - 8, y + 17, text_anchor="end"))
        for name, seconds in each.parts.items():
            title = tag("title", escape(f"{words.BINDS[name]}: {1e3 * seconds:.3g} ms"))
            rows.append(
                tag("rect", title, x=x, y=y + 4, width=max(0.5, seconds * scale), height=18,
                    fill=f"var(--{PART_HUES[name]})")
            )  # fmt: skip
            x += seconds * scale
        rows.append(text(words.BINDS[each.binds], x + 6, y + 17, class_="soft"))
    keys = "".join(
        f'<i style="background:var(--{hue})"></i>{words.BINDS[name]} '
        for name, hue in PART_HUES.items()
    )
    return _svg("".join(rows), len(answers), "seconds of each resource") + (
        f'<p class="soft legend">{keys}</p>'
    )


def _svg(content: str, rows: int, label: str) -> str:
    high = 2 * TOP + rows * ROW
    return tag("svg", content, viewBox=f"0 0 {WIDE} {high}", class_="figure", role="img",
               aria_label=label)  # fmt: skip


def _basis(answers: Sequence[Answer], prices: Sequence[str]) -> str:
    given = parse_prices(prices)
    rows: list[str] = []
    for each in {each.machine.label: each for each in answers}.values():
        price, source = price_of(each.machine.sheet, given)
        cost = f"{words.span_text(price)} $/h a chip, {source}" if price else source
        lines = "".join(f"<li>{escape(line)}</li>" for line in words.basis_lines(each))
        name, title = escape(each.machine.label), escape(each.machine.sheet.title)
        rows.append(
            f'<section class="rests"><div><b>{name}</b><p class="soft">{title}</p></div>'
            f"<ul><li>price: {escape(cost)}</li>{lines}</ul></section>"
        )
    return "".join(rows)
