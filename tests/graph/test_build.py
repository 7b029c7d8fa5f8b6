"""Making graphs, and making them again with changes."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.errors import InputError
from drawloom.graph.build import GraphBuilder, rebuild
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, Node, TensorType

X = TensorType(DType.F32, (2, 3))


def two_branches() -> Graph:
    builder = GraphBuilder("two")
    x = builder.input("x", X)
    one = builder.constant("c", np.float32(1))
    two = builder.constant("c", np.float32(2))
    a = builder.add("Add", [x, one], layer="first")
    b = builder.add("Mul", [a, two], name="mul", output="out")
    builder.add("Relu", [a], name="unused")
    return builder.finish([b])


def test_names_are_made_unique() -> None:
    graph = two_branches()
    assert list(graph.constants) == ["c", "c_1"]
    assert [n.name for n in graph.nodes] == ["add", "mul", "unused"]
    assert graph.outputs == ("out",)
    assert graph.types["out"] == X


def test_several_outputs_get_several_names() -> None:
    builder = GraphBuilder("top")
    x = builder.input("x", X)
    made = builder.add_many("TopK", [x], {"k": 2}, outputs=("values", ""))
    assert made == ("values", "topk")
    assert builder.types["topk"] == TensorType(DType.I64, (2, 2))


def test_an_output_that_is_no_value_is_named() -> None:
    builder = GraphBuilder("g")
    builder.input("x", X)
    with pytest.raises(InputError) as error:
        builder.finish(["y", "x"])
    assert error.value.text() == (
        "error[graph.outputs]: graph 'g' has no such value\n  outputs[0]: 'y' (one of x)"
    )


def test_rebuild_replaces_and_prunes() -> None:
    graph = two_branches()

    def double_by_adding(builder: GraphBuilder, node: Node, inputs: list[str]) -> list[str] | None:
        if node.op != "Mul":
            return None
        return [builder.add("Add", [inputs[0], inputs[0]], layer=node.layer)]

    again = rebuild(graph, double_by_adding)  # pyright: ignore[reportArgumentType]
    assert [n.op for n in again.nodes] == ["Add", "Add"]
    assert list(again.constants) == ["c"]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(
        evaluate(again, {"x": x})[again.outputs[0]], evaluate(graph, {"x": x})["out"]
    )
