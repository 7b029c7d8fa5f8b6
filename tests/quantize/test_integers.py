"""Models that say what their codes mean: products on codes, bit for bit on the chip."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from drawloom.flow import compile, simplify
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph
from drawloom.mapping.pieces import CpuPiece, MatrixPiece
from drawloom.quantize import to_integers

RNG = np.random.default_rng(0)


class Net:
    """An ONNX model in the making, with codes of eight bits at its ends."""

    def __init__(self, scale: float = 2.0**-5) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.held: list[TensorProto] = []
        self.scale = self.constant("scale", np.float32(scale))
        self.zero = self.constant("zero", np.int8(0))

    def constant(self, name: str, array: NDArray | np.generic) -> str:
        self.held.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, inputs: list[str], name: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        return name

    def numbers(self, codes: str) -> str:
        name = f"{codes}.numbers{len(self.nodes)}"
        return self.add("DequantizeLinear", [codes, self.scale, self.zero], name)

    def codes(self, value: str) -> str:
        return self.add("QuantizeLinear", [value, self.scale, self.zero], f"{value}.codes")

    def conv(self, codes: str, name: str, c: int, outs: int, k: int, stride: int = 1) -> str:
        weights = RNG.integers(-127, 128, (outs, c, k, k)).astype(np.int8)
        each = RNG.uniform(0.5, 1.5, outs) * 0.02 / np.sqrt(c * k * k)
        parts = [
            self.constant(f"{name}.w", weights),
            self.constant(f"{name}.s", each.astype(np.float32)),
            self.constant(f"{name}.z", np.zeros(outs, np.int8)),
        ]
        read = self.add("DequantizeLinear", parts, f"{name}.weights", axis=0)
        bias = self.constant(f"{name}.b", RNG.standard_normal(outs).astype(np.float32))
        operands = [self.numbers(codes), read, bias]
        pads, strides = [k // 2] * 4, [stride] * 2
        return self.add("Conv", operands, name, pads=pads, strides=strides, kernel_shape=[k, k])

    def model(self, out: str, shape: tuple[int, ...], kind: int = TensorProto.INT8) -> bytes:
        given = helper.make_tensor_value_info("x", TensorProto.INT8, shape)
        made = helper.make_tensor_value_info(out, kind, None)
        graph = helper.make_graph(self.nodes, "codes", [given], [made], self.held)
        opset = [helper.make_opsetid("", 19)]
        return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def one(c: int, outs: int, k: int, stride: int, shape: tuple[int, ...]) -> bytes:
    net = Net()
    y = net.add("Relu", [net.conv("x", "conv", c, outs, k, stride)], "relu")
    return net.model(net.codes(y), shape)


def block(net: Net, channels: int = 128, inner: int = 64) -> str:
    """A bottleneck block with a shortcut: three convolutions, a sum, Relu."""
    y = net.codes(net.add("Relu", [net.conv("x", "a", channels, inner, 1)], "a.relu"))
    y = net.codes(net.add("Relu", [net.conv(y, "b", inner, inner, 3)], "b.relu"))
    total = net.add("Add", [net.conv(y, "c", inner, channels, 1), net.numbers("x")], "sum")
    return net.codes(net.add("Relu", [total], "sum.relu"))


def ops(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def inputs(shape: tuple[int, ...]) -> dict[str, NDArray]:
    return {"x": RNG.integers(-128, 128, shape).astype(np.int8)}


SIZES = [
    (64, 64, 1, 1, (1, 64, 9, 7)),
    (64, 128, 3, 2, (1, 64, 15, 15)),
    (128, 192, 3, 1, (16, 128, 4, 4)),
    (3, 20, 3, 1, (2, 3, 9, 9)),
    (256, 320, 1, 1, (1, 256, 8, 8)),
]


@pytest.mark.parametrize("size", SIZES)
def test_a_convolution_between_codes_is_done_on_codes(size: tuple) -> None:
    shape = size[-1]
    model = one(*size)
    build = compile(model)
    assert ops(build.graph) == {"QLinearConv": 1, "Relu": 1}
    assert not any(isinstance(piece, CpuPiece) for piece in build.mapping.pieces)
    given = inputs(shape)
    (made,) = build.run(given).values()
    (wanted,) = evaluate(build.graph, given).values()
    np.testing.assert_array_equal(made, wanted)
    assert len(np.unique(made)) > 50
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    other = np.asarray(session.run(None, given)[0])
    # ONNX Runtime rounds the scaled sum to f32 first, and adds the bias as a number.
    assert np.abs(other.astype(int) - made).max() <= 1
    assert np.mean(other == made) > 0.998


@pytest.mark.parametrize("scale", [2.0**-5, 0.03])
def test_a_bottleneck_block_of_codes_is_exact(scale: float) -> None:
    net = Net(scale)
    model = net.model(block(net), (1, 128, 8, 8))
    build = compile(model)
    assert ops(build.graph)["QLinearConv"] == 2
    assert ops(build.graph)["ConvInteger"] == 1
    assert not any(isinstance(piece, CpuPiece) for piece in build.mapping.pieces)
    given = inputs((1, 128, 8, 8))
    (made,) = build.run(given).values()
    (wanted,) = evaluate(build.graph, given).values()
    np.testing.assert_array_equal(made, wanted)
    assert len(np.unique(made)) > 50


def test_codes_stay_on_the_tiles_of_a_batch() -> None:
    net = Net()
    build = compile(net.model(block(net), (16, 128, 8, 8)))
    held = {s.value for s in build.mapping.storages if s.kind == "resident"}
    assert {"a.relu", "b.relu"} <= held
    given = inputs((16, 128, 8, 8))
    (made,) = build.run(given).values()
    (wanted,) = evaluate(build.graph, given).values()
    np.testing.assert_array_equal(made, wanted)


def test_codes_with_a_zero_point_are_left_to_numbers() -> None:
    net = Net()
    net.zero = net.constant("three", np.int8(3))
    graph = simplify(read_onnx(net.model(net.codes(net.conv("x", "conv", 8, 8, 1)), (1, 8, 4, 4))))
    assert ops(to_integers(graph))["Conv"] == 1


def test_a_convolution_that_stays_numbers_rounds_once() -> None:
    net = Net()
    model = net.model(net.conv("x", "conv", 64, 72, 3), (1, 64, 8, 8), TensorProto.FLOAT)
    build = compile(model)
    assert ops(build.graph)["ConvInteger"] == 1
    given = inputs((1, 64, 8, 8))
    (made,) = build.run(given).values()
    (wanted,) = evaluate(build.graph, given).values()
    np.testing.assert_array_equal(made, wanted)


def test_sums_too_large_for_f32_go_to_the_processor() -> None:
    net = Net(1.0)
    y = net.conv("x", "conv", 1200, 64, 1)
    weights = np.full((64, 1200, 1, 1), 127, np.int8)
    net.held[:] = [
        numpy_helper.from_array(weights, h.name) if h.name == "conv.w" else h for h in net.held
    ]
    net.held[:] = [
        numpy_helper.from_array(np.full(64, 1e-9, np.float32), h.name) if h.name == "conv.s" else h
        for h in net.held
    ]
    build = compile(net.model(net.codes(y), (1, 1200, 2, 2)))
    assert any(isinstance(piece, CpuPiece) for piece in build.mapping.pieces)


def joined(net: Net, channels: int = 128) -> str:
    """The sum of two convolutions, Relu, codes."""
    two = [net.conv("x", name, channels, channels, 1) for name in ("left", "right")]
    return net.codes(net.add("Relu", [net.add("Add", two, "sum")], "sum.relu"))


@pytest.mark.parametrize(
    ("make", "scale", "passes"),
    [(block, 2.0**-5, 5), (block, 0.03, 5), (joined, 2.0**-5, 4), (joined, 2.0**-14, 6)],
)
def test_a_sum_that_becomes_codes_is_in_their_unit(make: Any, scale: float, passes: int) -> None:
    net = Net(scale)
    build = compile(net.model(make(net), (1, 128, 7, 7)), check=False)
    last = [p for p in build.mapping.pieces if isinstance(p, MatrixPiece)][-1]
    assert len(last.body.steps) == passes, last.body.text()
    given = inputs((1, 128, 7, 7))
    (made,) = build.run(given).values()
    (wanted,) = evaluate(build.graph, given).values()
    np.testing.assert_array_equal(made, wanted)
    # The same numbers in f32, all in their own unit. Biases too large for a unit stay as they were,
    # and f16 does not hold such small numbers well.
    (plain,) = evaluate(build.source, given).values()
    assert np.abs(plain.astype(int) - made).max() <= (1 if passes < 6 else 12)
