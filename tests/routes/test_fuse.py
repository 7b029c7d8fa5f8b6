"""Which nodes one kernel does together, and its traffic."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.build import GraphBuilder, live_nodes
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.ops import OPS
from drawloom.graph.tensor import TensorType
from drawloom.routes.fuse import Kernel, fuse
from drawloom.routes.walk import Fusion
from drawloom.routes.work import PASSES, Attended, Products

F16 = DType.F16


def kind(*shape: int) -> TensorType:
    return TensorType(F16, shape)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float16)


def graph_of(builder: GraphBuilder, *outputs: str) -> Graph:
    return builder.finish(outputs)


def layer(name: str = "llama-3-8b", **request: int) -> tuple[Graph, list[Kernel]]:
    """Return a model and the kernels of its second layer."""
    phase = "decode" if "context" in request else "prefill"
    asked = Request(phase, request.get("batch", 1), request.get("context"), request.get("tokens"))
    graph = model_graph(read_config(name), asked)
    return graph, [each for each in fuse(graph) if ".layers.1." in f"{each.layer}."]


def test_a_llama_layer_is_the_kernels_that_serving_software_has() -> None:
    graph, kernels = layer(context=1024, batch=8)
    ops = {node.name: node.op for node in graph.nodes}
    found = [(each.kind, len(each.nodes)) for each in kernels]
    assert found == [
        ("rows", 1),
        ("product", 3),  # queries, keys, values
        ("pointwise", 14),  # the rotation of both, and the new entries of the cache
        ("attention", 1),
        ("product", 2),  # with the residual
        ("rows", 1),
        ("product", 2),  # gate and up
        ("pointwise", 2),
        ("product", 2),
    ]
    assert [ops[name] for name in kernels[7].nodes] == ["Silu", "Mul"]
    merged = kernels[1].work
    assert isinstance(merged, Products)
    assert (merged.batch, merged.m, merged.n, merged.k) == (1, 8, 6144, 4096)


def test_kernels_do_each_live_node_once_and_in_order() -> None:
    for name, request in (
        ("llama-3-8b", Request("prefill", tokens=64)),
        ("mixtral-8x7b", Request("decode", batch=2, context=64)),
        ("deepseek-v3", Request("decode", context=64)),
        ("sd-1.5-unet", Request("forward", tokens=77)),
        ("vit-b-16", Request("forward")),
    ):
        graph = model_graph(read_config(name), request)
        kernels = fuse(graph)
        done = [node for each in kernels for node in each.nodes]
        assert len(done) == len(set(done))
        assert set(done) <= {node.name for node in live_nodes(graph.nodes, graph.outputs)}
        made = set(graph.inputs)
        for each in kernels:
            assert set(each.reads) <= made, each.name
            made |= set(each.writes)
        assert set(graph.outputs) <= made | set(graph.constants) | _views(graph)


def _views(graph: Graph) -> set[str]:
    return {node.outputs[0] for node in graph.nodes if node.op in ("Reshape", "Transpose", "Slice")}


def test_all_multiply_adds_are_there() -> None:
    _, kernels = layer(tokens=128)
    width, inner, kv, tokens = 4096, 14336, 1024, 128
    pairs = 32 * tokens * (tokens + 1) // 2
    products = width * (2 * width + 2 * kv + 3 * inner) * tokens
    assert sum(each.macs for each in kernels) == products + pairs * 256


def test_weights_are_read_once_a_layer() -> None:
    _, kernels = layer(context=64)
    width, inner, kv = 4096, 14336, 1024
    weights = width * (2 * width + 2 * kv + 3 * inner) + 2 * width
    assert sum(each.constant_bytes for each in kernels) == 2 * weights


def test_picked_experts_are_read_where_they_lie() -> None:
    _, kernels = layer("mixtral-8x7b", context=64, batch=4)
    experts = [each for each in kernels if each.layer.endswith("experts")]
    products = [each.work for each in experts if isinstance(each.work, Products)]
    sizes = [each for each in products if each.has_weights]
    assert [(each.batch, each.m, each.n, each.k) for each in sizes] == [
        (8, 1, 14336, 4096),
        (8, 1, 14336, 4096),
        (8, 1, 4096, 14336),
    ]
    assert sum(each.constant_bytes for each in experts) == 8 * 3 * 14336 * 4096 * 2


def convolved() -> Graph:
    builder = GraphBuilder("conv")
    x = builder.input("x", kind(1, 8, 16, 16))
    w, b = builder.constant("w", zeros(4, 8, 3, 3)), builder.constant("b", zeros(4))
    y = builder.add("Conv", (x, w, b), {"pads": (1, 1, 1, 1)})
    return graph_of(builder, builder.add("Add", (builder.add("Relu", (y,)), y)))


def test_a_product_takes_what_is_behind_it() -> None:
    (kernel,) = fuse(convolved())
    assert kernel.work == Products(1, 256, 4, 72, "f16", 4096, 576, 2048, True, "x", "w")
    assert kernel.elements == 2 * 1024
    assert (kernel.read_bytes, kernel.constant_bytes) == (4096 + 576 + 8, 576 + 8)
    assert kernel.written_bytes == 2048


def test_without_epilogues_each_is_a_kernel() -> None:
    product, beside = fuse(convolved(), Fusion(epilogues=False))
    assert (product.elements, product.written_bytes) == (0, 2048)
    assert (beside.kind, beside.elements, beside.read_bytes) == ("pointwise", 2048, 2048)


@pytest.mark.parametrize("has_flash", [True, False])
def test_attention_written_out_is_one_kernel(has_flash: bool) -> None:
    builder = GraphBuilder("attention")
    q, k, v = (builder.input(name, kind(2, 4, 32, 16)) for name in "qkv")
    turned = builder.add("Transpose", (k,), {"perm": (0, 1, 3, 2)})
    scores = builder.add("MatMul", (q, turned))
    scaled = builder.add("Mul", (scores, builder.constant("scale", zeros())))
    out = builder.add("MatMul", (builder.add("Softmax", (scaled,)), v))
    kernels = fuse(graph_of(builder, out), Fusion(has_flash=has_flash))
    scores_bytes, each_bytes = 8 * 32 * 32 * 2, 8 * 32 * 16 * 2
    if has_flash:
        (one,) = kernels
        assert isinstance(one.work, Attended)
        assert (one.work.heads, one.work.queries, one.work.keys) == (8, 32, 32)
        assert (one.read_bytes, one.written_bytes) == (3 * each_bytes + 2, each_bytes)
    else:
        assert [each.kind for each in kernels] == ["product", "rows", "product"]
        assert sum(each.written_bytes for each in kernels) == 2 * scores_bytes + each_bytes


def test_scores_that_are_an_output_are_stored() -> None:
    builder = GraphBuilder("attention")
    q, k, v = (builder.input(name, kind(1, 4, 8, 8)) for name in "qkv")
    scores = builder.add("MatMul", (q, k))
    out = builder.add("MatMul", (builder.add("Softmax", (scores,)), v))
    assert [each.kind for each in fuse(graph_of(builder, out, scores))] == [
        "product",
        "rows",
        "product",
    ]


def test_only_what_is_touched_counts() -> None:
    builder = GraphBuilder("cache")
    past = builder.input("past", kind(1, 2, 64, 8))
    new, at = (
        builder.input("new", kind(1, 2, 1, 8)),
        builder.input("at", TensorType(DType.I32, (1,))),
    )
    table, ids = (
        builder.constant("table", zeros(1000, 16)),
        builder.input("ids", TensorType(DType.I32, (3,))),
    )
    cache = builder.add("TensorScatter", (past, new, at), {"axis": 2})
    rows = builder.add("Gather", (table, ids))
    written, looked_up = fuse(graph_of(builder, cache, rows))
    assert (written.read_bytes, written.written_bytes) == (32 + 4, 32)
    assert (looked_up.read_bytes, looked_up.written_bytes) == (96 + 12, 96)


def test_every_operator_that_passes_over_rows_is_one() -> None:
    assert set(PASSES) <= set(OPS)
