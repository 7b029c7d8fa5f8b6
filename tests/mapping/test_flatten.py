"""Few rows in many entries: a weight is moved once for all of them."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.flow import compile as compile_model
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.rewrite.flatten import flatten

RNG = np.random.default_rng(2)


def layer(batch: int, rows: int, channels: int = 256) -> Graph:
    """A norm, a product, an activation, a residual: what stands between attentions."""
    builder = GraphBuilder("layer")
    x = builder.input("x", TensorType(DType.F16, (batch, rows, channels)))
    gain = builder.constant("gain", RNG.normal(size=channels).astype(np.float16))
    made = RNG.normal(size=(channels, channels)).astype(np.float16) / 16
    w = builder.constant("w", made)
    bias = builder.constant("bias", RNG.normal(size=channels).astype(np.float16))
    y = builder.add("RMSNormalization", (x, gain), {"axis": -1})
    y = builder.add("Add", (builder.add("MatMul", (y, w)), bias))
    y = builder.add("Add", (x, builder.add("Silu", (y,))))
    return builder.finish([builder.add("Softmax", (y,), {"axis": 2}, output="y")])


@pytest.mark.parametrize("shape", [(8, 1), (3, 5), (20, 1), (1, 7), (4, 64)])
def test_the_values_stay_the_same(shape: tuple[int, int]) -> None:
    graph = layer(*shape)
    given = {"x": RNG.normal(size=graph.types["x"].shape).astype(np.float16)}
    wanted = evaluate(graph, given)["y"]
    assert np.array_equal(evaluate(flatten(graph), given)["y"], wanted)
    made = compile_model(graph).run(given)["y"]
    np.testing.assert_allclose(made, wanted, rtol=0.02, atol=1e-3)


def test_a_weight_is_read_once_for_a_batch() -> None:
    read = {batch: compile_model(layer(batch, 1, 1024)).time().dram_bytes[0] for batch in (1, 12)}
    weight = 1024 * 1024 * 2
    assert weight < read[1] < read[12] < 1.2 * weight


def test_entries_with_rows_enough_are_left_alone() -> None:
    graph = layer(4, 64)
    assert flatten(graph) is graph


def test_what_is_not_row_by_row_keeps_its_shape() -> None:
    builder = GraphBuilder("turned")
    x = builder.input("x", TensorType(DType.F16, (4, 1, 64)))
    w = builder.constant("w", RNG.normal(size=(64, 64)).astype(np.float16))
    y = builder.add("MatMul", (x, w))
    turned = builder.add("Transpose", (y,), {"perm": (1, 0, 2)})
    graph = builder.finish([builder.add("ReduceSum", (turned,), {"axes": (1,)}, output="y"), y])
    given = {"x": RNG.normal(size=(4, 1, 64)).astype(np.float16)}
    flat = flatten(graph)
    assert flat is not graph
    for name, value in evaluate(graph, given).items():
        assert np.array_equal(evaluate(flat, given)[name], value)
