"""The nine real networks in the onnx package: read, run, compared with what ONNX expects.

Their weights are constant fills; they test graphs, shapes and memory.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from drawloom.frontends.onnx import read_onnx
from drawloom.frontends.rewrite import simplify
from drawloom.graph.evaluate import evaluate

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = sorted(path.stem for path in LIGHT.glob("*.onnx"))

# Nodes as read, and after simplify: shape arithmetic and weights leave none.
SIZES = {
    "light_bvlc_alexnet": (25, 33),
    "light_densenet121": (668, 429),
    "light_inception_v1": (143, 151),
    "light_inception_v2": (372, 173),
    "light_resnet50": (177, 124),
    "light_shufflenet": (204, 155),
    "light_squeezenet": (65, 65),
    "light_vgg19": (47, 47),
    "light_zfnet512": (25, 33),
}


def test_all_nine_are_there() -> None:
    assert sorted(SIZES) == MODELS


HEAVY = {
    "light_vgg19",
    "light_densenet121",
    "light_inception_v2",
    "light_zfnet512",
    "light_bvlc_alexnet",
}


@pytest.mark.parametrize(
    "name", [pytest.param(m, marks=pytest.mark.slow if m in HEAVY else ()) for m in MODELS]
)
def test_real_network(name: str) -> None:
    graph = read_onnx(LIGHT / f"{name}.onnx")
    simple = simplify(graph)
    assert (len(graph.nodes), len(simple.nodes)) == SIZES[name]
    kind = graph.types[graph.inputs[0]]
    x = (np.arange(kind.size).reshape(kind.shape) / kind.size).astype(np.float32)
    expected = TensorProto()
    expected.ParseFromString((LIGHT / f"{name}_output_0.pb").read_bytes())
    for each in (graph, simple):
        (y,) = evaluate(each, {each.inputs[0]: x}).values()
        np.testing.assert_allclose(y, numpy_helper.to_array(expected), rtol=1e-3, atol=1e-7)


def test_reading_resnet50_takes_less_than_a_second() -> None:
    start = time.process_time()
    read_onnx(LIGHT / "light_resnet50.onnx")
    assert time.process_time() - start < 1.0
