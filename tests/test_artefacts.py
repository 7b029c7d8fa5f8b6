"""Every artefact has a sample under tests/golden, and what is read from the sample prints it again.

All are of one small convolution, of sizes that do not divide evenly. A trace is made of columns of
numbers: its readable sample is its summary, its file is what reads back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from drawloom.chip.files import load_chip, parse_chip
from drawloom.chip.model import Chip
from drawloom.chip.text import chip_text
from drawloom.errors import InputError
from drawloom.graph import text as graph_text
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program import text as program_text
from drawloom.program.assemble import assemble
from drawloom.program.parse import parse as parse_program
from drawloom.program.program import Program
from drawloom.timing import time
from drawloom.timing.files import read_trace, write_trace
from drawloom.timing.trace import Trace

STORED = Path(__file__).parent / "golden"


def ramp(*shape: int) -> Array:
    """Values that are exact in f16 and alike everywhere."""
    return ((np.arange(np.prod(shape)) % 13 - 6) / 8).astype(np.float16).reshape(shape)


@cache
def graph() -> Graph:
    b = GraphBuilder("conv")
    x = b.input("x", TensorType(DType.F16, (1, 5, 11, 9)))
    attrs = {"kernel_shape": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1)}
    operands = [x, b.constant("w", ramp(19, 5, 3, 2)), b.constant("bias", ramp(19))]
    y = b.add("Conv", operands, attrs, name="conv", layer="features.0")
    return b.finish([b.add("Relu", [y], name="relu", layer="features.1", output="y")])


@cache
def mapping() -> Mapping:
    return map_graph(graph(), load_chip("tx81"))


@cache
def program() -> Program:
    return assemble(mapping())


@cache
def trace() -> Trace:
    return time(program(), load_chip("tx81"))


def program_again(text: str) -> str:
    return program_text.text(parse_program(text, program_text.blobs(program())))


# Artefact -> its sample's name, its text now, and the text of what a text parses to.
Row = tuple[str, Callable[[], str], Callable[[str], str]]
ARTEFACTS: dict[type, Row] = {
    Graph: (
        "mapping_conv.graph.txt",
        lambda: graph().text(),
        lambda text: graph_text.parse(text, graph().constants).text(),
    ),
    Chip: (
        "mapping_tx81.chip.yaml",
        lambda: chip_text(load_chip("tx81")),
        lambda text: chip_text(parse_chip(text)),
    ),
    Mapping: (
        "mapping_conv.map.txt",
        lambda: mapping_text(mapping()),
        lambda text: mapping_text(parse_mapping(text, mapping().graph, mapping().chip)),
    ),
    Program: ("mapping_conv.prog.txt", lambda: program_text.text(program()), program_again),
}


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_the_sample_is_what_is_printed(kind: type, golden: Callable[[str, str], None]) -> None:
    name, text, _ = ARTEFACTS[kind]
    golden(name, text())


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_reading_the_sample_and_printing_gives_the_sample(kind: type) -> None:
    name, _, again = ARTEFACTS[kind]
    stored = (STORED / name).read_bytes().decode()
    assert again(stored) == stored


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_a_text_without_its_head_is_refused(kind: type) -> None:
    name, _, again = ARTEFACTS[kind]
    stored = (STORED / name).read_bytes().decode()
    with pytest.raises(InputError):
        again(stored.split("\n", 1)[1])


def test_the_sample_of_a_trace_is_what_it_prints(golden: Callable[[str, str], None]) -> None:
    golden("mapping_conv.trace.txt", trace().text() + "\n")


def test_a_trace_read_back_prints_the_same(tmp_path: Path) -> None:
    path = tmp_path / "conv.trace"
    write_trace(trace(), path)
    again = read_trace(path)
    assert again.text() == trace().text()
    assert again.end_ps.tolist() == trace().end_ps.tolist()


def test_every_artefact_is_here() -> None:
    """An artefact of the page on architecture that exists as a type has a sample above."""
    page = (STORED.parents[1] / "ARCHITECTURE.md").read_text()
    listed = page.split("## Artefacts")[1].strip().splitlines()[0]
    held = {kind.__name__ for kind in (*ARTEFACTS, Trace)}
    assert {word.strip(" .") for word in listed.replace(" and ", ", ").split(",")} - held <= {
        "System",  # planned
        "Workload",  # planned
        "Diagnosis",  # part of an error; its text is tested with the errors
        "Build",  # the other artefacts in one file
    }
