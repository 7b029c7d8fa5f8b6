"""Constants that are read late, or never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawloom.errors import InputError
from drawloom.flow import compile as compile_model
from drawloom.frontends.rewrite import simplify
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.files import read_graph, write_graph
from drawloom.graph.ir import Graph, TensorType
from drawloom.graph.lazy import Constants, Held, LazyTensor, derive, values
from drawloom.graph.text import parse

KIND = TensorType(DType.F32, (8, 16))
WEIGHT = np.arange(128, dtype=np.float32).reshape(8, 16) / 128


class Counted:
    """A weight that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> np.ndarray:
        self.reads += 1
        return WEIGHT


def product(weight: Held) -> Graph:
    builder = GraphBuilder("product")
    x = builder.input("x", TensorType(DType.F32, (4, 8)))
    w = builder.constant("w", weight)
    y = builder.add("MatMul", (x, w), output="y")
    return builder.finish([y])


def test_a_lazy_tensor_is_read_each_time_it_is_asked_for() -> None:
    counted = Counted()
    lazy = LazyTensor(KIND, "w", counted)
    table = Constants({"w": lazy})
    assert counted.reads == 0
    assert np.array_equal(table["w"], WEIGHT)
    assert np.array_equal(table["w"], WEIGHT)
    assert counted.reads == 2


def test_what_is_derived_is_lazy_and_of_the_stated_type() -> None:
    counted = Counted()
    half = derive(
        LazyTensor(KIND, "w", counted),
        lambda a: a.astype(np.float16),
        TensorType(DType.F16, KIND.shape),
    )
    assert isinstance(half, LazyTensor)
    assert half.dtype == np.float16
    assert counted.reads == 0
    assert np.array_equal(values(half.reshape((128,))), WEIGHT.astype(np.float16).reshape(-1))
    assert counted.reads == 1


def test_a_tensor_without_values_says_so() -> None:
    with pytest.raises(InputError) as caught:
        LazyTensor.meta(KIND, "layers.0.weight").read()
    assert caught.value.text() == (
        "error[graph.weights]: the model was read without its weights\n"
        "  'layers.0.weight': f32[8,16] without values (a model with its weights)"
    )


def test_a_graph_without_weights_prints_and_parses_back() -> None:
    graph = product(LazyTensor.meta(KIND, "w"))
    assert "constant w f32[8,16] meta" in graph.text()
    again = parse(graph.text(), {})
    assert again.text() == graph.text()
    assert again.constants.is_meta("w")


def test_a_graph_without_weights_is_a_file(tmp_path: Path) -> None:
    builder = GraphBuilder("mixed")
    x = builder.input("x", TensorType(DType.F32, (4, 8)))
    w = builder.constant("w", LazyTensor.meta(KIND))
    b = builder.constant("b", np.ones(16, np.float32))
    graph = builder.finish([builder.add("Add", (builder.add("MatMul", (x, w)), b))])
    write_graph(graph, tmp_path / "mixed.graph")
    again = read_graph(tmp_path / "mixed.graph")
    assert again.text() == graph.text()
    assert np.array_equal(again.constants["b"], np.ones(16, np.float32))


def test_a_compiled_model_reads_its_weights_only_when_it_runs() -> None:
    counted = Counted()
    build = compile_model(product(LazyTensor(KIND, "w", counted)), precision="f32")
    build.time()
    assert counted.reads == 0
    x = np.ones((4, 8), np.float32)
    made = build.run({"x": x})["y"]
    assert counted.reads > 0
    assert np.array_equal(made, compile_model(product(WEIGHT), precision="f32").run({"x": x})["y"])


def test_a_model_without_weights_is_timed_but_not_run() -> None:
    build = compile_model(product(LazyTensor.meta(KIND, "w")))
    eager = compile_model(product(WEIGHT))
    assert build.time().text() == eager.time().text()
    with pytest.raises(InputError, match="without its weights"):
        build.run({"x": np.ones((4, 8), np.float32)})


def test_simplifying_folds_lazily() -> None:
    counted = Counted()
    builder = GraphBuilder("turned")
    x = builder.input("x", TensorType(DType.F32, (4, 16)))
    w = builder.constant("w", LazyTensor(KIND, "w", counted))
    turned = builder.add("Transpose", (w,), {"perm": (1, 0)})
    graph = simplify(builder.finish([builder.add("MatMul", (x, turned))]))
    assert [node.op for node in graph.nodes] == ["MatMul"]
    assert counted.reads == 0
    assert np.array_equal(graph.constants[graph.nodes[0].inputs[1]], WEIGHT.T)
