"""Unrolled LSTM, GRU and RNN give what ONNX Runtime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.frontends.onnx.one import ints, model_of, node, run

from drawloom.errors import Unsupported
from drawloom.frontends.onnx import read_onnx

STEPS, BATCH, WIDTH, HIDDEN = 3, 2, 4, 5
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model(op: str, operands: str, outputs: str, **attrs: Any) -> tuple[Any, dict[str, Any]]:
    draw = np.random.default_rng(1)
    directions = 2 if attrs.get("direction") == "bidirectional" else 1
    wide = GATES[op] * HIDDEN
    shapes = {
        "x": (STEPS, BATCH, WIDTH),
        "w": (directions, wide, WIDTH),
        "r": (directions, wide, HIDDEN),
        "b": (directions, 2 * wide),
        "h": (directions, BATCH, HIDDEN),
        "c": (directions, BATCH, HIDDEN),
        "p": (directions, 3 * HIDDEN),
    }
    arrays = {
        k: draw.standard_normal(shapes[k], np.float32) for k in operands.split() if k in shapes
    }
    inputs = {k: arrays.pop(k) for k in ("x", "h", "c") if k in arrays}
    made = node(op, operands, outputs, hidden_size=HIDDEN, **attrs)
    names = [o for o in outputs.split() if o != "-"]
    return model_of([made], inputs, arrays, names, opset=14), inputs


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("op", "operands", "attrs"),
    [
        ("LSTM", "x w r b - h c p", {}),
        ("LSTM", "x w r - - - c", {"clip": 0.4}),
        ("LSTM", "x w r b - h c", {"input_forget": 1}),
        ("GRU", "x w r b - h", {"linear_before_reset": 0}),
        ("GRU", "x w r b - h", {"linear_before_reset": 1}),
        ("GRU", "x w r", {}),
        ("RNN", "x w r b", {}),
    ],
)
def test_recurrent(op: str, operands: str, attrs: dict[str, Any], direction: str) -> None:
    outputs = "y h_end c_end" if op == "LSTM" else "y h_end"
    made, inputs = model(op, operands, outputs, direction=direction, **attrs)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    for got, wanted in zip(run(made, inputs), session.run(None, inputs), strict=True):
        np.testing.assert_allclose(got, np.asarray(wanted), rtol=1e-5, atol=1e-6)


def test_other_activations() -> None:
    words = ["HardSigmoid", "Relu", "Softsign"]
    made, inputs = model("LSTM", "x w r b", "y", activations=words)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    wanted = np.asarray(session.run(None, inputs)[0])
    np.testing.assert_allclose(run(made, inputs)[0], wanted, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_unrolled() -> None:
    made, _ = model("GRU", "x w r - n", "y", activations=["Affine", "Tanh"])
    made.graph.initializer.append(
        model_of([], {}, {"n": ints(3, 2).astype(np.int32)}).graph.initializer[0]
    )
    with pytest.raises(Unsupported) as caught:
        read_onnx(made)
    assert caught.value.text() == (
        "error[onnx.nodes]: 1 node of model 'net' cannot be read\n"
        "  node 'gru' (GRU, opset 14): sequences of several lengths (all of length 3)"
    )
    made, _ = model("GRU", "x w r", "y", activations=["Affine", "Tanh"])
    with pytest.raises(Unsupported) as caught:
        read_onnx(made)
    assert caught.value.text() == (
        "error[onnx.nodes]: 1 node of model 'net' cannot be read\n"
        "  node 'gru' (GRU, opset 14): attribute activations=['Affine', 'Tanh']"
        " (2 of HardSigmoid, Relu, Sigmoid, Softplus, Softsign, Tanh, without parameters)"
    )
