"""The headline figures of the page, each with its bound beside it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from drawloom.chip.model import Range
from drawloom.program.commands import Engine
from drawloom.report.figures import Figures
from drawloom.report.quantities import (
    bytes_text,
    count_text,
    energy_text,
    power_text,
    rate_text,
    ratio_text,
    share_text,
    time_text,
)

# What sets a bound, in words.
LIMITS = {
    "matrix": "the matrix engines",
    "vector": "the vector engines",
    "dram": "bytes of DRAM",
    "fixed": "delays that nothing hides",
}


def cards(shown: Figures) -> str:
    """Return the cards as HTML."""
    return "".join((_latency(shown), _matrix(shown), _dram(shown), _energy(shown), _power(shown)))


def _card(width: int, title: str, value: str, unit: str, body: str) -> str:
    return (
        f'<div class="card w{width}"><h3>{escape(title)}</h3>'
        f'<div class="big">{escape(value)} <small>{escape(unit)}</small></div>{body}</div>'
    )


def bar(name: str, part: float, value: str, colour: str) -> str:
    """Return one row of a bar chart; ``part`` is the length, at most 1."""
    width = max(0.0, min(part, 1.0)) * 100
    return (
        f'<span class="name"><i style="background:{colour}"></i>{escape(name)}</span>'
        f'<span class="track"><i style="width:{width:.2f}%;background:{colour}"></i></span>'
        f'<span class="num">{escape(value)}</span>'
    )


def _latency(shown: Figures) -> str:
    bound = shown.bound
    longest = max(shown.on_chip_ps, bound.busiest_ps, 1)
    rows = [
        ("on the chip", shown.on_chip_ps, "var(--accent)"),
        ("matrix at peak", bound.matrix_ps, "var(--matrix)"),
        ("vector, functions", bound.vector_ps, "var(--vector)"),
        ("DRAM, each byte once", bound.dram_ps, "var(--read)"),
    ]
    bars = "".join(bar(name, ps / longest, time_text(ps), hue) for name, ps, hue in rows)
    whose = "model" if shown.has_graph else "program"
    note = f"the bound of this {whose} is <b>{escape(time_text(bound.ps))}</b>"
    if bound.ps:
        note = f"<b>{escape(ratio_text(shown.over_bound))}</b> {note}, set by {LIMITS[bound.limit]}"
    launch = f"{time_text(shown.launch_ps)} of it launch by the host"
    body = f'<div class="bars">{bars}</div><p>{note}.</p><p>{escape(launch)}.</p>'
    if shown.latency_range:
        body += ranged(shown.latency_range, time_text, "Latency")
        body += "<p>The ends: all numbers of the hardware at their quick or slow ends.</p>"
    value, unit = time_text(shown.latency_ps).split(" ")
    return _card(6, "Latency", value, unit, body)


def _matrix(shown: Figures) -> str:
    count = count_text(sum(shown.bound.macs.values()))
    formats = ", ".join(shown.bound.macs) or "none"
    body = (
        f"<p>of matrix peak: <b>{escape(count)}</b> multiply-adds ({escape(formats)}) at "
        f"<b>{escape(rate_text(shown.operations_per_s, 'OP/s'))}</b>.</p>"
        f"<p>Matrix engines busy {escape(share_text(shown.mean(Engine.MATRIX)))} of the time, "
        f"overheads and padding included.</p>"
        f"<p>{escape(count_text(shown.runs_per_s))} runs a second, one after the other.</p>"
    )
    return _card(3, "Matrix peak reached", f"{100 * shown.peak_share:.1f}", "%", body)


def _dram(shown: Figures) -> str:
    read, written = shown.trace.dram_bytes
    least = shown.bound.bytes
    ratio = f"<b>{escape(ratio_text(shown.dram_bytes / least))}</b> " if least else ""
    value, unit = bytes_text(shown.dram_bytes).split(" ")
    peak = shown.dram_bytes_per_s / shown.trace.chip.dram.peak
    body = (
        f"<p>{ratio}the least: <b>{escape(bytes_text(least))}</b> of inputs, weights, outputs.</p>"
        f"<p>{escape(bytes_text(read))} read, {escape(bytes_text(written))} written.</p>"
        f"<p>{escape(rate_text(shown.dram_bytes_per_s, 'B/s'))} on average, "
        f"{escape(share_text(peak))} of peak.</p>"
    )
    return _card(3, "DRAM traffic", value, unit, body)


def _energy(shown: Figures) -> str:
    value, unit = energy_text(shown.energy.default).split(" ")
    body = ranged(shown.energy, energy_text, "Energy of a run") + (
        "<p>The ends are those of the energies in the chip file; see below where they come from.</p>"
    )
    return _card(6, "Energy of a run", value, unit, body)


def _power(shown: Figures) -> str:
    value, unit = power_text(shown.watts.default).split(" ")
    cap = power_text(shown.trace.chip.energy.cap_watts)
    body = ranged(shown.watts, power_text, "Mean power")
    return _card(6, "Mean power", value, unit, f"{body}<p>The cap is {escape(cap)}.</p>")


def ranged(figure: Range, show: Callable[[float], str], name: str) -> str:
    """Return a figure as a dot between its low and high ends (drawn linearly)."""
    spread = figure.high - figure.low
    at = 100 * (figure.default - figure.low) / spread if spread > 0 else 50.0
    low, high = escape(show(figure.low)), escape(show(figure.high))
    label = f"{name}: {show(figure.default)}, between {show(figure.low)} and {show(figure.high)}"
    return (
        f'<div class="range" role="img" aria-label="{escape(label)}" style="--at:{at:.1f}%">'
        f'<span class="rail"></span><span class="dot" style="left:{at:.1f}%"></span>'
        f'<span class="end">{low}</span><span class="end">{high}</span></div>'
    )
