from __future__ import annotations

import numpy as np
import pytest
from tests.report import hand

from drawloom.bound import bound, layer_bounds
from drawloom.bound.work import node_functions, node_macs
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Attr, Graph, TensorType
from drawloom.report.bounds import program_bound

TX81 = load_chip("tx81")
F16, F32, I8, I64 = DType.F16, DType.F32, DType.I8, DType.I64


def gemm(m: int, k: int, n: int, dtype: DType = F16) -> Graph:
    builder = GraphBuilder("gemm")
    a = builder.input("a", TensorType(dtype, (m, k)))
    b = builder.constant("b", np.zeros((k, n), dtype.numpy))
    return builder.finish([builder.add("MatMul", [a, b])])


def pairs(shapes: list[tuple[int, ...]], attrs: dict[str, Attr]) -> int:
    builder = GraphBuilder("attention")
    names = [builder.input(f"x{i}", TensorType(F16, s)) for i, s in enumerate(shapes)]
    graph = builder.finish([builder.add("Attention", names, attrs)])
    return node_functions(graph.nodes[0], graph.types)


def one(op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Attr] | None = None) -> int:
    builder = GraphBuilder(op)
    names = [builder.input(f"x{i}", TensorType(F16, s)) for i, s in enumerate(shapes)]
    graph = builder.finish([builder.add(op, names, attrs)])
    return node_macs(graph.nodes[0], graph.types)[1]


def test_the_bound_of_a_flat_gemm_is_the_time_of_its_bytes() -> None:
    least = bound(gemm(4096, 128, 4096), TX81)
    assert least.limit == "dram"
    assert least.ps == least.fixed_ps + least.write_ps
    assert least.write_ps == 2 * 4096 * 4096 * 10**12 // TX81.dram.write


def test_the_bound_of_a_deep_gemm_is_the_matrix_time_at_peak() -> None:
    least = bound(gemm(4096, 4096, 4096), TX81)
    assert least.limit == "matrix"
    assert least.ps == least.fixed_ps + 4096**3 // (4096 * 16) * TX81.period
    assert least.operations == 2 * 4096**3


def test_reads_and_writes_share_what_both_reach_at_once() -> None:
    least = bound(gemm(1024, 512, 1024), TX81)
    assert least.both_ps == least.bytes * 10**12 // TX81.dram.combined


def test_a_softmax_needs_a_function_of_each_element() -> None:
    builder = GraphBuilder("softmax")
    x = builder.input("x", TensorType(F16, (64, 4096)))
    graph = builder.finish([builder.add("Softmax", [x], {"axis": -1})])
    least = bound(graph, TX81)
    assert least.functions == 64 * 4096
    # 64 lanes, four passes for an exponential, and what a processor does in four cycles.
    assert least.vector_ps == 64 * 4096 * TX81.period * 100 // (1625 * 16)


def test_what_is_done_twice_or_for_nobody_counts_once_or_never() -> None:
    builder = GraphBuilder("twice")
    a = builder.input("a", TensorType(F16, (64, 64)))
    b = builder.constant("b", np.zeros((64, 64), np.float16))
    first, second = builder.add("MatMul", [a, b]), builder.add("MatMul", [a, b])
    builder.add("Exp", [first])
    graph = builder.finish([builder.add("Add", [first, second])])
    least = bound(graph, TX81)
    assert (dict(least.macs), least.functions) == ({"f16": 64**3}, 0)


def test_what_is_known_beforehand_costs_the_reading_of_its_result() -> None:
    builder = GraphBuilder("known")
    x = builder.input("x", TensorType(F16, (8,)))
    c = builder.constant("c", np.ones((64, 8), np.float16))
    total = builder.add("ReduceSum", [builder.add("Exp", [c])], {"axes": (0,), "keepdims": 0})
    graph = builder.finish([builder.add("Mul", [x, total])])
    least = bound(graph, TX81)
    assert (least.functions, least.read_bytes) == (0, 16 + 16)


def test_layers_have_bounds_of_their_own() -> None:
    builder = GraphBuilder("layers")
    x = builder.input("x", TensorType(F16, (64, 64)))
    w = [builder.constant(f"w{i}", np.zeros((64, 64), np.float16)) for i in range(2)]
    h = builder.add("MatMul", [x, w[0]], layer="up")
    graph = builder.finish([builder.add("MatMul", [h, w[1]], layer="down")])
    made = layer_bounds(graph, TX81, {"up": "up", "down": "down"})
    assert {n: (b.read_bytes, b.write_bytes) for n, b in made.items()} == {
        "up": (2 * 8192, 0),
        "down": (8192, 8192),
    }


def test_each_format_goes_by_its_own_rate() -> None:
    assert bound(gemm(64, 64, 64, F32), TX81).macs == {"tf32": 64**3}
    slow, quick = (bound(gemm(512, 512, 512, d), TX81).matrix_ps for d in (F32, F16))
    assert slow == pytest.approx(quick * 4096 / 682, rel=0.01)


def test_convolutions_count_their_kernel_and_group() -> None:
    image, weights = (2, 8, 10, 12), (16, 4, 3, 3)
    assert one("Conv", [image, weights], {"group": 2}) == 2 * 16 * 8 * 10 * 4 * 9
    assert one("ConvTranspose", [image, (8, 5, 3, 3)]) == 2 * 8 * 10 * 12 * 5 * 9


def test_products_count_the_inner_dimension_as_it_is_turned() -> None:
    assert one("MatMul", [(3, 5, 7), (3, 7, 11)]) == 3 * 5 * 7 * 11
    assert one("MatMul", [(7, 5), (11, 7)], {"trans_a": 1, "trans_b": 1}) == 5 * 7 * 11


def test_attention_counts_the_pairs_that_may_meet() -> None:
    shapes: list[tuple[int, ...]] = [(1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 6)]
    assert one("Attention", shapes) == 2 * 16 * (8 + 6)
    assert one("Attention", shapes, {"is_causal": 1}) == 2 * 10 * (8 + 6)
    assert pairs(shapes, {"is_causal": 1}) == 2 * 10
    assert one("Attention", shapes, {"left_window": 0, "right_window": 0}) == 2 * 4 * (8 + 6)


def test_a_table_that_is_only_looked_up_counts_the_rows_that_are_read() -> None:
    builder = GraphBuilder("lookup")
    index = builder.input("index", TensorType(I64, (3,)))
    table = builder.constant("table", np.zeros((1000, 8), np.float16))
    graph = builder.finish([builder.add("Gather", [table, index])])
    least = bound(graph, TX81)
    assert least.read_bytes == 3 * 8 * 2 + 3 * 8
    assert least.write_bytes == 3 * 8 * 2
    assert least.matrix_ps == 0


def test_a_program_counts_loops_as_often_as_they_run() -> None:
    least = program_bound(hand.program(rounds=5), TX81)
    assert least.macs == {"f16": 16 * 5 * 128 * 256 * 128}
    assert (least.read_bytes, least.write_bytes) == (65536, 16 * 32768)
