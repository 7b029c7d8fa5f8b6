"""The tables, bars and notes of the page, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from drawloom.chip.text import Row
from drawloom.report.basis import GRADES, weakest
from drawloom.report.cards import LIMITS, bar
from drawloom.report.figures import Figures
from drawloom.report.layers import Layer
from drawloom.report.quantities import (
    bytes_text,
    count_text,
    digits,
    energy_text,
    share_text,
    time_text,
)
from drawloom.report.summary import layer_over
from drawloom.timing.table import ENGINES

# Heading, and whether the column holds numbers.
_HEADS = (
    ("layer", False),
    ("share of time", True),
    ("over bound", True),
    ("start", True),
    ("engines at work", True),
    ("multiply-adds", True),
    ("DRAM", True),
    ("NoC × links", True),
    ("energy", True),
)
_NODES_SHOWN = 4


def pace(shown: Figures) -> str:
    """Return the sentence that says what bounds the run."""
    bound = shown.bound
    if not bound.ps:
        return "The run has no multiply-adds and moves no inputs or outputs: it has no bound."
    needs = (
        f"The matrix engines need {time_text(bound.matrix_ps)} at peak, the vector engines "
        f"{time_text(bound.vector_ps)}, DRAM {time_text(bound.dram_ps)} for each byte once: "
        f"{LIMITS[bound.limit]} set the bound of {time_text(bound.ps)}."
    )
    return escape(
        f"{needs} Each circle is a layer, its size the share of time, its colour the engine "
        "that was busy longest; the star is the whole run."
    )


def plan_buttons(shown: Figures) -> str:
    """Return the buttons that choose the engine which colours the floorplan."""
    first = next(iter(engine for engine in shown.utilisation), None)
    return "".join(
        f'<button type="button" class="chip" data-plan="{engine.value}" '
        f'aria-pressed="{str(engine is first).lower()}" style="--hue:var(--{engine.value})">'
        f"<i></i>{engine.value} {escape(share_text(shown.mean(engine)))}</button>"
        for engine in shown.utilisation
    )


def engine_keys(shown: Figures) -> str:
    """Return the legend of the timeline; each key hides or shows its engine."""
    return "".join(
        f'<button type="button" class="chip key" data-engine="{engine.value}" '
        f'aria-pressed="true" style="--hue:var(--{engine.value})"><i></i>{engine.value}</button>'
        for engine in shown.utilisation
    )


def layers_note(shown: Figures) -> str:
    """Return what the shares of the layers mean, and what is left over."""
    waiting = shown.layers.waiting_ps
    part = share_text(waiting / shown.on_chip_ps) if shown.on_chip_ps else "0 %"
    return escape(
        "By the names that the model gives them. Layers overlap; an instant is divided evenly "
        f"among those at work, so shares add up. For {time_text(waiting)} ({part}) no engine "
        "worked. Choose a row to see it in the timeline."
    )


def layer_heads() -> str:
    """Return the headings of the layers' table."""
    return "".join(
        f'<th scope="col"{" class=num" if is_number else ""}>'
        f'<button type="button">{escape(name)}</button></th>'
        for name, is_number in _HEADS
    )


def layer_rows(shown: Figures) -> str:
    """Return a row for each layer, in the order in which they start."""
    layers = shown.layers.layers
    most = max((sum(layer.busy_ps) for layer in layers), default=0)
    return "\n".join(_layer(shown, number, layer, most) for number, layer in enumerate(layers))


def _layer(shown: Figures, number: int, layer: Layer, most: int) -> str:
    share = layer.share_ps / shown.on_chip_ps if shown.on_chip_ps else 0.0
    low, energy, high = layer.energy_j
    name = f'<span class="layer">{escape(layer.name)}</span>'
    cells = (
        _cell(layer.name, f'{name}<br><span class="sub">{escape(nodes_text(layer))}</span>', ""),
        _cell(layer.share_ps, _share(share, layer.share_ps)),
        _over(shown, layer),
        _cell(layer.start_ps, escape(time_text(layer.start_ps))),
        _cell(sum(layer.busy_ps), _split(layer, most), ""),
        _cell(layer.macs, escape(count_text(layer.macs)) if layer.macs else "–"),
        _cell(layer.dram_bytes, escape(bytes_text(layer.dram_bytes))),
        _cell(layer.noc_byte_hops, escape(bytes_text(layer.noc_byte_hops))),
        _cell(
            energy,
            f'<span title="between {escape(energy_text(low))} and {escape(energy_text(high))}">'
            f"{escape(energy_text(energy))}</span>",
        ),
    )
    return (
        f'<tr class="row" tabindex="0" data-layer="{number}" data-start="{layer.start_ps}" '
        f'data-end="{layer.end_ps}">{"".join(cells)}</tr>'
    )


def _cell(value: float | str, shown: str, kind: str = ' class="num"') -> str:
    key = value if isinstance(value, str) else f"{value:.6g}"
    return f'<td{kind} data-v="{escape(key)}">{shown}</td>'


def _share(share: float, ps: int) -> str:
    return (
        f'<span class="sharebar" title="{escape(time_text(ps))}"><span class="track">'
        f'<i style="width:{100 * share:.2f}%;background:var(--accent)"></i></span>'
        f"{escape(share_text(share))}</span>"
    )


def _split(layer: Layer, most: int) -> str:
    busy = sum(layer.busy_ps)
    parts = [(engine.value, ps) for engine, ps in zip(ENGINES, layer.busy_ps, strict=True) if ps]
    label = ", ".join(f"{name} {time_text(ps)}" for name, ps in parts)
    bars = "".join(
        f'<i style="width:{100 * ps / most:.2f}%;background:var(--{name})"></i>'
        for name, ps in parts
    )
    title = escape(f"busy, over all tiles: {label}") if busy else "no engine"
    return f'<span class="split" role="img" title="{title}" aria-label="{title}">{bars}</span>'


def _over(shown: Figures, layer: Layer) -> str:
    """Return the cell of a layer's time over its own bound."""
    least = shown.layer_bounds.get(layer.name)
    ratio = layer.share_ps / least.busiest_ps if least and least.busiest_ps else 0.0
    return _cell(round(ratio, 4), escape(layer_over(shown, layer)) or "–")


def nodes_text(layer: Layer) -> str:
    """Return the nodes of a layer that are not just its name."""
    nodes = [node for node in layer.nodes if node != layer.name]
    more = f" and {len(nodes) - _NODES_SHOWN} more" if len(nodes) > _NODES_SHOWN else ""
    return ", ".join(nodes[:_NODES_SHOWN]) + more


def traffic(shown: Figures) -> str:
    """Return bars for the bytes of DRAM, beside the least possible, and of the NoC."""
    trace, bound = shown.trace, shown.bound
    read, written = trace.dram_bytes
    rows = [
        ("DRAM read", read, "var(--read)"),
        ("least, each byte once", bound.read_bytes, "var(--faint)"),
        ("DRAM written", written, "var(--write)"),
        ("least, each byte once", bound.write_bytes, "var(--faint)"),
        ("NoC, bytes × links", trace.noc_byte_hops, "var(--send)"),
    ]
    most = max([n for _, n, _ in rows] + [1])
    return "".join(bar(name, n / most, bytes_text(n), hue) for name, n, hue in rows)


def traffic_note(shown: Figures) -> str:
    """Return a sentence on the links that carried most."""
    links = shown.trace.link_bytes()
    if not links:
        return "<p>No bytes went from tile to tile.</p>"
    name, carried = max(links.items(), key=lambda item: item[1])
    rate = shown.trace.chip.noc.bytes_per_cycle
    cycles = shown.on_chip_ps / shown.trace.chip.period
    used = share_text(carried / (rate * cycles)) if cycles else "0 %"
    return (
        f"<p>Tile-to-tile messages: {shown.trace.n_sends:,}. The fullest link, "
        f"{escape(name.replace('->', ' → '))}, carried {escape(bytes_text(carried))}: {used} of "
        f"what it can in that time.</p>"
    )


def energy(shown: Figures) -> str:
    """Return bars for the energy by engine, with bounds."""
    most = max((each.default for each in shown.energy_parts.values()), default=0.0) or 1.0
    ordered = sorted(shown.energy_parts.items(), key=lambda item: -item[1].default)
    return "".join(
        bar(
            name,
            each.default / most,
            f"{energy_text(each.default)}  ({energy_text(each.low)} – {energy_text(each.high)})",
            "var(--faint)" if name == "idle" else f"var(--{name})",
        )
        for name, each in ordered
    )


def energy_note(shown: Figures) -> str:
    """Return the sentence that says how sure the energy is."""
    energy = shown.energy
    spread = digits(energy.high / energy.low) if energy.low else "–"
    return escape(
        f"The high end of the energy is {spread} times the low end. Idle power burns whether or "
        "not an engine works; DRAM and scratchpad traffic is counted with the engine that moves it."
    )


def basis_note(rows: Sequence[Row]) -> str:
    """Return the sentence above the sources: the grades, and how weak the weakest is."""
    if not rows:
        return "This chip was made without sources."
    grades = ", ".join(f"{grade} {meaning}" for grade, meaning in GRADES.items())
    return escape(
        f"The chip's numbers behind this page. Grades: {grades}. The weakest here is "
        f"{weakest(rows)}."
    )


def basis_rows(rows: Sequence[Row]) -> str:
    """Return a row for each of the chip's numbers."""
    return "\n".join(
        f'<tr><td class="mono">{escape(row.path)}</td><td class="num">{escape(row.value)}</td>'
        f"<td>{escape(row.range)}</td>"
        f'<td><span class="grade {escape(row.grade)}">{escape(row.grade)}</span></td>'
        f'<td class="sub">{escape(row.source)}</td></tr>'
        for row in rows
    )
