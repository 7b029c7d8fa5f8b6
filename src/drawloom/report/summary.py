"""The figures of a run as tables for a terminal: each headline with its bound beside it."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from drawloom.chip.model import Range
from drawloom.compare.errors import held_words
from drawloom.report.basis import GRADES, basis, profile_note, weakest
from drawloom.report.figures import Figures
from drawloom.report.layers import Layer
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

TOP = 10
Line = tuple[str, str, str]


def summary(figures: Figures, top: int = TOP) -> RenderableType:
    """Return the summary of a run: headline figures, engines, the ``top`` longest layers."""
    parts: list[RenderableType] = [_title(figures), "", _headline(figures), "", _engines(figures)]
    if figures.layers.layers:
        parts += ["", _layers(figures, top)]
    rows = basis(figures)
    if rows:
        grade = weakest(rows)
        note = f"The weakest number behind these figures has grade {grade}: {GRADES[grade]}."
        parts += ["", Text(f"{note} The page lists them all.", style="dim")]
    parts += ["", Text(held_words(figures.trace.chip.name), style="dim")]
    return Group(*parts)


def _title(figures: Figures) -> Text:
    trace = figures.trace
    text = Text(trace.program.name, style="bold")
    text.append(f" on {trace.chip.name}", style="bold")
    text.append(f"  {trace.chip.title}", style="dim")
    for name, value in figures.notes.items():
        text.append(f"\n{name} {value}")
    text.append(f"\nprofile {profile_note(trace.chip, trace.profile)}")
    return text


def headline(figures: Figures) -> list[Line]:
    """Return the headline figures as lines of name, value and what stands beside it."""
    trace, bound = figures.trace, figures.bound
    read, written = trace.dram_bytes
    lines = [
        (
            "latency",
            time_text(figures.latency_ps),
            f"{time_text(figures.on_chip_ps)} on the chip, {time_text(figures.launch_ps)} launch",
        ),
        *_error_bars(figures),
        *_bound(figures),
        ("throughput", f"{count_text(figures.runs_per_s)} /s", "runs, one after the other"),
        (
            "matrix rate",
            rate_text(figures.operations_per_s, "OP/s"),
            f"{share_text(figures.peak_share)} of peak for {count_text(sum(bound.macs.values()))}"
            " multiply-adds",
        ),
        (
            "DRAM",
            bytes_text(figures.dram_bytes),
            f"{bytes_text(read)} read, {bytes_text(written)} written at"
            f" {rate_text(figures.dram_bytes_per_s, 'B/s')}{_least(figures)}",
        ),
        (
            "NoC",
            bytes_text(trace.noc_byte_hops),
            f"bytes × links; tile-to-tile messages: {trace.n_sends:,}",
        ),
        ("energy", energy_text(figures.energy.default), _between(figures.energy, energy_text)),
        (
            "power",
            power_text(figures.watts.default),
            f"{_between(figures.watts, power_text)}; cap {power_text(trace.chip.energy.cap_watts)}",
        ),
    ]
    return lines


def _error_bars(figures: Figures) -> list[Line]:
    if figures.latency_range is None:
        return []
    between = _between(figures.latency_range, time_text)
    return [("", "", f"{between}: the hardware's numbers at the ends of their ranges")]


def _bound(figures: Figures) -> list[Line]:
    if not figures.has_bound:
        return []
    over = ratio_text(figures.over_bound)
    return [
        ("bound", time_text(figures.bound.ps), bound_text(figures)),
        ("over bound", over, over_text(figures)),
    ]


def bound_text(figures: Figures) -> str:
    """Return the parts of the bound, the one that sets it first."""
    bound = figures.bound
    parts = {
        "matrix": f"matrix at peak {time_text(bound.matrix_ps)}",
        "vector": f"vector {time_text(bound.vector_ps)}",
        "dram": f"DRAM {time_text(bound.dram_ps)} ({time_text(bound.read_ps)} reading,"
        f" {time_text(bound.write_ps)} writing, each byte once)",
        "fixed": f"fixed {time_text(bound.fixed_ps)}",
    }
    first = parts.pop(bound.limit)
    return "; ".join([first, *parts.values()])


def over_text(figures: Figures) -> str:
    """Return what the bound is of."""
    whose = "the model's own work" if figures.has_graph else "the program's own work"
    return f"time on the chip over the bound of {whose}"


def _least(figures: Figures) -> str:
    return f"; at least {bytes_text(figures.bound.bytes)}" if figures.has_bound else ""


def _headline(figures: Figures) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    for name, value, beside in headline(figures):
        table.add_row(name, value, escape(beside))
    return table


def _engines(figures: Figures) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("engine")
    for name in ("mean busy", "busiest tile", "energy"):
        table.add_column(name, justify="right")
    for engine, shares in figures.utilisation.items():
        energy = figures.energy_parts.get(engine.value)
        busiest = f"{share_text(max(shares))} (tile {shares.index(max(shares))})"
        cost = energy_text(energy.default) if energy else "–"
        table.add_row(engine.value, share_text(figures.mean(engine)), busiest, cost)
    table.add_row("idle power", "", "", energy_text(figures.energy_parts["idle"].default))
    return table


def _layers(figures: Figures, top: int) -> Table:
    layers = figures.layers.layers
    shown = sorted(layers, key=lambda layer: -layer.share_ps)[:top]
    title = f"layers by share of time ({len(shown)} of {len(layers)})"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    table.add_column("layer", overflow="fold")
    over = ("over bound",) if figures.layer_bounds else ()
    for name in ("time", "share", *over, "multiply-adds", "DRAM", "energy"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in shown:
        table.add_row(*_layer(figures, layer))
    return table


def _layer(figures: Figures, layer: Layer) -> tuple[str, ...]:
    share = layer.share_ps / figures.on_chip_ps if figures.on_chip_ps else 0.0
    return (
        escape(layer.name),
        time_text(layer.share_ps),
        share_text(share),
        *((layer_over(figures, layer),) if figures.layer_bounds else ()),
        count_text(layer.macs),
        bytes_text(layer.dram_bytes),
        energy_text(layer.energy_j[1]),
    )


def layer_over(figures: Figures, layer: Layer) -> str:
    """Return a layer's time over its own bound; nothing where it has none."""
    least = figures.layer_bounds.get(layer.name)
    if least is None or not least.busiest_ps:
        return ""
    return ratio_text(layer.share_ps / least.busiest_ps)


def _between(figure: Range, show: Callable[[float], str]) -> str:
    return f"between {show(figure.low)} and {show(figure.high)}"
