"""One page for a browser: everything about a run, in one file that needs no network."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from string import Template

import drawloom
from drawloom.compare.errors import held_words
from drawloom.report import page_tables as tables
from drawloom.report.basis import basis, profile_note
from drawloom.report.cards import cards
from drawloom.report.figures import Figures
from drawloom.report.floorplan import by_tile, floorplan
from drawloom.report.quantities import time_text
from drawloom.report.roofline import roofline
from drawloom.report.timeline import Timeline, timeline
from drawloom.timing.table import ENGINES

_ASSETS = Path(__file__).parent / "assets"


def page(shown: Figures) -> str:
    """Return the page of a run as HTML."""
    trace = shown.trace
    spans = timeline(trace, shown.layers)
    rests_on = basis(shown)
    fields = {
        "version": escape(drawloom.__version__),
        "title": escape(f"{trace.program.name} on {trace.chip.name}"),
        "model": escape(trace.program.name),
        "chip": escape(f"on {trace.chip.name}: {trace.chip.title}"),
        "pills": _pills(shown),
        "cards": cards(shown),
        "pace": tables.pace(shown),
        "roofline": roofline(shown),
        "floorplan": floorplan(shown),
        "plan_buttons": tables.plan_buttons(shown),
        "keys": tables.engine_keys(shown),
        "binned": _binned(spans),
        "layers_note": tables.layers_note(shown),
        "layer_heads": tables.layer_heads(),
        "layer_rows": tables.layer_rows(shown),
        "traffic": tables.traffic(shown),
        "traffic_note": tables.traffic_note(shown),
        "energy": tables.energy(shown),
        "energy_note": tables.energy_note(shown),
        "basis": tables.basis_rows(rests_on),
        "basis_note": tables.basis_note(rests_on),
        "footer": _footer(shown),
        "data": _data(shown, spans),
        "css": _asset("page.css"),
        "script": _asset("page.js"),
    }
    return Template(_asset("page.html")).substitute(fields)


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _pills(shown: Figures) -> str:
    pairs = [*shown.notes.items(), ("profile", shown.trace.profile)]
    return "".join(
        f"<li><span>{escape(name)}</span><b>{escape(value)}</b></li>" for name, value in pairs
    )


def _binned(spans: Timeline) -> str:
    if not spans.bin_ps:
        return ""
    return (
        f"This run has too many commands to draw each: those of a lane that start within "
        f"{time_text(spans.bin_ps)} are drawn as one, paler the less of it was busy."
    )


def _footer(shown: Figures) -> str:
    trace = shown.trace
    note = escape(profile_note(trace.chip, trace.profile))
    held = escape(held_words(trace.chip.name))
    return (
        f"drawloom {escape(drawloom.__version__)} · {len(trace):,} commands run, "
        f"{len(trace.table.commands):,} written · {note} · {held}"
    )


def _data(shown: Figures, spans: Timeline) -> str:
    """Return what the page's script draws, safe inside a script element."""
    payload = {
        "latency": shown.on_chip_ps,
        "tick": spans.tick_ps,
        "dramPeak": shown.trace.chip.dram.peak,
        "tiles": shown.trace.chip.n_tiles,
        "engines": [engine.value for engine in ENGINES],
        "lanes": spans.lanes,
        "texts": spans.captions,
        "layers": [
            {"name": layer.name, "nodes": tables.nodes_text(layer)} for layer in shown.layers.layers
        ],
        "util": by_tile(shown),
        "spans": spans.packed,
    }
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
