"""Any artefact as something a person reads: a table, a picture, a page, a trace file."""

from __future__ import annotations

import json
from pathlib import Path

from drawloom.files import write_whole
from drawloom.graph.ir import Graph
from drawloom.report.bounds import Floor, floor, program_floor
from drawloom.report.figures import Figures, figures
from drawloom.report.notebook import build_html
from drawloom.report.page import page
from drawloom.report.perfetto import write_trace
from drawloom.report.record import record
from drawloom.report.summary import summary
from drawloom.timing import Trace

__all__ = [
    "Figures",
    "Floor",
    "build_html",
    "figures",
    "floor",
    "page",
    "program_floor",
    "record",
    "summary",
    "write_page",
    "write_report",
    "write_trace",
]


def write_page(path: str | Path, trace: Trace, graph: Graph | None = None) -> None:
    """Write the page of a run; with the model's graph, bounds are those of the model.

    Raises:
        InputError: the file cannot be written (``files.write``).
    """
    write_whole(path, page(trace, graph).encode())


def write_report(
    folder: str | Path, trace: Trace, graph: Graph | None = None
) -> tuple[Path, Path, Path]:
    """Write page.html, trace.json.gz and figures.json into a folder, made where it is missing."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    paths = place / "page.html", place / "trace.json.gz", place / "figures.json"
    write_page(paths[0], trace, graph)
    write_trace(paths[1], trace)
    text = json.dumps(record(figures(trace, graph)), indent=2)
    write_whole(paths[2], text.encode() + b"\n")
    return paths
