"""Weights as integer codes: what is decoded lies within half a step, and nothing else moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontends.hf.tiny import checkpoint, ids_of, tiny

from drawloom.errors import InputError
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.graph.lazy import LazyTensor
from drawloom.quantize import quantize_weights

RNG = np.random.default_rng(5)


def product(weight: np.ndarray, **attrs: int) -> Graph:
    b = GraphBuilder("product")
    inner = weight.shape[-1 if attrs.get("trans_b") else -2]
    x = b.input("x", TensorType(DType.of(weight.dtype), (inner, inner)))
    b.add("MatMul", [x, b.constant("w", weight)], attrs, name="fc", layer="model.fc", output="y")
    return b.finish(["y"])


def decoded(graph: Graph) -> np.ndarray:
    """Return the weight that a product of the identity reads."""
    eye = np.eye(graph.types["x"].shape[0], dtype=graph.types["x"].dtype.numpy)
    return evaluate(graph, {"x": eye})["y"]


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.BF16])
@pytest.mark.parametrize("group", [0, 32, 128])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_weight_comes_back_within_half_a_step(bits: int, group: int, dtype: DType) -> None:
    weight = RNG.normal(size=(192, 40)).astype(dtype.numpy)
    graph = quantize_weights(product(weight), bits, group)
    block = group or 192
    peaks = np.maximum.reduceat(np.abs(weight.astype(float)), range(0, 192, block), axis=0)
    step = np.repeat(peaks, block, axis=0)[:192] / (127 if bits == 8 else 7)
    # the scale, and what it decodes to, round once each in a short format
    slack = step * {DType.F32: 1e-5, DType.F16: 0.13, DType.BF16: 1.1}[dtype]
    wrong = np.abs(decoded(graph).astype(float) - weight.astype(float))
    assert np.all(wrong <= 0.5 * step + slack)
    assert wrong.max() > 0.3 * step.min()


def test_the_last_group_may_be_short() -> None:
    weight = np.ones((70, 64), np.float32)
    weight[64:] = 5.0
    graph = quantize_weights(product(weight), 8, 32)
    assert graph.types["w.scale"].shape == (3, 64)
    np.testing.assert_allclose(decoded(graph), weight, rtol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
def test_what_codes_can_say_is_said_exactly(bits: int) -> None:
    limit = 7 if bits == 4 else 127
    codes = RNG.integers(-limit, limit + 1, (64, 70))
    codes[::32] = limit
    weight = (codes * 0.25).astype(np.float32)
    np.testing.assert_array_equal(decoded(quantize_weights(product(weight), bits)), weight)
    turned = product(weight.T.copy(), trans_b=1)
    np.testing.assert_array_equal(decoded(quantize_weights(turned, bits, 32)), weight)


def test_the_graph_says_how_codes_become_weights() -> None:
    graph = quantize_weights(product(RNG.normal(size=(64, 70)).astype(np.float16)), 4, 32)
    assert [(n.op, n.name, n.layer, dict(n.attrs)) for n in graph.nodes] == [
        ("UnpackInt4", "fc.unpack", "model.fc", {"axis": 0}),
        ("DequantizeLinear", "fc.dequantize", "model.fc", {"axis": 0, "block_size": 32}),
        ("MatMul", "fc", "model.fc", {}),
    ]
    assert {k: graph.types[k].text() for k in graph.constants} == {
        "w.codes": "u8[32,70]",
        "w.scale": "f16[2,70]",
    }


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = np.zeros((64, 70), np.float32)
    weight[:, 1] = 3.0
    np.testing.assert_array_equal(decoded(quantize_weights(product(weight), 4)), weight)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["llama-tied", "mixtral", "qwen2_moe", "deepseek_v3"])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_model_computes_with_its_decoded_weights(name: str, phase: str, bits: int) -> None:
    config = tiny(name)
    # all magnitudes of a tensor alike: what codes of any width and grouping say exactly
    tensors = {
        k: np.copysign(np.float32(0.25), v) if v.ndim > 1 and "embed" not in k else v
        for k, v in checkpoint(config).items()
    }
    request = Request("decode", context=5) if phase == "decode" else Request("prefill", tokens=6)
    graph = model_graph(config, request, tensors)
    narrow = quantize_weights(graph, bits, smallest=200)
    inputs: dict[str, Any] = {"input_ids": ids_of(config, 1, request.n_tokens)}
    for value in graph.inputs[1:]:
        kind = graph.types[value]
        inputs[value] = RNG.normal(size=kind.shape).astype(kind.dtype.numpy)
    if phase == "decode":
        inputs["position"] = np.array([5], np.int32)
    assert sum(n.op == "DequantizeLinear" for n in narrow.nodes) > 15
    assert sum(n.op == "UnpackInt4" for n in narrow.nodes) > (15 if bits == 4 else -1)
    made, exact = (evaluate(g, inputs)["logits"] for g in (narrow, graph))
    assert np.ptp(exact) > 1.0
    np.testing.assert_allclose(made, exact, rtol=1e-4, atol=1e-4)
    kept = {"model.embed_tokens.weight", "model.norm.weight"}
    assert kept <= set(narrow.constants)


def test_weights_without_values_are_coded_without_values() -> None:
    config = read_config("llama-3-8b")
    graph = quantize_weights(model_graph(config, Request("decode", context=100)), 4, 128)
    codes = "model.layers.31.mlp.down_proj.weight.T.codes"
    assert graph.types[codes].text() == "u8[7168,4096]"
    assert graph.types["lm_head.weight.T.scale"].text() == "bf16[32,128256]"
    assert graph.constants.is_meta(codes)
    assert "model.embed_tokens.weight" in graph.constants
    total = sum(graph.types[name].bytes for name in graph.constants if "embed" not in name)
    assert total / 7504924672 == pytest.approx(0.5 + 2 / 128, rel=1e-3)


def test_weights_that_are_read_late_are_coded_late() -> None:
    reads = []

    def load() -> np.ndarray:
        reads.append(1)
        return np.ones((64, 70), np.float32)

    b = GraphBuilder("late")
    x = b.input("x", TensorType(DType.F32, (2, 64)))
    weight = LazyTensor(TensorType(DType.F32, (64, 70)), "file", load)
    b.add("MatMul", [x, b.constant("w", weight)], output="y")
    graph = quantize_weights(b.finish(["y"]), 8)
    assert reads == []
    assert graph.constants["w.codes"].max() == 127
    assert reads == [1]


def test_what_is_no_weight_stays_as_it_is() -> None:
    b = GraphBuilder("none")
    square = np.ones((64, 64), np.float32)
    x = b.input("x", TensorType(DType.F32, (64, 64)))
    picked = b.add("Gather", [b.constant("table", square), b.constant("i", np.zeros(64, np.int32))])
    left = b.add("MatMul", [b.constant("left", square), x])
    odd = b.add("MatMul", [left, b.constant("even", square)])
    odd = b.add("Slice", [odd], {"starts": (0,), "ends": (63,), "axes": (1,)})
    odd = b.add("MatMul", [odd, b.constant("odd", np.ones((63, 70), np.float32))])
    both = b.constant("both", square)
    twice = b.add("Add", [b.add("MatMul", [left, both]), both])
    small = b.add("MatMul", [left, b.constant("small", np.ones((64, 2), np.float32))])
    graph = quantize_weights(b.finish([picked, odd, twice, small]), 4)
    floats = {k for k in graph.constants if graph.types[k].dtype is DType.F32}
    assert floats == {"table", "left", "even.scale", "odd", "both", "small"}


def test_other_bits_and_groups_are_refused() -> None:
    with pytest.raises(InputError) as error:
        quantize_weights(product(np.ones((64, 70), np.float32)), 3, 64)
    assert error.value.text() == (
        "error[quantize.weights]: weights cannot be quantized so\n"
        "  bits: 3 (one of 4, 8)\n"
        "  group: 64 (one of 0, 32, 128)"
    )
