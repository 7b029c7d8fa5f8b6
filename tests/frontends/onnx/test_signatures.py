"""Nodes that are not what their operator is: found by altered files, refused since."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper
from tests.frontends.onnx.one import ints, model_of, node, ramp

from drawloom.errors import InputError
from drawloom.frontends.onnx import read_onnx

X = {"x": ramp(3, 4)}
STEPS = {"x": ramp(2, 1, 3)}
LSTM = {"w": ramp(1, 8, 3), "r": ramp(1, 8, 2)}


def refusal(one: NodeProto, inputs: dict, constants: dict, opset: int = 21) -> str:
    with pytest.raises(InputError) as caught:
        read_onnx(model_of([one], inputs, constants, opset=opset))
    (line,) = caught.value.text().splitlines()[1:]
    return line.split("): ", 1)[1]


@pytest.mark.parametrize(
    ("one", "constants", "opset", "text"),
    [
        (node("ReduceMean", "x k"), {"k": ints(1)}, 13, "2 operands (1)"),
        (node("Gemm", "x"), {}, 21, "1 operand (2 to 3)"),
        (node("Relu", "x", "y z"), {}, 21, "2 outputs (1)"),
        (node("Softmax", "x", axes=1), {}, 21, "attribute axes (did you mean 'axis'?)"),
        (node("Relu", "x", axis=1), {}, 21, "attribute axis (Relu takes no attributes)"),
        (
            node("ReduceSum", "x k", keepdims=-1),
            {"k": ints(1)},
            21,
            "attribute keepdims=-1 (0 or 1)",
        ),
        (
            node("Gemm", "x w", transB=2),
            {"w": ramp(4, 4)},
            21,
            "attribute transB=2 (0 or 1)",
        ),
    ],
)
def test_what_an_operator_has_not_is_refused(
    one: NodeProto, constants: dict, opset: int, text: str
) -> None:
    assert refusal(one, X, constants, opset) == text


def test_absent_operands_at_the_end_are_not_counted() -> None:
    read = read_onnx(model_of([node("Clip", "x - -")], X))
    assert read.types["y"].shape == (3, 4)


@pytest.mark.parametrize(
    ("x", "constants", "text"),
    [
        (ramp(2, 1, 3, 1), LSTM, "operand 0 of shape [2, 1, 3, 1] (rank 3)"),
        (ramp(2, 1, 4), LSTM, "operand 1 of shape [1, 8, 3] ([1, 8, 4])"),
        (
            ramp(2, 1, 3),
            LSTM | {"r": ramp(2, 8, 2)},
            "operand 2 of shape [2, 8, 2] ([1, 8, 2])",
        ),
    ],
)
def test_operands_of_a_recurrent_node_must_go_together(
    x: np.ndarray, constants: dict, text: str
) -> None:
    one = node("LSTM", "x w r", "y", hidden_size=2)
    assert refusal(one, {"x": x}, constants) == text


def test_a_model_must_say_which_operators_it_means() -> None:
    model = model_of([node("Relu", "x")], X, opset_imports=[helper.make_opsetid("com.acme", 1)])
    with pytest.raises(InputError) as caught:
        read_onnx(model)
    assert caught.value.text() == (
        "error[onnx.opset]: the model does not say what its operators mean\n"
        "  the model given: no operator set for domain '' (an opset_import of ONNX's own)"
    )
    del model.opset_import[:]
    model.ir_version = 2
    assert [n.op for n in read_onnx(model).nodes] == ["Relu"]
