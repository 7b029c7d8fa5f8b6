"""Every artefact says the version of its format, and one of another version is refused clearly."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.test_artefacts import graph, mapping, program, trace

from drawloom import flow
from drawloom.chip.files import load_chip
from drawloom.chip.system_files import load_system
from drawloom.chip.text import chip_text
from drawloom.errors import InputError
from drawloom.flow import Build
from drawloom.graph.files import read_graph, write_graph
from drawloom.mapping.files import read_mapping, write_mapping
from drawloom.program.binary import HASH_BYTES, MAGIC
from drawloom.program.files import read_program, write_program
from drawloom.program.span import Span
from drawloom.program.span_files import read_span, write_span
from drawloom.timing.files import read_trace, write_trace

Change = Callable[[bytes, int], bytes]


def first_line(raw: bytes, version: int) -> bytes:
    """Put another version in the first line of a text."""
    line, _, rest = raw.partition(b"\n")
    assert line.endswith(b" 1")
    return line[:-1] + str(version).encode() + b"\n" + rest


def binary(raw: bytes, version: int) -> bytes:
    assert raw[len(MAGIC)] == 1
    body = raw[: len(MAGIC)] + bytes([version]) + raw[len(MAGIC) + 1 : -HASH_BYTES]
    return body + hashlib.sha256(body).digest()


def yaml(raw: bytes, version: int) -> bytes:
    assert raw.count(b"\nformat: 1\n") == 1
    return raw.replace(b"\nformat: 1\n", f"\nformat: {version}\n".encode())


def member(name: str, change: Change) -> Change:
    def changed(raw: bytes, version: int) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
            for info in old.infolist():
                held = old.read(info)
                new.writestr(
                    info.filename, change(held, version) if info.filename == name else held
                )
        return out.getvalue()

    return changed


def record_of(now: int) -> Change:
    def changed(raw: bytes, version: int) -> bytes:
        held = json.loads(raw)
        assert held["version"] == now
        return json.dumps(held | {"version": version}).encode()

    return changed


record = record_of(1)


def write_build(path: Path) -> None:
    flow.compile(graph(), "tx81").save(path)


def span() -> Span:
    return Span("conv", load_system("rex1032"), (3,), (program(),))


# Artefact -> what writes it, what puts another version into it, what reads it, what is said.
Row = tuple[Callable[[Path], Any], Change, Callable[[Path], object], str]
ARTEFACTS: dict[str, Row] = {
    "a.graph": (
        lambda path: write_graph(graph(), path),
        member("graph.txt", first_line),
        read_graph,
        "error[graph.text]: a.graph has another version of the format\n"
        "  line 1: drawloom graph {v} ('drawloom graph 1': version 1 is what this drawloom reads; "
        "make it anew)",
    ),
    "a.map": (
        lambda path: write_mapping(mapping(), path),
        member("mapping.txt", first_line),
        read_mapping,
        "error[mapping.text]: a.map has another version of the format\n"
        "  line 1: drawloom mapping {v} ('drawloom mapping 1': version 1 is what this drawloom "
        "reads; make it anew)",
    ),
    "a.prog": (
        lambda path: write_program(program(), path),
        binary,
        read_program,
        "error[program.binary]: a.prog is not a whole program\n"
        "  it has version {v}, this drawloom reads version 1",
    ),
    "a.prog.txt": (
        lambda path: write_program(program(), path),
        first_line,
        read_program,
        "error[program.text]: a.prog.txt has another version of the format\n"
        "  line 1: drawloom program {v} ('drawloom program 1': version 1 is what this drawloom "
        "reads; make it anew)",
    ),
    "a.build": (
        write_build,
        member("options.json", record),
        Build.load,
        "error[build.file]: this is no build\n"
        "  {path}: version {v}, this drawloom reads version 1 (a file that Build.save writes)",
    ),
    "a.trace": (
        lambda path: write_trace(trace(), path),
        member("about.json", record),
        read_trace,
        "error[timing.file]: '{path}' is not a trace that can be read\n"
        "  content: version {v}, this drawloom reads version 1 (what drawloom wrote)",
    ),
    "a.span": (
        lambda path: write_span(span(), path),
        member("span.json", record_of(2)),
        read_span,
        "error[span.file]: this is no span\n"
        "  {path}: version {v}, this drawloom reads version 2 (a file that write_span writes)",
    ),
    "a.chip.yaml": (
        lambda path: path.write_text(chip_text(load_chip("tx81"))),
        yaml,
        load_chip,
        "error[chip.file]: a.chip.yaml has another version of the format\n"
        "  a.chip.yaml:3 format: {v} (1, as drawloom reads it)",
    ),
}


@pytest.mark.parametrize("version", [0, 3])
@pytest.mark.parametrize("name", ARTEFACTS)
def test_another_version_is_refused_and_named(tmp_path: Path, name: str, version: int) -> None:
    write, change, read, said = ARTEFACTS[name]
    path = tmp_path / name
    write(path)
    read(path)
    path.write_bytes(change(path.read_bytes(), version))
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.text() == said.format(v=version, path=path)


def test_the_versions_inside_a_build_count_too(tmp_path: Path) -> None:
    path = tmp_path / "a.build"
    write_build(path)
    for inside, change in (
        ("computed.graph", member("graph.txt", first_line)),
        ("mapping.map", member("mapping.txt", first_line)),
        ("program.prog", binary),
    ):
        newer = tmp_path / "newer.build"
        newer.write_bytes(member(inside, change)(path.read_bytes(), 2))
        with pytest.raises(InputError, match="version"):
            Build.load(newer)


def test_a_build_from_before_versions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.build"
    write_build(path)

    def without(raw: bytes, _: int) -> bytes:
        held = json.loads(raw)
        del held["version"]
        return json.dumps(held).encode()

    path.write_bytes(member("options.json", without)(path.read_bytes(), 0))
    with pytest.raises(InputError, match="version None, this drawloom reads version 1"):
        Build.load(path)


def test_a_span_of_a_system_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.span"
    write_span(span(), path)

    def vast(raw: bytes, size: int) -> bytes:
        held = json.loads(raw)
        held["system"]["levels"][0]["sizes"] = [size, size]
        return json.dumps(held).encode()

    path.write_bytes(member("span.json", vast)(path.read_bytes(), 1 << 40))
    with pytest.raises(InputError, match="a system of more than 65,536 chips"):
        read_span(path)
