"""Weights: every way a tensor may be stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper
from tests.frontends.onnx.one import ints, model_of, node, ramp, run

from drawloom.errors import InputError
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.ir import Array

DTYPES = "f4 f8 f2 i1 u1 i2 u2 i4 u4 i8 u8 ?"


def weight(tensor: TensorProto) -> Array:
    """Read a tensor as the weight of a model that only hands it on."""
    tensor.name = "y"
    graph = helper.make_graph(
        [], "net", [], [helper.make_tensor_value_info("y", 1, None)], [tensor]
    )
    read = read_onnx(helper.make_model(graph))
    return read.constants[read.outputs[0]]


@pytest.mark.parametrize("word", DTYPES.split())
def test_typed_fields_and_raw_bytes(word: str) -> None:
    values = np.array([[0, 1, 2], [3, 100, 7]]).astype(word)
    code = helper.np_dtype_to_tensor_dtype(values.dtype)
    np.testing.assert_array_equal(weight(numpy_helper.from_array(values)), values)
    typed = helper.make_tensor("y", code, values.shape, values.reshape(-1))
    assert not typed.HasField("raw_data")
    assert weight(typed).dtype == values.dtype
    np.testing.assert_array_equal(weight(typed), values)


def test_bfloat16() -> None:
    values = np.array([1.5, -2.25, 3e38], ml_dtypes.bfloat16)
    typed = helper.make_tensor("y", TensorProto.BFLOAT16, [3], values)
    np.testing.assert_array_equal(weight(typed), values)


def test_sparse_weights() -> None:
    values = numpy_helper.from_array(np.array([5, 7], np.float32), "x")
    for places in (ints(1, 5), np.array([[0, 1], [1, 2]])):
        sparse = SparseTensorProto(dims=[2, 3], values=values)
        sparse.indices.CopyFrom(numpy_helper.from_array(places))
        model = model_of([node("Relu", "x")], {})
        model.graph.sparse_initializer.append(sparse)
        expected = np.array([[0, 5, 0], [0, 0, 7]], np.float32)
        np.testing.assert_array_equal(run(model, {})[0], expected)


@pytest.mark.parametrize("code", [TensorProto.INT4, TensorProto.UINT4])
def test_codes_of_four_bits_are_dequantized(code: int) -> None:
    codes = np.array([-8, 7, 3, -1, 0] if code == TensorProto.INT4 else [0, 15, 8, 1, 3])
    constants = {"s": np.array(0.5, np.float32)}
    model = model_of([node("DequantizeLinear", "q s")], {}, constants)
    model.graph.initializer.append(helper.make_tensor("q", code, [5], codes))
    np.testing.assert_array_equal(run(model, {})[0], codes * np.float32(0.5))
    graph = read_onnx(model)
    assert [n.op for n in graph.nodes] == ["DequantizeLinear"]


def with_external(**entries: Any) -> ModelProto:
    model = model_of([node("Add", "x b")], {"x": ramp(2, 3)}, {"b": ramp(3)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return model


def test_data_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"pad!" + ramp(3).tobytes() + b"more")
    path = tmp_path / "net.onnx"
    model = with_external(location="sub/w.bin", offset=4, length=12)
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(read_onnx(path).constants["b"], ramp(3))


def test_a_model_saved_with_external_data(tmp_path: Path) -> None:
    model = model_of([node("Add", "x b")], {"x": ramp(64, 64)}, {"b": ramp(64, 64)})
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0)
    np.testing.assert_array_equal(read_onnx(path).constants["b"], ramp(64, 64))


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"location": "../w.bin"}, "data in file '../w.bin' (a file in the model's own folder)"),
        (
            {"location": "/etc/passwd"},
            "data in file '/etc/passwd' (a file in the model's own folder)",
        ),
        ({"location": "out"}, "data in file 'out' (a file in the model's own folder)"),
        ({"location": "w.bin\0"}, "data in file 'w.bin\\x00' (a file's name)"),
        ({"location": "w" * 3000}, f"data in file '{'w' * 40}' (a file's name)"),
        (
            {"location": "w.bin", "offset": "1" * 5000},
            f"external data offset '{'1' * 40}' (a whole number of at least 0)",
        ),
        ({"location": "no.bin"}, "data in file 'no.bin' (no such file in {root})"),
        ({"location": "w.bin"}, "file 'w.bin' ends at byte 8 (data from 0 to 12)"),
        ({"location": "w.bin", "length": 8}, "8 bytes in file 'w.bin' (12, as its shape says)"),
        (
            {"location": "w.bin", "offset": -4},
            "external data offset '-4' (a whole number of at least 0)",
        ),
    ],
)
def test_data_that_cannot_be_read(tmp_path: Path, entries: dict[str, Any], text: str) -> None:
    root = tmp_path / "model"
    root.mkdir()
    (tmp_path / "w.bin").write_bytes(b"x" * 12)
    (root / "out").symlink_to(tmp_path / "w.bin")
    (root / "w.bin").write_bytes(b"12345678")
    path = root / "net.onnx"
    path.write_bytes(with_external(**entries).SerializeToString())
    with pytest.raises(InputError) as caught:
        read_onnx(path)
    assert caught.value.text() == (
        "error[onnx.weights]: 1 weight of model 'net' not well formed\n"
        f"  weight 'b': {text.format(root=root.resolve())}"
    )


def test_wrong_sizes_all_at_once() -> None:
    model = model_of([node("Sum", "x a b c")], {"x": ramp(3)}, {k: ramp(3) for k in "abc"})
    model.graph.initializer[0].raw_data = b"abc"
    model.graph.initializer[1].dims[0] = -3
    model.graph.initializer[2].data_location = TensorProto.EXTERNAL
    with pytest.raises(InputError) as caught:
        read_onnx(model)
    assert caught.value.text() == (
        "error[onnx.weights]: 3 weights of model 'net' not well formed\n"
        "  weight 'a': 3 bytes (12, as its shape and type say)\n"
        "  weight 'b': shape [-3] (up to 64 dims of at least 0)\n"
        "  weight 'c': data in file '' (read the model by its path, so that files are found)"
    )
