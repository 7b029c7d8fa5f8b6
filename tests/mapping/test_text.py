"""What a mapping's text and file say of their faults, in full."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.errors import InputError
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.mapping.files import read_mapping, write_mapping
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text


@cache
def mapping() -> Mapping:
    b = GraphBuilder("g")
    x = b.input("x", TensorType(DType.F16, (3, 64)))
    y = b.add("MatMul", [x, b.constant("w", np.ones((64, 64), np.float16))], name="fc")
    return map_graph(b.finish([b.add("Relu", [y], name="relu", output="y")]), load_chip("tx81"))


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_mapping(text, mapping().graph, mapping().chip, file="a.map")
    return caught.value.text()


def line_of(text: str, start: str) -> int:
    return next(i for i, line in enumerate(text.split("\n"), start=1) if start in line)


def test_another_text_is_refused() -> None:
    assert refusal("hello\n") == (
        "error[mapping.text]: a.map is not the text of a mapping\n"
        "  line 1: hello ('drawloom mapping 1')"
    )


def test_every_fault_is_told_with_its_line() -> None:
    good = mapping_text(mapping())
    bad = good.replace("relu(t0)", "relu(t7)").replace("order=", "ordre=")
    bad = bad.replace("storage y output", "storage y outptu").replace("dram ", "dram of ")
    lines = [
        line_of(good, start) for start in ("dram ", "storage y", "order=", "relu(t0)", "values y")
    ]
    assert refusal(bad) == (
        "error[mapping.text]: 5 faults in a.map\n"
        f"  line {lines[0]}: of (a whole number)\n"
        f"  line {lines[1]}: outptu (did you mean 'output'?)\n"
        f"  line {lines[2]}: ordre (did you mean 'order'?)\n"
        f"  line {lines[3]}: t7 (one of t0)\n"
        f"  line {lines[4]}: y (one of w.rows, x)"
    )


def test_a_missing_field_is_named() -> None:
    good = mapping_text(mapping())
    piece = good[good.index("matrix fc") :].split("\n")
    pairs = " ".join(line.strip() for line in piece[1:] if "=" in line and "relu(" not in line)
    assert "batch=1 " in pairs
    bad = good.replace("batch=1 ", "")
    at = line_of(good, "matrix fc")
    assert refusal(bad) == (f"error[mapping.text]: 1 fault in a.map\n  line {at}: missing (batch)")


def test_another_graph_is_refused() -> None:
    b = GraphBuilder("other")
    other = b.finish([b.add("Relu", [b.input("x", TensorType(DType.F16, (3,)))])])
    with pytest.raises(InputError) as caught:
        parse_mapping(mapping_text(mapping()), other, mapping().chip)
    assert caught.value.faults[0].text() == (
        "line 2: g (the graph given, 'other', has another hash)"
    )


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.map"
    path.write_bytes(b"what is this")
    with pytest.raises(InputError) as caught:
        read_mapping(path)
    assert caught.value.text() == (
        f"error[mapping.file]: '{path}' is not a whole .map file\n  a.map: file is not a zip file"
    )


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.map"
    write_mapping(mapping(), path)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError) as caught:
            read_mapping(path)
        assert caught.value.kind == "mapping.file"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.map"
    with pytest.raises(InputError) as caught:
        read_mapping(path)
    assert caught.value.text() == (
        f"error[files.read]: cannot read '{path}': no such file or directory"
    )
