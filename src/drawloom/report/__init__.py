"""Any artefact as something a person reads: a table, a picture, a page, a trace file."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path

from drawloom.errors import Fault, InputError
from drawloom.files import write_whole
from drawloom.report.bounds import program_bound
from drawloom.report.figures import Figures, figures
from drawloom.report.notebook import build_html
from drawloom.report.page import page
from drawloom.report.perfetto import write_perfetto
from drawloom.report.picture import picture
from drawloom.report.record import record
from drawloom.report.summary import summary
from drawloom.timing import Trace, files

__all__ = [
    "Figures",
    "build_html",
    "figures",
    "page",
    "picture",
    "program_bound",
    "record",
    "summary",
    "write_page",
    "write_picture",
    "write_report",
    "write_trace",
]


def write_page(figures: Figures, path: str | Path) -> None:
    """Write the page of a run.

    Raises:
        InputError: the file cannot be written (``files.write``).
    """
    write_whole(path, page(figures).encode())


def write_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace: ``.json`` or ``.json.gz`` for Perfetto, ``.trace`` to be read back.

    Raises:
        InputError: another ending (``report.trace``), or the file cannot be written
            (``files.write``).
    """
    name = Path(path).name
    if name.endswith(".trace"):
        files.write_trace(trace, path)
    elif name.endswith((".json", ".json.gz")):
        write_perfetto(trace, path)
    else:
        fault = Fault(name, "", "a name that ends in .json, .json.gz or .trace")
        raise InputError("report.trace", f"'{path}' does not say in which form", [fault])


def write_picture(
    trace: Trace, path: str | Path, title: str = "", pieces: Container[str] = ()
) -> None:
    """Write what every engine does when as one picture (SVG), all of it or while some pieces run.

    Raises:
        InputError: the file cannot be written (``files.write``).
    """
    write_whole(path, f"{picture(trace, title, pieces)}\n".encode())


def write_report(figures: Figures, folder: str | Path) -> tuple[Path, Path, Path]:
    """Write page.html, trace.json.gz and figures.json into a folder, made where it is missing."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    paths = place / "page.html", place / "trace.json.gz", place / "figures.json"
    write_page(figures, paths[0])
    write_trace(figures.trace, paths[1])
    write_whole(paths[2], json.dumps(record(figures), indent=2).encode() + b"\n")
    return paths
