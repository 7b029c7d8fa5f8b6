from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from drawloom.errors import InputError
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.quantize import to_precision

F32_LOWEST = float(np.finfo(np.float32).min)


def single(value: Any) -> Any:
    return np.asarray(value, np.float32)


def start(shape: tuple[int, ...] = (2, 4), dtype: DType = DType.F32) -> tuple[GraphBuilder, str]:
    builder = GraphBuilder("net")
    return builder, builder.input("x", TensorType(dtype, shape))


def shown(graph: Graph) -> list[str]:
    return [f"{n.op} {','.join(n.inputs)} -> {','.join(n.outputs)}" for n in graph.nodes]


def dense() -> Graph:
    b, x = start()
    w = b.constant("w", single(np.arange(12).reshape(4, 3) / 7))
    y = b.add("Add", [b.add("MatMul", [x, w], name="fc"), b.constant("b", single([0.1, 0.2, 0.3]))])
    return b.finish([b.add("Softmax", [y], output="y")])


@pytest.mark.parametrize(("word", "dtype"), [("f16", DType.F16), ("bf16", DType.BF16)])
def test_edges_keep_their_dtype(word: str, dtype: DType) -> None:
    graph = to_precision(dense(), word)
    assert shown(graph) == [
        f"Cast x -> x.{word}",
        f"MatMul x.{word},w -> fc",
        "Add fc,b -> add",
        f"Softmax add -> y.{word}",
        f"Cast y.{word} -> y",
    ]
    assert (graph.types["x"].dtype, graph.types["y"].dtype) == (DType.F32, DType.F32)
    inside = {v: k.dtype for v, k in graph.types.items() if v not in ("x", "y")}
    assert set(inside.values()) == {dtype}
    x = single([[1, -2, 3, -4], [0.5, 0.25, 0, 1]])
    wanted, made = (evaluate(g, {"x": x})["y"] for g in (dense(), graph))
    np.testing.assert_allclose(made, wanted, atol=1e-2)


def test_constants_are_rounded_to_nearest_even_once() -> None:
    b, x = start((3,))
    values = single([1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-20])
    graph = to_precision(b.finish([b.add("Mul", [x, b.constant("c", values)])]), "f16")
    np.testing.assert_array_equal(graph.constants["c"], np.array([1, 1 + 2**-9, 1 + 2**-10]))


def test_the_same_precision_is_the_same_graph() -> None:
    graph = dense()
    assert to_precision(graph, "f32") is graph


def test_half_precision_models_can_be_widened() -> None:
    b, x = start(dtype=DType.F16)
    graph = b.finish([b.add("Exp", [x], output="y")])
    assert shown(to_precision(graph, "f32")) == [
        "Cast x -> x.f32",
        "Exp x.f32 -> y.f32",
        "Cast y.f32 -> y",
    ]


def test_integers_and_booleans_are_untouched() -> None:
    builder = GraphBuilder("net")
    tokens = builder.input("tokens", TensorType(DType.I64, (3,)))
    table = builder.constant("table", single(np.eye(5)))
    rows = builder.add("Gather", [table, tokens], output="rows")
    best = builder.add("ArgMax", [rows], {"axis": 1}, output="best")
    above = builder.add("Greater", [rows, builder.constant("c", single(0.5))], output="above")
    graph = to_precision(builder.finish([best, above]), "bf16")
    assert shown(graph) == [
        "Gather table,tokens -> rows",
        "ArgMax rows -> best",
        "Greater rows,c -> above",
    ]
    made = evaluate(graph, {"tokens": np.array([3, 0, 4])})
    np.testing.assert_array_equal(made["best"].reshape(-1), [3, 0, 4])


def test_casts_follow_the_precision() -> None:
    b, x = start()
    half = b.add("Cast", [x], {"to": "f16"})
    back = b.add("Cast", [b.add("Exp", [half])], {"to": "f32"})
    graph = b.finish([b.add("Neg", [back], output="y")])
    assert shown(to_precision(graph, "bf16")) == [
        "Cast x -> x.bf16",
        "Exp x.bf16 -> exp",
        "Neg exp -> y.bf16",
        "Cast y.bf16 -> y",
    ]


def test_values_that_are_outputs_and_read_inside() -> None:
    b, x = start()
    a = b.add("Exp", [x], output="a")
    c = b.constant("c", single([1.5, 2, 3, 4]))
    graph = to_precision(b.finish([a, b.add("Mul", [a, c], output="y"), "x", c]), "f16")
    assert (graph.inputs, graph.outputs) == (("x",), ("a", "y", "x", "c"))
    assert {graph.types[v].dtype for v in graph.outputs} == {DType.F32}
    given = single(np.arange(8).reshape(2, 4))
    made = evaluate(graph, {"x": given})
    np.testing.assert_array_equal(made["x"], given)
    np.testing.assert_array_equal(made["c"], [1.5, 2, 3, 4])


def test_scales_of_codes_stay_as_they_are() -> None:
    b, x = start()
    scale, zero = b.constant("s", single(3e-6)), b.constant("z", np.int8(3))
    codes = b.add("QuantizeLinear", [x, scale, zero])
    y = b.add(
        "Mul", [b.add("DequantizeLinear", [codes, scale, zero], name="dq"), scale], output="y"
    )
    graph = to_precision(b.finish([y]), "f16")
    assert shown(graph) == [
        "Cast x -> x.f16",
        "QuantizeLinear x.f16,s.scale,z -> quantizelinear",
        "DequantizeLinear quantizelinear,s.scale,z -> dq",
        "Cast dq -> dq.f16",
        "Mul dq.f16,s -> y.f16",
        "Cast y.f16 -> y",
    ]
    assert graph.constants["s.scale"] == single(3e-6)
    assert graph.constants["s"] == np.float16(3e-6)


def masked(value: float, how: str) -> Graph:
    b, x = start((2, 3))
    c = b.constant("mask", single([0, value, 0]))
    if how == "Mul Add":
        keep = b.input("keep", TensorType(DType.F32, (2, 3)))
        hidden = b.add("Mul", [b.add("Reshape", [keep], {"shape": (2, 3)}), c])
        x = b.add("Add", [x, hidden])
    elif how == "Where":
        keep = b.input("keep", TensorType(DType.BOOL, (2, 3)))
        x = b.add("Where", [keep, x, c])
    else:
        x = b.add(how, [x, c])
    return b.finish([b.add("Softmax", [x], output="y")])


@pytest.mark.parametrize(
    ("word", "value", "how", "limit"),
    [
        ("f16", -1e9, "Add", -65504),
        ("f16", F32_LOWEST, "Add", -65504),
        ("f16", -65520, "Add", -65504),
        ("f16", 1e9, "Sub", 65504),
        ("f16", -1e9, "Where", -65504),
        ("f16", -1e9, "Mul Add", -65504),
        ("f16", F32_LOWEST, "Max", -65504),
        ("bf16", F32_LOWEST, "Add", float(ml_dtypes.finfo(ml_dtypes.bfloat16).min)),
    ],
)
def test_masks_saturate_with_a_note(word: str, value: float, how: str, limit: float) -> None:
    notes: list[str] = []
    graph = to_precision(masked(value, how), word, notes.append)
    np.testing.assert_array_equal(graph.constants["mask"].astype(np.float64), [0, limit, 0])
    assert notes == [
        f"constant 'mask' masks with {abs(np.float32(value)):.3g}: {abs(limit):.6g} in {word}"
    ]


def test_infinite_masks_stay_infinite() -> None:
    notes: list[str] = []
    graph = to_precision(masked(-np.inf, "Add"), "f16", notes.append)
    assert graph.constants["mask"][1] == -np.inf
    assert notes == []


def test_large_constants_are_an_error_all_at_once() -> None:
    b, x = start((2, 3))
    y = b.add("Mul", [x, b.constant("big", single([1e6, 1, 1]))])
    y = b.add("Add", [y, b.constant("bias", single([7e4, 1, 1]))])
    y = b.add("Add", [y, b.constant("mask", single([-7e4, 1, 1]))])
    y = b.add("Mul", [y, b.constant("lost", single(1e-9))], output="y")
    graph = b.finish([y])
    with pytest.raises(InputError) as caught:
        to_precision(graph, "f16")
    assert caught.value.text() == (
        "error[quantize.range]: constants of 'net' are too large for f16\n"
        "  constant 'big': 1e+06 (at most 65504 in f16; bf16 holds it)\n"
        "  constant 'bias': 70000 (at most 65504 in f16; bf16 holds it)"
    )
    notes: list[str] = []
    to_precision(graph, "bf16", notes.append)
    assert notes == []


def test_a_number_that_becomes_zero_is_noted() -> None:
    b, x = start()
    graph = b.finish([b.add("Add", [x, b.constant("epsilon", single(1e-12))], output="y")])
    notes: list[str] = []
    to_precision(graph, "f16", notes.append)
    assert notes == ["constant 'epsilon' is 1e-12: 0 in f16"]


def test_no_such_precision() -> None:
    with pytest.raises(InputError) as caught:
        to_precision(dense(), "fp16")
    assert caught.value.text() == (
        "error[quantize.precision]: there is no such precision\n"
        "  precision: 'fp16' (did you mean 'f16'?)"
    )


def test_norms_stay_one_node() -> None:
    b, x = start()
    ones = b.constant("g", np.ones(4, np.float32))
    y = b.add("LayerNormalization", [x, ones], {"epsilon": 1e-9})
    y = b.add("RMSNormalization", [b.add("Softmax", [y]), ones], output="y")
    graph = to_precision(b.finish([y]), "f16")
    assert [n.op for n in graph.nodes] == [
        "Cast",
        "LayerNormalization",
        "Softmax",
        "RMSNormalization",
        "Cast",
    ]
    assert graph.nodes[1].attrs["epsilon"] == 1e-9
