"""Models with codes for weights, or integers all through, on several chips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drawloom.execute.span import execute_span
from drawloom.flow import compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.plans.cut import cut
from drawloom.plans.span import Spread, compile_span
from drawloom.program.span import Span
from drawloom.quantize import quantize_weights

RNG = np.random.default_rng(0)


def mlp(rows: int = 3) -> tuple[Graph, dict[str, Any]]:
    b = GraphBuilder("mlp")
    x = b.input("x", TensorType(DType.F16, (rows, 256)))
    up = b.constant("up", (RNG.standard_normal((256, 512)) / 16).astype(np.float16))
    down = b.constant("down", (RNG.standard_normal((512, 256)) / 23).astype(np.float16))
    inner = b.add("Silu", (b.add("MatMul", (x, up), name="wide"),), name="act")
    y = b.add("MatMul", (inner, down), name="narrow")
    return b.finish([y]), {"x": RNG.standard_normal((rows, 256)).astype(np.float16)}


def quantized() -> tuple[Graph, dict[str, Any]]:
    b = GraphBuilder("quantized")
    x = b.input("x", TensorType(DType.F32, (3, 64)))

    def number(name: str, value: float, kind: type) -> str:
        return b.constant(name, np.array(value, kind))

    scales = {name: number(name, value, np.float32) for name, value in (("s", 0.02), ("t", 0.02))}
    zero = number("zero", 120, np.uint8)
    held = b.add("QuantizeLinear", (x, scales["s"], zero), name="codes")
    for name, (n, m) in {"up": (64, 256), "down": (256, 128)}.items():
        weight = b.constant(name, RNG.integers(-9, 10, (n, m)).astype(np.int8))
        each = b.constant(f"{name}.scale", (0.01 + 0.01 * RNG.random(m)).astype(np.float32))
        none = b.constant(f"{name}.zero", np.zeros(m, np.int8))
        inputs = (held, scales["s"], zero, weight, each, none, scales["t"], zero)
        held = b.add("QLinearMatMul", inputs, name=f"{name}.product")
    y = b.add("DequantizeLinear", (held, scales["t"], zero), name="y")
    return b.finish([y]), {"x": RNG.standard_normal((3, 64)).astype(np.float32)}


def weight_bytes(span: Span) -> int:
    return sum(held.size for _, held in span.programs[0].data)


@pytest.mark.parametrize(
    ("weights", "group", "chips"),
    [
        ("int8", 0, 2),
        ("int4", 32, 4),
        pytest.param("int8", 128, 2, marks=pytest.mark.slow),
        pytest.param("int4", 0, 8, marks=pytest.mark.slow),
    ],
)
def test_coded_weights_on_several_chips_are_those_of_one(
    weights: str, group: int, chips: int
) -> None:
    graph, inputs = mlp()
    one = compile(graph, weights=weights, group=group).run(inputs)["narrow"].astype(np.float64)
    span = compile_span(graph, "rex1032", Spread(chips), weights=weights, group=group)
    many = execute_span(span, inputs)["narrow"]
    # Each chip rounds its sum to 11 bits, and so does each of the additions on the way.
    assert np.abs(many - one).max() <= 2**-11 * (chips + 1) * np.abs(one).max()
    plain = compile_span(graph, "rex1032", Spread(chips))
    bits = 8 if weights == "int8" else 4
    assert weight_bytes(span) < weight_bytes(plain) * bits / 16 * 1.2


@pytest.mark.parametrize("chips", [2, pytest.param(4, marks=pytest.mark.slow),
                                   pytest.param(8, marks=pytest.mark.slow)])  # fmt: skip
def test_a_model_of_integers_gives_the_very_same_bits_on_several_chips(chips: int) -> None:
    graph, inputs = quantized()
    one = compile(graph).run(inputs)["y"]
    many = execute_span(compile_span(graph, "rex1032", Spread(chips)), inputs)["y"]
    assert np.array_equal(one, many)
    assert len(np.unique(one)) > 50


def test_each_chip_decodes_only_its_own_codes() -> None:
    graph = quantize_weights(mlp()[0], 4, 32)
    parts = cut(graph, 4)
    assert [[e.kind for e in stage.exchanges] for stage in parts.stages] == [["sum"], []]
    mine = parts.stages[0].graphs[0]
    packed = {name: kind.shape for name, kind in mine.types.items() if kind.dtype is DType.U8}
    assert sorted(packed.values()) == [(64, 256), (128, 128)]


def test_a_scale_for_more_inputs_than_a_chip_has_leaves_a_product_whole() -> None:
    graph = quantize_weights(mlp()[0], 8, 128)
    parts = cut(graph, 8)  # 64 inputs of "down" a chip, 128 share a scale
    assert [e.kind for stage in parts.stages for e in stage.exchanges] == ["gather"]
