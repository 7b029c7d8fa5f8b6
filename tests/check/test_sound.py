"""The checker as the last step of a compilation: what it finds something in is not written."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.test_flow import model

import drawloom
from drawloom import cli, flow
from drawloom.check import check_sound
from drawloom.chip.files import load_chip
from drawloom.errors import Unsound
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.mapping import Mapping
from drawloom.program.commands import Write
from drawloom.program.program import Program

TX81 = load_chip("tx81")


def double() -> Graph:
    builder = GraphBuilder("double")
    x = builder.input("x", TensorType(DType.F16, (4, 64)))
    return builder.finish([builder.add("Add", (x, x), output="y")])


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be assembled without the last write of tile 0."""
    whole = flow.assemble

    def assemble(mapping: Mapping, profile: str = "") -> Program:
        program = whole(mapping, profile)
        tile, *others = program.streams
        last = max(i for i, command in enumerate(tile) if isinstance(command, Write))
        return replace(program, streams=(tile[:last] + tile[last + 1 :], *others))

    monkeypatch.setattr(flow, "assemble", assemble)


@pytest.mark.usefixtures("faulty")
def test_a_program_with_a_fault_is_not_handed_out() -> None:
    with pytest.raises(Unsound) as raised:
        drawloom.compile(double())
    assert str(raised.value) == (
        "error[check.output]: the program compiled from 'double' would not run as it should\n"
        "  output: an output is not written whole\n"
        "    'y': nothing is written from byte 512 of DRAM on\n"
        "    try  write all of it before the program ends\n"
        "  this is a fault of drawloom, not of the model: 1 finding shown\n"
        "  see    drawloom check, with the same model and options, shows all of them\n"
        "  file   an issue with what it prints, the model or its shapes, and the options\n"
        "  pass   --no-check, or check=False, compiles all the same"
    )
    assert drawloom.compile(double(), check=False).program.streams


@pytest.mark.usefixtures("faulty")
def test_nothing_is_written_where_a_fault_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.onnx").write_bytes(model().SerializeToString())
    monkeypatch.chdir(tmp_path)

    def line(*words: str) -> int:
        monkeypatch.setattr(
            sys, "argv", ["drawloom", "compile", "tiny.onnx", "--dim", "batch=3", *words]
        )
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0)

    assert line("-o", "a.prog", "-o", "a.map") == 1
    assert capsys.readouterr().err.startswith("error[check.")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
    assert line("-o", "a.prog", "--no-check") == 0
    assert (tmp_path / "a.prog").exists()


def test_a_program_too_long_to_check_is_handed_out_with_a_warning() -> None:
    program = drawloom.compile(double(), check=False).program
    with pytest.warns(UserWarning, match="not checked: program 'double' is too long to check"):
        check_sound(program, TX81, most=1)
