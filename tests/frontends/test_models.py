"""The example networks: read as exporters would write them, equal to ONNX Runtime."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from examples.models.llama import llama
from examples.models.resnet import resnet18, resnet50
from examples.models.vit import vit_b16
from onnx import ModelProto

from drawloom.frontends.onnx import read_onnx
from drawloom.frontends.rewrite import simplify
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph
from drawloom.quantize import to_precision


def small(name: str) -> ModelProto:
    makers = {
        "resnet18": lambda: resnet18(1, 32, 16),
        "resnet50": lambda: resnet50(1, 48, 8),
        "vit": lambda: vit_b16(1, 32, 2, 48, 4, 8),
        "vit spelled": lambda: vit_b16(1, 32, 2, 48, 4, 8, opset=13),
        "llama": lambda: llama(1),
    }
    return makers[name]()


SIMPLE = {
    "resnet18": {"Add": 9, "Conv": 20, "MatMul": 1, "MaxPool": 1, "ReduceMean": 1, "Relu": 17, "Reshape": 1},
    "resnet50": {"Add": 17, "Conv": 53, "MatMul": 1, "MaxPool": 1, "ReduceMean": 1, "Relu": 49, "Reshape": 1},
    "vit": {
        "Add": 14, "Concat": 1, "Conv": 1, "Gelu": 2, "LayerNormalization": 5, "MatMul": 13, "Mul": 2,
        "Reshape": 12, "Slice": 7, "Softmax": 2, "Transpose": 5,
    },
    "llama": {
        "Add": 10, "Concat": 4, "Expand": 4, "Gather": 1, "MatMul": 19, "Mul": 12, "Neg": 4,
        "RMSNormalization": 5, "Reshape": 16, "Silu": 2, "Slice": 8, "Softmax": 2, "Transpose": 8,
    },
}  # fmt: skip
SIMPLE["vit spelled"] = SIMPLE["vit"]


def inputs_for(graph: Graph) -> dict[str, Array]:
    draw = np.random.default_rng(2)
    (name,) = graph.inputs
    kind = graph.types[name]
    if kind.dtype.is_float:
        return {name: draw.standard_normal(kind.shape, np.float32)}
    return {name: draw.integers(0, 256, kind.shape)}


@pytest.mark.parametrize("name", sorted(SIMPLE))
def test_small_network(name: str) -> None:
    model = small(name)
    graph = read_onnx(model)
    simple = simplify(graph)
    assert dict(sorted(Counter(n.op for n in simple.nodes).items())) == SIMPLE[name]
    inputs = inputs_for(graph)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = np.asarray(session.run(None, inputs)[0])
    for each, tolerance in (
        (graph, 2e-5),
        (simple, 2e-5),
        (to_precision(simple, "f16"), 1e-2),
        (to_precision(simple, "bf16"), 6e-2),
    ):
        (y,) = evaluate(each, inputs).values()
        np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(y).max())


def test_simplify_settles() -> None:
    simple = simplify(read_onnx(small("llama")))
    assert simplify(simple) is simple


@pytest.mark.slow
def test_full_size() -> None:
    resnet = simplify(read_onnx(resnet50()))
    assert sum(a.size for a in resnet.constants.values()) == 25_530_472
    assert resnet.types["logits"].shape == (1, 1000)
    vit = simplify(read_onnx(vit_b16()))
    assert vit.types["logits"].shape == (1, 1000)
    assert round(sum(a.nbytes for a in vit.constants.values()) / 4e6, 1) == 86.6
