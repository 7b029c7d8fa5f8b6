"""A span as a file, ``.span``: a zip of its programs as ``.prog``, and of what joins them.

    span.json      the format's version, name, places, cuts, notes, and the system with its links
    000000.prog    the first chip's program; and so on

Equal spans give equal bytes: stored, with one fixed date. A file is written whole or not at all.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import IO, Any

from drawloom.chip.system import Level, System
from drawloom.errors import Fault, InputError
from drawloom.files import BROKEN, open_archive, read_whole, write_whole
from drawloom.program.binary import encode
from drawloom.program.decode import decode
from drawloom.program.span import Span

_HEAD = "span.json"
VERSION = 2
MOST_CHIPS = 65_536  # as of a system file
# What reading raises on files that are cut short, altered or something else.
_BROKEN = (*BROKEN, AssertionError, AttributeError)


def write_span(span: Span, path: str | Path) -> None:
    """Write a span to a file.

    Raises:
        InputError: ``files.write``, when the file cannot be written.
    """
    write_whole(path, lambda file: _put(span, file))


def _put(span: Span, file: IO[bytes]) -> None:
    system = asdict(span.system) | {
        "dead_chips": sorted(span.system.dead_chips),
        "dead_links": sorted(span.system.dead_links),
    }
    del system["sources"]
    head = {
        "version": VERSION,
        "name": span.name,
        "places": span.places,
        "cuts": dict(span.cuts),
        "notes": dict(span.notes),
        "system": system,
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_HEAD), json.dumps(head, sort_keys=True))
        for index, program in enumerate(span.programs):
            with archive.open(zipfile.ZipInfo(f"{index:06}.prog"), "w", force_zip64=True) as member:
                member.writelines(encode(program))


def read_span(path: str | Path) -> Span:
    """Return the span in a file.

    Raises:
        InputError: ``files.read``, it cannot be read; ``span.file``, it is no span.
    """
    raw = read_whole(path)
    try:
        with open_archive(io.BytesIO(raw)) as archive:
            head = json.loads(archive.read(_HEAD))
            if (version := head.get("version")) != VERSION:
                raise ValueError(f"version {version}, this drawloom reads version {VERSION}")
            names = [f"{index:06}.prog" for index in range(len(head["places"]))]
            programs = tuple(decode(archive.read(name), f"{path}: {name}") for name in names)
        return Span(
            head["name"], _system(head["system"]), tuple(head["places"]), programs,
            {name: (axis, parts, rows) for name, (axis, parts, rows) in head["cuts"].items()}, head["notes"],
        )  # fmt: skip
    except _BROKEN as error:
        fault = Fault(str(path), str(error).strip("'\""), "a file that write_span writes")
        raise InputError("span.file", "this is no span", [fault]) from None


def _system(given: dict[str, Any]) -> System:
    levels = tuple(
        Level(**level | {"sizes": tuple(level["sizes"]), "blocks": tuple(level["blocks"])})
        for level in given["levels"]
    )
    if prod(int(size) for level in levels for size in level.sizes) > MOST_CHIPS:
        raise ValueError(f"a system of more than {MOST_CHIPS:,} chips")
    made: dict[str, Any] = given | {
        "levels": levels,
        "dead_chips": frozenset(given["dead_chips"]),
        "dead_links": frozenset((a, b) for a, b in given["dead_links"]),
    }
    return System(**made)
