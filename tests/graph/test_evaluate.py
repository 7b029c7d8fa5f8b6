"""A graph's values: checked inputs, one rounding a node, the wide reading."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawloom.errors import InputError
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.erf import erf
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.graph.rounding import narrow


def chain() -> Graph:
    builder = GraphBuilder("chain")
    x = builder.input("x", TensorType(DType.F16, (2, 3)))
    y = builder.input("mask", TensorType(DType.BOOL, (3,)))
    half = builder.constant("half", np.float16(1 / 3))
    z = builder.add("Mul", [x, half], name="scaled")
    z = builder.add("Cast", [z], {"to": "f32"}, name="cast")
    y = builder.add("Cast", [y], {"to": "f32"}, name="mask_f32")
    return builder.finish([builder.add("Add", [z, y], name="sum")])


def test_inputs_that_do_not_fit_are_named_all_at_once() -> None:
    with pytest.raises(InputError) as error:
        evaluate(chain(), {"x": np.zeros((2, 4), np.float32), "masc": np.zeros(3)})
    assert error.value.kind == "run.inputs"
    assert error.value.text() == (
        "error[run.inputs]: graph 'chain' cannot run on these inputs\n"
        "  x: f32[2,4] (needs f16[2,3])\n"
        "  mask: missing (needs bool[3])\n"
        "  masc: not an input (did you mean 'mask'?)"
    )


def test_an_input_of_a_dtype_no_graph_holds_is_named_as_numpy_does() -> None:
    inputs = {"x": np.zeros((2, 3), np.complex64), "mask": np.ones(3, np.bool_)}
    with pytest.raises(InputError) as error:
        evaluate(chain(), inputs)
    assert error.value.text() == (
        "error[run.inputs]: graph 'chain' cannot run on these inputs\n"
        "  x: complex64[2,3] (needs f16[2,3])"
    )


def test_each_node_rounds_once_and_the_wide_reading_never() -> None:
    inputs = {"x": np.full((2, 3), 0.7, np.float16), "mask": np.ones(3, np.bool_)}
    x, third = float(np.float16(0.7)), float(np.float16(1 / 3))
    plain = evaluate(chain(), inputs)["sum"]
    assert plain.dtype == np.float32
    assert plain[0, 0] == np.float32(np.float16(x * third)) + np.float32(1)
    exact = evaluate(chain(), inputs, wide=True)["sum"]
    assert exact.dtype == np.float64
    assert exact[0, 0] == x * third + 1


def test_keep_returns_further_values() -> None:
    inputs = {"x": np.zeros((2, 3), np.float16), "mask": np.ones(3, np.bool_)}
    values = evaluate(chain(), inputs, keep=["scaled", "half", "x"])
    assert set(values) == {"sum", "scaled", "half", "x"}


def bf16_by_definition(x: float) -> float:
    """Nearest bf16 by comparing the two neighbours in exact float64 arithmetic."""
    near = float(np.float64(x).astype(ml_dtypes.bfloat16))
    step = float(np.spacing(np.array(near, ml_dtypes.bfloat16)))
    ways = [near + k * step for k in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    legal = [w for w in ways if float(np.float64(w).astype(ml_dtypes.bfloat16)) == w]
    best = min(abs(w - x) for w in legal)
    ties = [w for w in legal if abs(w - x) == best]
    return min(ties, key=lambda w: np.array(w, ml_dtypes.bfloat16).view(np.uint16) & 1)


@given(st.floats(2.0**-100, 2.0**100), st.integers(-3, 3))
def test_bf16_rounds_once(x: float, nudge: int) -> None:
    middle = math.ldexp(round(math.frexp(x)[0] * 512) + 0.5, math.frexp(x)[1] - 9)
    for value in (x, middle, middle * (1 + nudge * 2.0**-50), -middle):
        got = float(narrow(np.array(value), np.dtype(ml_dtypes.bfloat16)))
        assert got == bf16_by_definition(value)


def test_bf16_overflow_and_nan() -> None:
    values = np.array([1e300, -1e300, np.nan, np.inf, 3.3895e38, 3.4e38, 0.0, -0.0])
    got = narrow(values, np.dtype(ml_dtypes.bfloat16)).astype(np.float64)
    expected = [np.inf, -np.inf, np.nan, np.inf, (2 - 2.0**-7) * 2.0**127, np.inf, 0.0, -0.0]
    np.testing.assert_array_equal(got, expected)


@given(st.floats(allow_nan=False))
def test_erf_is_within_two_units_in_the_last_place(x: float) -> None:
    exact = math.erf(x)
    assert abs(float(erf(np.array([x]))[0]) - exact) <= 2 * math.ulp(exact)


def test_erf_of_nan_is_nan() -> None:
    assert np.isnan(erf(np.array([np.nan]))).all()


def test_convolution_of_nothing_is_nothing() -> None:
    builder = GraphBuilder("empty")
    x = builder.input("x", TensorType(DType.F32, (0, 2, 4, 4)))
    w = builder.constant("w", np.ones((3, 2, 3, 3), np.float32))
    graph = builder.finish([builder.add("Conv", (x, w), output="y")])
    made = evaluate(graph, {"x": np.zeros((0, 2, 4, 4), np.float32)})
    assert made["y"].shape == (0, 3, 2, 2)
