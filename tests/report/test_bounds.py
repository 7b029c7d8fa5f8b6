from __future__ import annotations

import numpy as np
import pytest
from tests.report import hand

from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Attr, Graph, TensorType
from drawloom.report.bounds import floor, node_macs, program_floor

TX81 = load_chip("tx81")
F16, F32, I8, I64 = DType.F16, DType.F32, DType.I8, DType.I64


def gemm(m: int, k: int, n: int, dtype: DType = F16) -> Graph:
    builder = GraphBuilder("gemm")
    a = builder.input("a", TensorType(dtype, (m, k)))
    b = builder.constant("b", np.zeros((k, n), dtype.numpy))
    return builder.finish([builder.add("MatMul", [a, b])])


def one(op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Attr] | None = None) -> int:
    builder = GraphBuilder(op)
    names = [builder.input(f"x{i}", TensorType(F16, s)) for i, s in enumerate(shapes)]
    graph = builder.finish([builder.add(op, names, attrs)])
    return node_macs(graph.nodes[0], graph.types)[1]


@pytest.mark.parametrize(
    ("m", "k", "n", "wanted_ms"), [(4096, 1024, 4096, 0.310), (2048, 2048, 2048, 0.158)]
)
def test_the_floor_of_a_gemm_is_its_dram_time_where_that_is_longer(
    m: int, k: int, n: int, wanted_ms: float
) -> None:
    bound = floor(gemm(m, k, n), TX81)
    assert bound.limit == "dram"
    assert bound.ps == bound.read_ps + bound.write_ps
    assert bound.ps / 1e9 == pytest.approx(wanted_ms, abs=0.0005)


def test_the_floor_of_a_deep_gemm_is_the_matrix_time_at_peak() -> None:
    bound = floor(gemm(4096, 4096, 4096), TX81)
    assert bound.limit == "matrix"
    assert bound.ps == 4096**3 // (4096 * 16) * TX81.period
    assert bound.operations == 2 * 4096**3


def test_reads_and_writes_that_overlap_can_go_below_the_floor_but_not_below_the_overlapped() -> (
    None
):
    bound = floor(gemm(4096, 1024, 4096), TX81)
    assert bound.matrix_ps == bound.overlapped_ps < bound.ps
    assert bound.overlapped_dram_ps == bound.bytes * 10**12 // TX81.dram.combined


def test_each_format_goes_by_its_own_rate() -> None:
    assert floor(gemm(64, 64, 64, F32), TX81).macs == {"tf32": 64**3}
    slow, quick = (floor(gemm(512, 512, 512, d), TX81).matrix_ps for d in (F32, F16))
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
    assert one("Attention", shapes, {"left_window": 0, "right_window": 0}) == 2 * 4 * (8 + 6)


def test_a_table_that_is_only_looked_up_counts_the_rows_that_are_read() -> None:
    builder = GraphBuilder("lookup")
    index = builder.input("index", TensorType(I64, (3,)))
    table = builder.constant("table", np.zeros((1000, 8), np.float16))
    graph = builder.finish([builder.add("Gather", [table, index])])
    bound = floor(graph, TX81)
    assert bound.read_bytes == 3 * 8 * 2 + 3 * 8
    assert bound.write_bytes == 3 * 8 * 2
    assert bound.matrix_ps == 0


def test_a_program_counts_loops_as_often_as_they_run() -> None:
    bound = program_floor(hand.program(rounds=5), TX81)
    assert bound.macs == {"f16": 16 * 5 * 128 * 256 * 128}
    assert (bound.read_bytes, bound.write_bytes) == (65536, 16 * 32768)
