"""A graph on a chip of systolic arrays: bounds, the SRAM, what binds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.chip.systolic import Systolic, load_systolic
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.routes.spans import RouteTrace
from drawloom.routes.systolic.array import Array, Product
from drawloom.routes.systolic.memory import tiling
from drawloom.routes.systolic.run import run_systolic
from drawloom.routes.work import Products

V4 = load_systolic("tpu_v4")
LLAMA = read_config("llama-3-8b")
F16 = DType.F16
REQUESTS = [
    Request("decode", batch=8, context=1024),
    Request("decode", batch=256, context=512),
    Request("prefill", tokens=2048),
]


@pytest.fixture(scope="module", params=range(len(REQUESTS)))
def graph(request: pytest.FixtureRequest) -> Graph:
    return model_graph(LLAMA, REQUESTS[request.param])


def weights(graph: Graph) -> int:
    """Return the bytes of a graph's constants, but for those of which rows are picked."""
    looked_up = {node.inputs[0] for node in graph.nodes if node.op == "Gather"}
    return sum(graph.types[name].bytes for name in graph.constants if name not in looked_up)


def test_no_graph_outruns_the_cells_or_the_dram(graph: Graph) -> None:
    trace = run_systolic(graph, V4)
    assert trace.seconds > trace.macs / V4.peak("bf16")
    assert trace.seconds > weights(graph) / V4.dram_rate
    for span in trace.spans:
        assert span.seconds >= max(span.parts.values())
        assert span.parts[span.binds] == max(span.parts.values())


def test_one_token_is_bound_by_dram_and_a_prompt_by_arrays() -> None:
    token, prompt = (run_systolic(model_graph(LLAMA, each), V4) for each in REQUESTS[::2])
    assert next(iter(token.bound_by())) == "DRAM"
    assert next(iter(prompt.bound_by())) == "arrays"
    assert prompt.macs / prompt.seconds > 0.85 * V4.peak("bf16")


@pytest.mark.parametrize(
    "change",
    [
        {"dram_rate": V4.dram_rate / 2},
        {"clock": V4.clock / 2},
        {"is_overlapped": False},
        {"arrays": V4.arrays // 2},
        {"sram": V4.sram // 64},
        {"vector_lanes": V4.vector_lanes / 8},
        {"has_drain": True},
    ],
)
def test_a_chip_with_less_is_no_faster(graph: Graph, change: dict[str, float]) -> None:
    for dataflow in ("weight", "output", "any"):
        chip = replace(V4, dataflow=dataflow)
        assert (
            run_systolic(graph, replace(chip, **change)).seconds
            >= run_systolic(graph, chip).seconds
        )


def test_where_the_sram_shrinks_nothing_gets_faster() -> None:
    graph = model_graph(LLAMA, Request("prefill", tokens=1024))
    sizes = [2**at for at in range(18, 30)]
    times = [run_systolic(graph, replace(V4, sram=size)).seconds for size in sizes]
    assert times == sorted(times, reverse=True)
    assert times[0] > 1.2 * times[-1]


def chain(rows: int) -> Graph:
    builder = GraphBuilder("chain")
    x = builder.input("x", TensorType(F16, (rows, 512)))
    for name in ("a", "b", "c"):
        x = builder.add("MatMul", (x, builder.constant(name, np.zeros((512, 512), np.float16))))
        x = builder.add("Softmax", (x,))
    return builder.finish((x,))


def dram_seconds(trace: RouteTrace) -> float:
    return sum(each.parts["DRAM"] for each in trace.spans)


def test_results_stay_in_the_sram_where_they_fit() -> None:
    graph, each = chain(4096), 4096 * 512 * 2
    matrices = 3 * 512 * 512 * 2
    held = run_systolic(graph, V4)
    assert dram_seconds(held) * V4.dram_rate == pytest.approx(2 * each + matrices)
    spilt = run_systolic(graph, replace(V4, sram=2**22))
    assert dram_seconds(spilt) * V4.dram_rate == pytest.approx(12 * each + matrices, rel=0.01)


def test_tiles_have_the_least_traffic_that_fits() -> None:
    work = Products(1, 4096, 4096, 4096, "bf16", 2**25, 2**25, 2**25, True)
    whole = tiling(work, 2**28, 128, 128)
    assert (whole.count, whole.left_bytes, whole.right_bytes) == (1, 2**25, 2**25)
    traffic = [
        cut.left_bytes + cut.right_bytes
        for cut in (tiling(work, 2**at, 128, 128) for at in range(20, 29))
    ]
    assert traffic == sorted(traffic, reverse=True)
    # Square tiles of sums as large as the room: each side read once a row of tiles.
    room = 2**22
    ideal = 2 * 2**25 * 4096 / (room / 4) ** 0.5
    cut = tiling(work, room, 128, 128)
    assert ideal <= cut.left_bytes + cut.right_bytes < 1.5 * ideal


def test_several_arrays_share_folds_then_streams() -> None:
    array, product = Array(128, 128, is_overlapped=True), Product(2048, 512, 512)
    alone = array.shared_cycles(product, "weight")
    assert alone == array.cycles(product, "weight") == 128 + 16 * 2048 + 254
    assert array.shared_cycles(product, "weight", arrays=8) == 128 + 2 * 2048 + 254
    assert array.shared_cycles(product, "weight", batch=3, arrays=8) == 128 + 6 * 2048 + 254
    assert array.shared_cycles(product, "weight", arrays=64) == 128 + 2048 // 4 + 254


def test_eight_bits_run_at_twice_the_rate_where_the_cells_do() -> None:
    def product(dtype: DType, chip: Systolic) -> float:
        builder = GraphBuilder("product")
        a = builder.input("a", TensorType(dtype, (8192, 1024)))
        b = builder.constant("b", np.zeros((1024, 1024), dtype.numpy))
        op = "MatMulInteger" if dtype is DType.I8 else "MatMul"
        trace = run_systolic(builder.finish((builder.add(op, (a, b)),)), chip)
        return trace.spans[0].parts["arrays"]

    v5e = load_systolic("tpu_v5e")
    assert product(DType.I8, v5e) == pytest.approx(product(F16, v5e) / 2, rel=0.05)
    assert product(DType.I8, V4) == product(F16, V4)


def test_the_text_names_layers_and_what_binds() -> None:
    text = run_systolic(chain(64), V4).text().splitlines()
    assert text[0].startswith("chain on tpu_v4: ")
    assert len(text) == 7
    assert "product   arrays        matmul (1 nodes)" in text[1]
