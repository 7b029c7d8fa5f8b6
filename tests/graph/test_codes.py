"""Codes: numbers of eight bits and fewer, converted as ONNX's own reference converts them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference.ops.op_cast import cast_to

from drawloom.frontends.onnx.tensors import DTYPES, to_array
from drawloom.graph.bounds import local_bounds
from drawloom.graph.codes import ROUND_MODES, of_code, to_code
from drawloom.graph.dtypes import CODE_FLOATS, CODES, DType
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.files import graph_bytes, graph_of
from drawloom.graph.ir import Graph, Node, TensorType
from drawloom.graph.lazy import Constants

NUMBER_OF: dict[DType, Any] = {dtype: code for code, dtype in DTYPES.items()}
ALL = sorted(CODES, key=lambda d: d.value)
FLOAT_CODES = sorted(CODE_FLOATS - {DType.F8E8M0}, key=lambda d: d.value)


def samples() -> NDArray[np.float32]:
    """Return numbers of every size, ties between neighbours of each format among them."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(-1, 1, 4000) * 2.0 ** rng.integers(-20, 20, 4000)
    steps = np.arange(-4096, 4096) / 128
    odd = [0.0, -0.0, np.inf, -np.inf, 1e38, -1e38, 448, 464, 465, 57344, 61440, 240, 248]
    return np.concatenate([sizes, steps, steps * 16, steps * 256, odd]).astype(np.float32)


def same(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found.astype(np.float32), wanted.astype(np.float32))


def cast(x: NDArray[Any], to: DType, **attrs: Any) -> NDArray[Any]:
    return evaluate_node(Node("c", "Cast", ("x",), ("y",), {"to": to.value, **attrs}), (x,))[0]


@pytest.mark.parametrize(("dtype", "saturate"), list(itertools.product(FLOAT_CODES, [False, True])))
def test_floats_become_codes_as_onnx_says(dtype: DType, saturate: bool) -> None:
    x = np.append(samples(), np.float32(np.nan))
    if dtype is DType.F4E2M1:
        x, saturate = x[~np.isnan(x)], True
    found = cast(x, dtype, saturate=int(saturate))
    same(found, cast_to(x, NUMBER_OF[dtype], saturate))


@pytest.mark.parametrize("dtype", FLOAT_CODES)
def test_a_wide_number_is_rounded_once(dtype: DType) -> None:
    """Just above a tie, by less than float32 can tell."""
    one = float(to_code(np.asarray(1.0), dtype).astype(np.float64))
    above = float(np.nextafter(to_code(np.asarray(one), dtype), np.asarray(2, dtype.numpy)))
    tie = (one + above) / 2
    assert float(to_code(np.asarray(tie + 2.0**-40), dtype).astype(np.float64)) == above
    assert float(to_code(np.asarray(tie - 2.0**-40), dtype).astype(np.float64)) == one


@pytest.mark.parametrize("mode", ROUND_MODES)
def test_powers_of_two_are_rounded_as_onnx_says(mode: str) -> None:
    x = np.abs(samples())
    found = cast(x, DType.F8E8M0, round_mode=mode)
    same(found, cast_to(x, TensorProto.FLOAT8E8M0, True, mode))


@pytest.mark.parametrize("dtype", [DType.I4, DType.U4, DType.I2, DType.U2])
def test_whole_codes_keep_the_low_bits(dtype: DType) -> None:
    x = np.arange(-40, 41)
    for source in (x.astype(np.float32), x.astype(np.int64), x.astype(np.int8)):
        same(cast(source, dtype), x.astype(dtype.numpy))
    odd = np.array([np.nan, np.inf, -np.inf, 1.9, -1.9])
    wanted = np.array([0, 0, 0, 1, -1]).astype(dtype.numpy)
    same(cast(odd, dtype), wanted)


@pytest.mark.parametrize("dtype", ALL)
def test_every_code_comes_back_from_wider_formats(dtype: DType) -> None:
    codes = np.unique(of_code(np.arange(256, dtype=np.uint8).view(dtype.numpy)))
    codes = codes[~np.isnan(codes)].astype(dtype.numpy)
    for wider in (DType.F32, DType.F64):
        back = cast(cast(codes, wider), dtype, saturate=0, round_mode="down")
        same(back, codes)


@pytest.mark.parametrize("dtype", ALL)
def test_packed_codes_are_read(dtype: DType) -> None:
    codes = np.arange(7, dtype=np.uint8).view(np.int8).astype(np.float32)
    array = to_code(codes, dtype)
    same(to_array(numpy_helper.from_array(array, "c"), None), array)


def test_codes_are_kept_in_files() -> None:
    held = {d.value: to_code(np.arange(5, dtype=np.float32), d) for d in ALL}
    types = {name: TensorType(DType(name), (5,)) for name in held}
    graph = Graph("codes", (), tuple(held), (), types, Constants(dict(held)))
    back = graph_of(graph_bytes(graph), "codes.graph")
    for name, array in held.items():
        same(back.constants[name], array)


@pytest.mark.parametrize("dtype", ALL)
def test_the_bound_on_a_code_of_known_numbers_is_zero(dtype: DType) -> None:
    x = np.linspace(-3, 3, 50).astype(np.float32)
    node = Node("c", "Cast", ("x",), ("y",), {"to": dtype.value})
    (bound,) = local_bounds(node, (x,))
    known = ~np.isnan(np.asarray(bound.value, np.float64))
    assert not bound.error[known].any()
    assert bound.holds(cast(x, dtype)).all()
