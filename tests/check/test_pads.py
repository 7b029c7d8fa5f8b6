"""Programs in which nothing is wrong: bytes that only pad, and sums that take each other's place."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.flow import compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")


def column() -> Graph:
    """A product with one column, each row of which ends in what pads it."""
    builder = GraphBuilder("column")
    a = builder.input("a", TensorType(DType.F16, (1, 2)))
    b = builder.input("b", TensorType(DType.F16, (2, 1)))
    return builder.finish([builder.add("MatMul", [a, b])])


def images() -> Graph:
    """Norms of several images, one after the other by all tiles."""
    builder = GraphBuilder("images")
    x = builder.input("x", TensorType(DType.F16, (5, 2, 1, 4)))
    scale, bias = (builder.constant(n, np.ones(2, np.float16)) for n in ("scale", "bias"))
    made = builder.add("GroupNormalization", [x, scale, bias], {"num_groups": 2})
    return builder.finish([made])


def turned(size: int) -> Graph:
    """Rows of heads whose halves are exchanged; what pads a row is no half."""
    builder = GraphBuilder("turned")
    x, cos, sin = (
        builder.input(name, TensorType(DType.F16, (1, heads, 55, size)))
        for name, heads in (("x", 3), ("cos", 1), ("sin", 1))
    )
    half = size // 2
    low, high = (
        builder.add("Slice", [x], {"starts": (at,), "ends": (at + half,), "axes": (3,)})
        for at in (0, half)
    )
    crossed = builder.add("Mul", [builder.add("Concat", [high, low], {"axis": 3}), sin])
    return builder.finish([builder.add("Add", [builder.add("Mul", [x, cos]), crossed])])


@pytest.mark.parametrize("size", [12, 40, 72, 130, 200])
def test_rows_whose_halves_are_exchanged_keep_something_behind_them(size: int) -> None:
    build = compile(turned(size), TX81, precision="f16", check=False)
    assert "move " in build.program.text()
    assert check(build.program, TX81) == ()


def test_rows_of_one_block_may_each_end_in_what_pads_them() -> None:
    assert check(assemble(map_graph(column(), TX81)), TX81) == ()


def test_sums_of_one_image_are_sent_before_those_of_the_next_take_their_place() -> None:
    assert check(assemble(map_graph(images(), TX81)), TX81) == ()
