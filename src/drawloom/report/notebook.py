"""What a notebook shows of an artefact: small tables as HTML.

Rooms below do not know report, so ``attach`` gives their types the method that notebooks look
for. The package does this when its first public name is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph
from drawloom.program.program import Program
from drawloom.report.describe import Facts, chip_facts, graph_facts, program_facts
from drawloom.report.figures import Figures, figures
from drawloom.report.summary import headline
from drawloom.timing import Trace

if TYPE_CHECKING:
    from drawloom.flow import Build

_STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"


def attach() -> None:
    """Let notebooks show graphs, chips, programs and traces."""
    for kind, show in (
        (Graph, graph_html),
        (Chip, chip_html),
        (Program, program_html),
        (Trace, trace_html),
    ):
        kind._repr_html_ = show  # pyright: ignore[reportAttributeAccessIssue]


def build_html(build: Build) -> str:
    """Show a build: what was compiled, and its figures if it was timed already."""
    parts = [_facts(f"{build.program.name} on {build.chip.name}", program_facts(build.program))]
    timed = build.timed()
    if timed is None:
        parts.append(_note("not timed yet: <code>build.time()</code>"))
    else:
        parts.append(_figures(figures(timed, build.graph)))
    return "".join(parts)


def trace_html(trace: Trace) -> str:
    """Show a trace: its headline figures."""
    return _figures(figures(trace))


def graph_html(graph: Graph) -> str:
    """Show a graph: its inputs, outputs and size."""
    return _facts(graph.name, graph_facts(graph))


def chip_html(chip: Chip) -> str:
    """Show a chip: its sizes and rates."""
    return _facts(chip.name, chip_facts(chip))


def program_html(program: Program) -> str:
    """Show a program: what it loads and how many commands it has."""
    return _facts(program.name, program_facts(program))


def _figures(shown: Figures) -> str:
    trace = shown.trace
    notes = ", ".join(f"{name} {value}" for name, value in shown.notes.items())
    title = f"{trace.program.name} on {trace.chip.name}"
    return _table(title, headline(shown)) + _note(escape(f"profile {trace.profile}, {notes}"))


def _facts(title: str, facts: Facts) -> str:
    return _table(title, facts.items())


def _table(title: str, rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div><b>{escape(title)}</b><table style="{_STYLE}">{body}</table></div>'


def _note(html: str) -> str:
    return f'<div style="opacity:.7">{html}</div>'
