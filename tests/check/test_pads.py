"""Programs in which nothing is wrong: bytes that only pad, and sums that take each other's place."""

from __future__ import annotations

import numpy as np

from drawloom.check import check
from drawloom.chip.files import load_chip
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


def test_rows_of_one_block_may_each_end_in_what_pads_them() -> None:
    assert check(assemble(map_graph(column(), TX81)), TX81) == ()


def test_sums_of_one_image_are_sent_before_those_of_the_next_take_their_place() -> None:
    assert check(assemble(map_graph(images(), TX81)), TX81) == ()
