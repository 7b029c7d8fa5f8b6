"""What values show: results that do not fit, and outputs that the model does not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.measures.limits import product
from tests.check.test_check import BY_HAND
from typer.testing import CliRunner

from drawloom.check.values import misfits, wrong
from drawloom.cli.app import app
from drawloom.execute.machine import execute
from drawloom.execute.watch import overflows
from drawloom.flow import compile
from drawloom.graph.dtypes import DType
from drawloom.program.commands import MatMul
from drawloom.program.parse import parse
from drawloom.program.roll import unroll

VECTOR = "  vector op=mul a=0x0 dst=0x100 count=8 fmt=f16 out_fmt=f16 scalar=2.0 #0\n"
X = np.array([[1, -2, 3, 40000], [5, -6, 50000, 0]], np.float16)
# What stands in place of the doubling, and what comes of it: how, the format, element, value, how many.
CASES = {
    "a product too large": (VECTOR, ("infinite", "f16", (3,), 80000.0, 2)),
    "a quotient by 0": (
        VECTOR.replace("op=mul", "op=rdiv").replace("2.0", "0.0"), ("undefined", "f16", (7,), None, 1)
    ),
    "a root of less than 0": (
        VECTOR.replace("op=mul", "op=sqrt").replace(" scalar=2.0", ""),
        ("undefined", "f16", (1,), None, 2),
    ),
    "a power beyond all formats": (
        VECTOR.replace("op=mul", "op=exp").replace(" scalar=2.0", ""),
        ("undefined", "f16", (3,), None, 2),
    ),
    "a float beyond an integer": (
        VECTOR.replace("op=mul", "op=copy").replace(" scalar=2.0", "").replace("out_fmt=f16", "out_fmt=i16"),
        ("saturated", "i16", (3,), 40000.0, 2),
    ),
    "nothing": (VECTOR.replace("2.0", "0.5"), None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_fit_is_named_with_its_first_element(name: str) -> None:
    text, wanted = CASES[name]
    program = parse(BY_HAND.replace(VECTOR, text))
    outputs, found = overflows(program, {"x": X})
    assert outputs["y"].tobytes() == execute(program, {"x": X})["y"].tobytes()
    if wanted is None:
        assert found == []
        return
    (one,) = found
    how, fmt, element, value, count = wanted
    assert (one.how, one.fmt, one.element, one.count, one.total) == (how, fmt, element, count, 8)
    assert value is None or one.value == value
    (finding,) = misfits(program, found)
    assert finding.rule == "overflow"
    assert finding.where is not None
    assert finding.where.number == 1


def test_an_accumulator_of_32_bits_that_wraps() -> None:
    build = compile(product(16, 300, 16, DType.I8))
    streams = tuple(
        tuple(
            replace(c, out_fmt="i8") if isinstance(c, MatMul) and c.out_fmt == "i32" else c
            for c in unroll(stream)
        )
        for stream in build.program.streams
    )
    inputs = {name: np.full(build.graph.types[name].shape, 127, np.int8) for name in ("a", "b")}
    _, found = overflows(build.program, inputs)
    assert found == []
    _, found = overflows(replace(build.program, streams=streams), inputs)
    assert {(one.how, one.fmt) for one in found} == {("wrapped", "i8")}
    assert found[0].value == 127 * 127 * 300


def test_outputs_are_held_to_the_model() -> None:
    build = compile(product(24, 64, 16))
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.standard_normal(build.graph.types[name].shape).astype(np.float16)
        for name in ("a", "b")
    }
    outputs = execute(build.program, inputs)
    assert list(wrong(build.graph, inputs, outputs)) == []
    outputs["c"][3, 5] += np.float16(1)
    (found,) = wrong(build.graph, inputs, outputs)
    assert found.rule == "values"
    assert "output 'c', element 3, 5" in found.detail
    assert "1 of 384 differ" in found.detail


def test_the_command_line_runs_the_program_where_it_is_given_inputs(tmp_path: Path) -> None:
    path, values = tmp_path / "hand.prog.txt", tmp_path / "x.npy"
    path.write_text(BY_HAND, encoding="utf-8")
    np.save(values, X)
    runner = CliRunner()
    assert runner.invoke(app, ["check", str(path), "--random-inputs", "3"]).exit_code == 0
    made = runner.invoke(app, ["check", str(path), "--inputs", str(values)])
    assert made.exit_code == 1
    assert "element 3: 80000 becomes infinite in 'f16'; so do 2 of 8" in made.output
    assert "hand.prog.txt:10: tile 0: vector op=mul" in made.output
