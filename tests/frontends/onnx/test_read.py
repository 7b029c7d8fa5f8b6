"""Names, constants, branches and functions."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from tests.frontends.onnx.one import graph_of, ints, model_of, node, ramp, run

from drawloom.errors import InputError
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.evaluate import evaluate

X = ramp(2, 3)


def test_values_and_layers_keep_their_names() -> None:
    nodes = [
        node("Gemm", "x w b", "hidden", name="fc"),
        node("Relu", "hidden", "act"),
        node("Identity", "act", "same"),
        node("Identity", "same", "out"),
        node("Identity", "x", "echo"),
    ]
    nodes[1].name = ""
    constants = {"w": ramp(3, 4), "b": ramp(4)}
    graph = read_onnx(model_of(nodes, {"x": X}, constants, ("out", "echo", "same")), name="mine")
    assert graph.name == "mine"
    assert (graph.inputs, graph.outputs) == (("x",), ("out", "echo", "same"))
    assert [(n.name, n.op, n.layer, n.outputs) for n in graph.nodes] == [
        ("fc", "MatMul", "fc", ("fc",)),
        ("fc.add", "Add", "fc", ("hidden",)),
        ("Relu_1", "Relu", "Relu_1", ("out",)),
        ("echo", "Identity", "", ("echo",)),
        ("same", "Identity", "", ("same",)),
    ]
    assert set(graph.constants) == {"w", "b"}


def test_old_models_list_weights_among_inputs() -> None:
    model = model_of([node("Add", "x b")], {"x": X, "b": ramp(3)}, {"b": ramp(3)})
    assert read_onnx(model).inputs == ("x",)


def test_shape_arithmetic_leaves_no_nodes() -> None:
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "first"),
        node("Unsqueeze", "first axes", "one"),
        node("Concat", "one minus", "both", axis=0),
        node("Reshape", "x both", "flat"),
        node("ConstantOfShape", "shape", "fill"),
        node("Range", "zero rows step", "range"),
        node("Cast", "range", "column", to=TensorProto.FLOAT),
        node("Add", "flat column", "sum"),
        node("Size", "fill", "size"),
        node("Cast", "size", "count", to=TensorProto.FLOAT),
        node("Mul", "sum count"),
    ]
    constants = {
        "zero": np.array(0),
        "axes": ints(0),
        "minus": ints(-1),
        "rows": np.array(3),
        "step": np.array(1),
    }
    model = model_of(nodes, {"x": X}, constants)
    assert [n.op for n in read_onnx(model).nodes] == ["Add", "Mul"]
    np.testing.assert_array_equal(run(model, {"x": X})[0], (X + np.arange(3)) * 6)


def test_large_fills_take_no_memory() -> None:
    fill = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
    nodes = [node("ConstantOfShape", "s", "w", value=fill), node("MatMul", "x w")]
    graph = read_onnx(model_of(nodes, {"x": X}, {"s": ints(3, 1 << 30)}))
    (weights,) = graph.constants.values()
    assert weights.strides == (0, 0)
    assert graph.types["y"].shape == (2, 1 << 30)


def test_large_results_of_constants_are_not_computed() -> None:
    nodes = [node("Tile", "w r", "big"), node("Add", "x big")]
    constants = {"w": ramp(1, 4), "r": ints(1 << 23, 1)}
    graph = read_onnx(model_of(nodes, {"x": ramp(1)}, constants))
    assert [n.op for n in graph.nodes] == ["Tile", "Add"]


def test_quantized_weights_stay_quantized() -> None:
    constants = {"q": np.array([[1, -2, 3]], np.int8), "s": np.array(0.5, np.float32)}
    model = model_of(
        [node("DequantizeLinear", "q s", "w"), node("Mul", "x w")], {"x": X}, constants
    )
    assert [n.op for n in read_onnx(model).nodes] == ["DequantizeLinear", "Mul"]
    np.testing.assert_array_equal(run(model, {"x": X})[0], X * np.array([0.5, -1, 1.5]))


@pytest.mark.parametrize("taken", [True, False])
def test_a_known_condition_takes_one_branch(taken: bool) -> None:
    yes = graph_of(
        [node("Mul", "x k", "t")], {}, {"k": np.float32(3) * np.ones(1, np.float32)}, ("t",)
    )
    no = graph_of([node("Neg", "x", "u"), node("Relu", "u", "v", name="inner")], {}, {}, ("v",))
    nodes = [node("If", "c", name="choice", then_branch=yes, else_branch=no)]
    model = model_of(nodes, {"x": X}, {"c": np.array(taken)})
    expected = 3 * X if taken else np.maximum(-X, 0)
    np.testing.assert_array_equal(run(model, {"x": X})[0], expected)
    layers = [n.layer for n in read_onnx(model).nodes]
    assert layers == (["choice/mul"] if taken else ["choice/neg", "choice/inner"])


def test_an_unknown_condition_is_refused() -> None:
    branch = graph_of([node("Neg", "x", "u")], {}, {}, ("u",))
    nodes = [node("If", "c", then_branch=branch, else_branch=branch)]
    with pytest.raises(InputError, match="condition depends on the model's inputs"):
        read_onnx(model_of(nodes, {"x": X, "c": np.array(True)}))


def function_model(calls: str = "Twice") -> ModelProto:
    """A model whose function has an attribute with a default, and is called by another."""
    main, own = helper.make_opsetid("", 18), helper.make_opsetid("my", 1)
    by = helper.make_node("Constant", [], ["k"])
    by.attribute.add(name="value_float", ref_attr_name="by", type=1)
    body = [by, helper.make_node("Mul", ["a", "k"], ["b"], name="core")]
    default = [helper.make_attribute("by", 2.0)]
    twice = helper.make_function("my", "Twice", ["a"], ["b"], body, [main], [], default)
    body = [
        helper.make_node("Twice", ["p"], ["t"], domain="my", name="in"),
        helper.make_node(calls, ["t"], ["q"], domain="my", by=5.0, name="again"),
    ]
    outer = helper.make_function("my", "Outer", ["p"], ["q"], body, [main, own])
    nodes = [node("Outer", "x", domain="my", name="top")]
    return model_of(nodes, {"x": X}, opset_imports=[main, own], functions=[twice, outer])


def test_functions_of_the_model_are_spelled_out() -> None:
    model = function_model()
    np.testing.assert_array_equal(run(model, {"x": X})[0], 10 * X)
    graph = read_onnx(model)
    assert [n.layer for n in graph.nodes] == ["top/in/core", "top/again/core"]


def test_functions_without_end_are_refused() -> None:
    with pytest.raises(InputError, match="functions call each other without end"):
        read_onnx(function_model("Outer"))


def test_operators_that_onnx_defines_by_others() -> None:
    model = model_of([node("MeanVarianceNormalization", "x")], {"x": ramp(2, 3, 2, 2)}, opset=13)
    x = ramp(2, 3, 2, 2)
    middle = x - x.mean((0, 2, 3), keepdims=True)
    expected = middle / np.sqrt((middle**2).mean((0, 2, 3), keepdims=True) + 1e-9)
    np.testing.assert_allclose(run(model, {"x": x})[0], expected, rtol=1e-5)


def test_operators_of_onnx_runtime() -> None:
    nodes = [
        node("SkipLayerNormalization", "x x g b", "n - - s", domain="com.microsoft", epsilon=1e-5),
        node("FusedMatMul", "n x", "m", domain="com.microsoft", transB=1, alpha=2.0),
        node("QuickGelu", "m", "y", domain="com.microsoft"),
    ]
    nodes[0].output[1] = nodes[0].output[2] = ""
    constants = {"g": ramp(3), "b": ramp(3)}
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = model_of(nodes, {"x": X}, constants, ("y", "s"), opset_imports=opsets)
    y, s = run(model, {"x": X})
    total = 2 * X
    normal = (total - total.mean(1, keepdims=True)) / np.sqrt(total.var(1, keepdims=True) + 1e-5)
    m = 2 * (normal * ramp(3) + ramp(3)) @ X.T
    np.testing.assert_allclose(y, m / (1 + np.exp(-1.702 * m)), rtol=1e-5)
    np.testing.assert_array_equal(s, total)


def test_dead_nodes_are_not_looked_at() -> None:
    nodes = [node("Nonsense", "x", "dead"), node("Relu", "x")]
    assert [n.op for n in read_onnx(model_of(nodes, {"x": X})).nodes] == ["Relu"]


def test_an_output_may_be_a_constant() -> None:
    model = model_of([node("Shape", "x", "y")], {"x": X})
    graph = read_onnx(model)
    assert graph.outputs == ("y",)
    np.testing.assert_array_equal(evaluate(graph, {"x": X})["y"], [2, 3])
