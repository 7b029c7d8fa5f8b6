"""The strict rules on programs in which nothing is wrong, and what the mends of these rules must still find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from drawloom.check import check
from drawloom.check.parts import parts
from drawloom.chip.files import load_chip
from drawloom.flow import compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.program.commands import Move, Read
from drawloom.program.program import Program
from drawloom.program.roll import unroll

TX81 = load_chip("tx81")


def biased() -> Graph:
    """A product of three rows on tiles of two: the last has one row, and needs its biases once."""
    builder = GraphBuilder("biased")
    a = builder.input("a", TensorType(DType.F32, (3, 5)))
    b = builder.input("b", TensorType(DType.F32, (5, 4)))
    c = builder.input("c", TensorType(DType.F32, (1, 4)))
    return builder.finish([builder.add("Add", [builder.add("MatMul", [a, b]), c])])


def masked() -> Graph:
    """Scores with a mask of six columns: rows that are spread end in what pads them."""
    builder = GraphBuilder("masked")
    a = builder.input("a", TensorType(DType.F32, (2, 3, 4, 6)))
    b = builder.input("b", TensorType(DType.F32, (2, 3, 4, 1)))
    return builder.finish([builder.add("Mul", [a, b])])


def narrow() -> Graph:
    """A convolution of each channel by itself, 136 channels: some tiles have 8 of them."""
    builder = GraphBuilder("narrow")
    x = builder.input("x", TensorType(DType.F32, (1, 136, 28, 28)))
    w = builder.constant("w", np.ones((136, 1, 3, 3), np.float32))
    attrs = {"group": 136, "kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    return builder.finish([builder.add("Conv", [x, w], attrs)])


def short(rows: int = 8) -> Graph:
    """A product of pixels, and a pool over it whose window leaves the last row out where rows are even."""
    builder = GraphBuilder("short")
    x = builder.input("x", TensorType(DType.F16, (1, 64, rows, rows)))
    w = builder.constant("w", np.ones((64, 64, 1, 1), np.float16))
    y = builder.add("Conv", [x, w], {"kernel_shape": (1, 1)})
    attrs = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    return builder.finish([builder.add("MaxPool", [y], attrs)])


@pytest.mark.parametrize("graph", [biased, masked, narrow, short])
def test_nothing_is_found_in_a_sound_program(graph: Callable[[], Graph]) -> None:
    build = compile(graph(), TX81, check=False)
    assert check(build.program, TX81, strict=True, graph=build.graph) == ()


def test_a_window_that_ends_before_its_image_leaves_rows_out() -> None:
    assert short().nodes[0].name in parts(short(8)).short
    assert short().nodes[0].name not in parts(short(9)).short


def with_commands(program: Program, change: Callable[[object], object]) -> Program:
    streams = [tuple(change(one) for one in unroll(stream)) for stream in program.streams]
    return replace(program, streams=tuple(streams))


def test_a_bias_that_is_loaded_too_often_is_lost() -> None:
    program = compile(biased(), TX81, check=False).program
    (c,) = (region for region in program.regions if region.name == "c")
    streams = [list(unroll(stream)) for stream in program.streams]
    tile, at, one = next(
        (tile, at, one)
        for tile, stream in enumerate(streams)
        for at, one in enumerate(stream)
        if isinstance(one, Read) and one.dram == c.address
    )
    assert isinstance(one.spm, int)
    streams[tile].insert(at + 1, replace(one, spm=one.spm + 0x1000))
    faulty = replace(program, streams=tuple(map(tuple, streams)))
    assert {found.rule for found in check(faulty, TX81, strict=True)} >= {"lost"}


def test_values_that_are_spread_from_beside_their_place_still_straddle() -> None:
    program = compile(masked(), TX81, check=False).program

    def shifted(one: object) -> object:
        is_spread = isinstance(one, Move) and one.inner == 8 and isinstance(one.src, int)
        return replace(one, src=one.src + 4) if is_spread else one  # pyright: ignore

    faulty = with_commands(program, shifted)
    assert faulty != program
    assert {found.rule for found in check(faulty, TX81, strict=True)} & {"straddle", "unwritten"}
