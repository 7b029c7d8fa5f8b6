"""Loops whose steps are known are unrolled; others say which number would have to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from tests.frontends.onnx.one import model_of, node, ramp, run

from drawloom.errors import Unsupported
from drawloom.frontends.onnx import read_onnx

TYPES = {"i": TensorProto.INT64, "c": TensorProto.BOOL}


def body(nodes: list[Any], inputs: str, outputs: str, **constants: NDArray[Any]) -> GraphProto:
    def infos(words: str) -> list[Any]:
        return [
            helper.make_tensor_value_info(w, TYPES.get(w, TensorProto.FLOAT), None)
            for w in words.split()
        ]

    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "body", infos(inputs), infos(outputs), held)


def halving(condition: str = "c") -> GraphProto:
    """Halve what is carried; hand out the sum of it and the step's number."""
    nodes = [
        node("Mul", "v half", "w", name="halve"),
        node("Cast", "i", "f", name="number", to=TensorProto.FLOAT),
        node("Add", "w f", "row", name="sum"),
        node("Less", "i most", "early", name="early"),
    ]
    constants = {"half": np.array(0.5, np.float32), "most": np.array(2, np.int64)}
    return body(nodes, "i c v", f"{condition} w row", **constants)


def loop(count: int | None, inner: GraphProto, x: NDArray[Any]) -> ModelProto:
    constants = {"n": np.array(count, np.int64)} if count is not None else {}
    first = "n" if count is not None else "-"
    return model_of(
        [node("Loop", f"{first} - x", "y rows", body=inner)], {"x": x}, constants, ("y", "rows")
    )


def test_a_loop_of_a_known_count_is_unrolled() -> None:
    x = ramp(2, 3)
    y, rows = run(loop(4, halving(), x), {"x": x})
    np.testing.assert_array_equal(y, x / 16)
    np.testing.assert_array_equal(rows, [x / 2.0 ** (i + 1) + i for i in range(4)])


@pytest.mark.parametrize("count", [None, 100])
def test_a_condition_that_follows_from_the_step_ends_a_loop(count: int | None) -> None:
    x = ramp(2, 3)
    y, rows = run(loop(count, halving("early"), x), {"x": x})
    np.testing.assert_array_equal(y, x / 8)
    assert rows.shape == (3, 2, 3)


def test_no_step_leaves_what_is_carried() -> None:
    x = ramp(2)
    model = loop(0, halving(), x)
    del model.graph.output[1]
    np.testing.assert_array_equal(run(model, {"x": x})[0], x)


def test_nodes_are_named_after_their_step() -> None:
    graph = read_onnx(loop(2, halving(), ramp(2)))
    layers = [n.layer for n in graph.nodes if n.op == "Mul"]
    assert layers == ["loop/0/halve", "loop/1/halve"]


def test_a_condition_on_data_is_refused() -> None:
    nodes = [
        node("Mul", "v v", "w", name="square"),
        node("ReduceSum", "w", "s", name="total", keepdims=0),
        node("Less", "s most", "early", name="early"),
    ]
    inner = body(nodes, "i c v", "early w", most=np.array(9, np.float32))
    x = ramp(2)
    model = model_of([node("Loop", "n - x", body=inner)], {"x": x}, {"n": np.array(3)})
    with pytest.raises(Unsupported) as caught:
        read_onnx(model)
    assert caught.value.text() == (
        "error[onnx.nodes]: 1 node of model 'net' cannot be read\n"
        "  node 'loop' (Loop, opset 21): condition depends on the model's inputs"
        " (a constant condition)"
    )


def test_a_very_long_loop_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"more than 4096 steps \(at most 4096 to unroll\)"):
        read_onnx(loop(5000, halving(), ramp(1)))


@pytest.mark.parametrize("backwards", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_scan_takes_one_index_after_the_other(backwards: int, axis: int) -> None:
    nodes = [node("Add", "s e", "t", name="add"), node("Identity", "t", "o", name="copy")]
    x = ramp(4, 4)
    attrs = {
        "num_scan_inputs": 1,
        "scan_input_axes": [axis],
        "scan_input_directions": [backwards],
        "scan_output_axes": [axis],
        "scan_output_directions": [backwards],
    }
    scan = node("Scan", "z x", "y rows", body=body(nodes, "s e", "t o"), **attrs)
    model = model_of([scan], {"x": x}, {"z": np.zeros(4, np.float32)}, ("y", "rows"))
    y, rows = run(model, {"x": x})
    turned = np.flip(x, axis) if backwards else x
    sums = np.cumsum(turned, axis, dtype=np.float32)
    np.testing.assert_allclose(y, x.sum(axis), rtol=1e-6)
    np.testing.assert_allclose(rows, np.flip(sums, axis) if backwards else sums, rtol=1e-6)
