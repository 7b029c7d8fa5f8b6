"""Convolutions of patches are products; what is computed for a channel is loaded once for all rows."""

from __future__ import annotations

import numpy as np
from tests.mapping.test_values import check as check_values

from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.pieces import CopyPiece, MatrixPiece, StripPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Read
from drawloom.program.extents import moved_bytes
from drawloom.program.roll import unroll

TX81 = load_chip("tx81")
F16 = DType.F16


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def patched(stride: int) -> Graph:
    builder = GraphBuilder("patched")
    x = builder.input("x", TensorType(F16, (2, 3, 24, 16)))
    w = builder.constant("w", draw(1, 20, 3, 8, 8) / np.float16(14))
    bias = builder.constant("b", draw(2, 20))
    return builder.finish([builder.add("Conv", (x, w, bias), {"strides": (stride, stride)})])


def test_windows_side_by_side_are_rows_of_a_product() -> None:
    graph = patched(8)
    (piece,) = (p for p in map_graph(graph, TX81).pieces if isinstance(p, MatrixPiece))
    assert (piece.m, piece.k, piece.n, piece.window) == (12, 192, 20, None)
    check_values(graph, {"x": draw(3, 2, 3, 24, 16)})


def test_windows_that_overlap_stay_a_convolution() -> None:
    pieces = map_graph(patched(4), TX81).pieces
    assert any(isinstance(p, MatrixPiece) and p.window for p in pieces)


def modulated() -> Graph:
    """A norm whose scale and shift are computed from one row, with a product behind it."""
    builder = GraphBuilder("modulated")
    x = builder.input("x", TensorType(F16, (1, 40, 70)))
    c = builder.input("c", TensorType(F16, (1, 1, 70)))
    one = builder.constant("one", np.float16(1))
    bent = builder.add("Tanh", (c,))
    y = builder.add("LayerNormalization", (x, builder.constant("s", draw(4, 70))), {"axis": -1})
    scale = builder.add("Add", (bent, one))
    y = builder.add("Add", (builder.add("Mul", (y, scale)), c))
    w = builder.constant("w", draw(5, 70, 50) / np.float16(8))
    return builder.finish([builder.add("Mul", (builder.add("MatMul", (y, w)), one))])


def test_computed_channels_join_the_rows_they_scale() -> None:
    graph = modulated()
    pieces = map_graph(graph, TX81).pieces
    assert not any(isinstance(p, CopyPiece) for p in pieces)
    strips = [p for p in pieces if isinstance(p, StripPiece) and p.rows == 40]
    assert len(strips) == 1
    check_values(graph, {"x": draw(6, 1, 40, 70), "c": draw(7, 1, 1, 70)}, slack=8.0)


def test_rows_that_all_matrices_share_are_loaded_once() -> None:
    builder = GraphBuilder("shared")
    x = builder.input("x", TensorType(F16, (1, 3, 300, 64)))
    a = builder.input("a", TensorType(F16, (1, 1, 300, 64)))
    y = builder.add("Mul", (builder.add("Add", (x, a)), a))
    graph = builder.finish([builder.add("Relu", (y,))])
    program = assemble(map_graph(graph, TX81))
    reads = [c for s in program.streams for c in unroll(s) if isinstance(c, Read)]
    read = sum(moved_bytes(c.inner, c.dims) for c in reads)
    assert read == (3 + 1) * 300 * 64 * 2
    check_values(graph, {"x": draw(8, 1, 3, 300, 64), "a": draw(9, 1, 1, 300, 64)})
