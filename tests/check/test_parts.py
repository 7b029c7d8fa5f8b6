"""What a model takes a part of is no finding; what it takes whole still is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.check import check
from drawloom.check.parts import parts
from drawloom.check.values import wrong
from drawloom.chip.files import load_chip
from drawloom.execute.machine import execute
from drawloom.flow import Build, compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.program.commands import Read
from drawloom.program.program import Program
from drawloom.program.roll import unroll


def picking() -> Graph:
    """Of ``x`` rows are picked, one twice; of ``m`` and ``n`` all is multiplied."""
    builder = GraphBuilder("picking")
    x = builder.input("x", TensorType(DType.F16, (8, 64)))
    m = builder.input("m", TensorType(DType.F16, (64, 128)))
    n = builder.input("n", TensorType(DType.F16, (128, 64)))
    rows = builder.constant("rows", np.array([0, 2, 2, 5], np.int64))
    picked = builder.add("Gather", [builder.add("Neg", [x]), rows], {"axis": 0})
    return builder.finish([picked, builder.add("MatMul", [m, n])])


def rules(build: Build, graph: Graph | None = None) -> set[str]:
    return {one.rule for one in check(build.program, build.chip, strict=True, graph=graph)}


@pytest.fixture(scope="module")
def built() -> Build:
    return compile(picking())


def test_a_model_tells_of_what_it_takes_a_part(built: Build) -> None:
    found = parts(built.graph)
    assert "x" in found.tensors
    assert not found.tensors & {"m", "n"}
    assert rules(built, built.graph) == set()


def test_what_a_model_takes_whole_must_be_read_whole(built: Build) -> None:
    regions = built.program.named("input")
    low, size = regions["n"].address, regions["n"].bytes
    streams = [list(unroll(stream)) for stream in built.program.streams]
    (tile, at) = next(
        (t, k)
        for t, stream in enumerate(streams)
        for k, one in enumerate(stream)
        if isinstance(one, Read) and isinstance(one.dram, int) and low < one.dram < low + size
    )
    moved = streams[tile][at]
    assert isinstance(moved, Read)
    assert isinstance(moved.dram, int)
    streams[tile][at] = replace(moved, dram=moved.dram - 64)
    program = replace(built.program, streams=tuple(map(tuple, streams)))
    assert {"unread", "uneven"} & rules(replace(built, program=program), built.graph)


def test_outputs_are_held_to_what_the_model_is_off_by(built: Build) -> None:
    rng = np.random.default_rng(0)
    types = built.graph.types
    inputs = {
        name: rng.standard_normal(types[name].shape).astype(np.float16)
        for name in built.graph.inputs
    }
    outputs = execute(built.program, inputs)
    assert list(wrong(built.graph, inputs, outputs)) == []
    name = built.graph.outputs[1]
    outputs[name] = (outputs[name] + np.abs(outputs[name]).max() * 2.0**-7).astype(np.float16)
    assert [one.rule for one in wrong(built.graph, inputs, outputs)] == ["values"]


def test_a_program_without_commands_is_held_to_the_strict_rules_too() -> None:
    chip = load_chip("tx81")
    program = Program(
        "nothing", "tx81", chip.blocking, chip.scratchpad.bytes, chip.dram.bytes,
        (), (), ((),) * chip.n_tiles, (),
    )  # fmt: skip
    assert check(program, chip, strict=True) == ()
