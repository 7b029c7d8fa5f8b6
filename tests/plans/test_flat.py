"""Products at the end of a stretch give what they gave, in the shape in which they are made."""

from __future__ import annotations

import numpy as np

from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph
from drawloom.graph.tensor import TensorType
from drawloom.plans.flat import flat

RNG = np.random.default_rng(7)
X = RNG.standard_normal((8, 1, 64)).astype(np.float16)


def weight(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float16)


def heads() -> Graph:
    """Return three products of one normed operand, the last of which goes on inside."""
    b = GraphBuilder("heads")
    x = b.input("x", TensorType(DType.F16, (8, 1, 64)))
    normed = b.add("Softmax", (x,), {"axis": -1})
    q, k = (
        b.add("MatMul", (normed, b.constant(f"w{name}", weight(64, n))), name=name, output=name)
        for name, n in (("q", 32), ("k", 8))
    )
    inside = b.add("MatMul", (normed, b.constant("wi", weight(64, 16))), name="i", output="i")
    return b.finish([q, k, b.add("Relu", (inside,), name="r", output="r")])


def test_products_that_leave_are_one_on_rows_and_give_the_same_values() -> None:
    graph = heads()
    made = flat(graph, ("x", "r"))
    assert [node.op for node in made.nodes].count("MatMul") == 2  # q and k together, and i
    assert [made.types[v].shape for v in made.outputs] == [(8, 32), (8, 8), (8, 1, 16)]
    before, after = (evaluate(each, {"x": X}) for each in (graph, made))
    for value in graph.outputs:
        assert np.array_equal(before[value].reshape(-1), after[value].reshape(-1)), value


def test_what_is_seen_of_the_whole_keeps_its_shape() -> None:
    graph = heads()
    assert flat(graph, ("x", *graph.outputs)) is graph
