"""Rotary embeddings and the turns of heads around them: what is moved, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import nodewise

from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.mapping.pieces import CopyPiece, FlashPiece, MatrixPiece, Piece, StripPiece
from drawloom.mapping.plan import map_graph

TX81 = load_chip("tx81")
RNG = np.random.default_rng(11)


def rotated(builder: GraphBuilder, x: str, width: int, cos: str, sin: str) -> str:
    """x turned as a decoder does it."""
    ends = ((width // 2, width), (0, width // 2))
    halves = [
        builder.add("Slice", [x], {"starts": (a,), "ends": (b,), "axes": (3,)}) for a, b in ends
    ]
    swapped = builder.add("Concat", halves, {"axis": 3})
    straight, crossed = builder.add("Mul", [x, cos]), builder.add("Mul", [swapped, sin])
    return builder.add("Add", [straight, crossed])


def rotary(heads: int, tokens: int, width: int, dtype: DType) -> Graph:
    builder = GraphBuilder("rotary")
    x = builder.input("x", TensorType(dtype, (1, heads, tokens, width)))
    tables = [RNG.normal(size=(1, 1, tokens, width)).astype(dtype.numpy) for _ in range(2)]
    cos, sin = (builder.constant(n, t) for n, t in zip(("cos", "sin"), tables, strict=True))
    return builder.finish([rotated(builder, x, width, cos, sin)])


def drawn(graph: Graph) -> dict[str, Array]:
    return {
        name: RNG.normal(size=graph.types[name].shape).astype(graph.types[name].dtype.numpy)
        for name in graph.inputs
    }


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F32])
@pytest.mark.parametrize("width", [4, 6, 64, 80, 96, 128, 200, 256])
def test_a_rotation_is_one_strip_of_any_width(width: int, dtype: DType) -> None:
    graph = rotary(3, 33, width, dtype)
    found = map_graph(graph, TX81).pieces
    assert [type(p) for p in found if not isinstance(p, CopyPiece)] == [StripPiece]
    (strip,) = (p for p in found if isinstance(p, StripPiece))
    assert [step.op for step in strip.body.steps].count("turn") == 1
    judged = nodewise.judge(graph, drawn(graph))
    assert [j.text() for j in judged if j.broken] == []


def test_slices_that_are_no_halves_stay_moves() -> None:
    builder = GraphBuilder("thirds")
    x = builder.input("x", TensorType(DType.F16, (1, 2, 5, 12)))
    ends = ((4, 12), (0, 4))
    parts = [
        builder.add("Slice", [x], {"starts": (a,), "ends": (b,), "axes": (3,)}) for a, b in ends
    ]
    graph = builder.finish([builder.add("Concat", parts, {"axis": 3})])
    assert {type(p) for p in map_graph(graph, TX81).pieces} == {CopyPiece}
    assert [j.text() for j in nodewise.judge(graph, drawn(graph)) if j.broken] == []


def attended(width: int) -> Graph:
    """Projections of tokens, their heads turned out, attention, and the heads turned back in."""
    heads, tokens = 4, 70
    builder = GraphBuilder("block")
    x = builder.input("x", TensorType(DType.BF16, (1, tokens, 64)))
    parts: list[str] = []
    for name in "qkv":
        weight = (RNG.normal(size=(64, heads * width)) / 8).astype(DType.BF16.numpy)
        y = builder.add("MatMul", [x, builder.constant(f"w{name}", weight)])
        y = builder.add("Reshape", [y], {"shape": (1, tokens, heads, width)})
        parts.append(builder.add("Transpose", [y], {"perm": (0, 2, 1, 3)}))
    mixed = builder.add("Attention", parts, {"is_causal": 1})
    mixed = builder.add("Transpose", [mixed], {"perm": (0, 2, 1, 3)})
    mixed = builder.add("Reshape", [mixed], {"shape": (1, tokens, heads * width)})
    out = (RNG.normal(size=(heads * width, 64)) / 8).astype(DType.BF16.numpy)
    return builder.finish([builder.add("MatMul", [mixed, builder.constant("wo", out)])])


def kinds(found: tuple[Piece, ...]) -> list[type[Piece]]:
    return [type(p) for p in found]


def test_heads_of_whole_blocks_are_read_where_the_products_left_them() -> None:
    found = map_graph(attended(64), TX81).pieces
    assert kinds(found) == [MatrixPiece] * 3 + [FlashPiece, MatrixPiece]


def test_heads_of_parts_of_blocks_are_moved_once() -> None:
    found = map_graph(attended(32), TX81).pieces
    assert kinds(found).count(CopyPiece) == 4
    assert kinds(found).count(FlashPiece) == 1


@pytest.mark.parametrize("width", [32, 64])
def test_a_block_computes_what_its_graph_computes(width: int) -> None:
    graph = attended(width)
    given = drawn(graph)
    # With every value stored, and as it is: results within a few roundings of each other.
    assert [j.text() for j in nodewise.judge(graph, given) if j.broken] == []
    (name,) = graph.outputs
    plain = nodewise.run(graph, given)[name].astype(np.float64)
    stored = nodewise.run(nodewise.laid_open(graph), given)[name].astype(np.float64)
    np.testing.assert_array_equal(plain, stored)
