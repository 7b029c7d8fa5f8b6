"""The sound files that mutants are made of, by name; the name's ending says the format."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from safetensors.numpy import save
from tests.frontends.onnx.cases import node_cases, plain
from tests.frontends.onnx.one import ints, model_of, node, ramp
from tests.frontends.weights.files import gguf_bytes
from tests.fuzz.mutants import BYTES

ROOT = Path(__file__).parents[2]
CASES = (
    "test_add_bcast",
    "test_averagepool_2d_pads",
    "test_batchnorm_epsilon",
    "test_cast_FLOAT_to_FLOAT16",
    "test_clip",
    "test_concat_2d_axis_1",
    "test_constant_pad",
    "test_convtranspose_pads",
    "test_basic_conv_with_padding",
    "test_cumsum_2d_axis_1",
    "test_dequantizelinear_axis",
    "test_div",
    "test_einsum_batch_matmul",
    "test_expand_dim_changed",
    "test_gather_1",
    "test_gemm_all_attributes",
    "test_hardsigmoid",
    "test_layer_normalization_4d_axis1",
    "test_lstm_with_initial_bias",
    "test_matmul_3d",
    "test_max_example",
    "test_maxpool_2d_ceil",
    "test_onehot_with_axis",
    "test_qlinearmatmul_2D_uint8_float32",
    "test_quantizelinear_axis",
    "test_reduce_mean_keepdims_example",
    "test_reshape_negative_dim",
    "test_resize_upsample_scales_nearest",
    "test_rotary_embedding",
    "test_scatter_elements_with_axis",
    "test_slice",
    "test_softmax_axis_1",
    "test_split_equal_parts_2d_opset13",
    "test_squeeze_negative_axes",
    "test_tile",
    "test_top_k",
    "test_transpose_all_permutations_3",
    "test_where_example",
)


def _conv(n_in: int, n_out: int) -> dict[str, Any]:
    return {"w": ramp(n_out, n_in, 3, 3), "b": ramp(n_out)}


# One node each: the node, its constants, its input where it is not a matrix.
IMAGE = ramp(1, 2, 4, 5)
NODES: dict[str, tuple[NodeProto, dict[str, Any], Any]] = {
    "softmax": (node("Softmax", "x", axis=1), {}, None),
    "conv": (node("Conv", "x w b", pads=[1, 0, 1, 0]), _conv(2, 3), IMAGE),
    "pool": (node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 1]), {}, IMAGE),
    "gemm": (node("Gemm", "x w", alpha=0.5, transB=1), {"w": ramp(5, 4)}, None),
    "gather": (node("Gather", "x i", axis=1), {"i": ints(3, 0, -1)}, None),
    "slice": (node("Slice", "x s e a"), {"s": ints(0), "e": ints(3), "a": ints(1)}, None),
    "pad": (node("Pad", "x p", mode="reflect"), {"p": ints(1, 0, 1, 2)}, None),
    "reshape": (node("Reshape", "x k"), {"k": ints(2, -1, 3)}, None),
    "expand": (node("Expand", "x k"), {"k": ints(2, 1, 4)}, None),
    "tile": (node("Tile", "x k"), {"k": ints(2, 3)}, None),
    "reduce": (node("ReduceSum", "x k", keepdims=0), {"k": ints(-1)}, None),
    "norm": (node("LayerNormalization", "x w"), {"w": ramp(4)}, None),
    "clip": (node("Clip", "x l h"), {"l": np.float32(-1), "h": np.float32(0.5)}, None),
    "cast": (node("Cast", "x", to=TensorProto.INT32), {}, None),
    "codes": (node("QuantizeLinear", "x s z"), {"s": np.float32(0.1), "z": np.uint8(9)}, None),
    "resize": (node("Resize", "x - s"), {"s": np.array([1, 1, 2, 2], np.float32)}, IMAGE),
    "einsum": (node("Einsum", "x w", equation="ij,kj->ik"), {"w": ramp(5, 4)}, None),
    "topk": (node("TopK", "x k", "y i"), {"k": ints(2)}, None),
    "cumsum": (node("CumSum", "x a"), {"a": np.int64(1)}, None),
    "onehot": (node("OneHot", "i d v"), {"i": ints(0, 2), "d": ints(3), "v": ramp(2)}, None),
}


@cache
def node_originals() -> dict[str, bytes]:
    """Return models of ONNX's own node cases; to collect them takes a while."""
    wanted = {case.name: case for case in node_cases() if case.name in CASES}
    return {f"{n.removeprefix('test_')}.onnx": _with_constants(c) for n, c in wanted.items()}


@cache
def originals() -> dict[str, bytes]:
    """Return every sound file."""
    return {**_onnx(), **_safetensors(), **_gguf()}


def kinds_of(name: str) -> Sequence[str]:
    """Return the kinds of mutation that suit a file, the more telling ones more often."""
    if name.endswith(".onnx"):
        return (*BYTES, *["field"] * 10)
    if name.endswith(".safetensors"):
        return (*BYTES, *["header", "digits"] * 4)
    return (*BYTES, *["number"] * 5)


def _onnx() -> dict[str, bytes]:
    found = {"digits.onnx": _digits()}
    for name, (one, constants, x) in NODES.items():
        model = model_of([one], {"x": ramp(3, 4) if x is None else x}, constants)
        found[f"{name}.onnx"] = model.SerializeToString()
    found["outside.onnx"] = _outside().SerializeToString()
    found["chain.onnx"] = _chain().SerializeToString()
    found["branches.onnx"] = _branches().SerializeToString()
    return found


def _digits() -> bytes:
    """Return the classifier of the examples, for two digits at once."""
    model = onnx.load(ROOT / "examples" / "digits" / "digits.onnx")
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_value = 2
    return model.SerializeToString()


def _with_constants(case: Any) -> bytes:
    """Return a case's model with all inputs but the first as its constants."""
    model = type(case.model)()
    model.CopyFrom(case.model)
    values = [plain(value) for value in case.data_sets[0][0]]
    for info, value in list(zip(model.graph.input, values, strict=False))[1:]:
        if isinstance(value, (np.ndarray, np.generic)):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), info.name))
    return model.SerializeToString()


def _outside() -> Any:
    """Return a model whose weights lie in ``data.bin``, and its text in two external entries."""
    model = model_of([node("MatMul", "x w")], {"x": ramp(2, 4)}, {"w": ramp(4, 3)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "data.bin"), ("offset", "0"), ("length", "48")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


def _chain() -> Any:
    """Return a model of several nodes, with typed fields, a sparse weight, a function."""
    body = helper.make_function(
        "com.acme",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 21)],
    )
    typed = helper.make_tensor("k", TensorProto.INT64, [2], [3, -1])
    half = helper.make_tensor("h", TensorProto.FLOAT16, [3], [1.0, 2.0, 3.0])
    model = model_of(
        [
            node("Reshape", "x k", "r"),
            helper.make_node("Twice", ["r"], ["t"], name="twice", domain="com.acme"),
            node("Cast", "h", "f", to=TensorProto.FLOAT),
            node("Gemm", "w t", "g", name="gemm", alpha=0.5, transA=1),
            node("Softmax", "g", "s", axis=0),
            node("Relu", "s", "y"),
        ],
        {"x": ramp(3, 4)},
        {"w": ramp(3, 5)},
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.acme", 1)],
    )
    model.graph.initializer.extend([typed, half])
    model.functions.append(body)
    return model


def _branches() -> Any:
    """Return a model with an If that a constant decides, and codes of four bits."""
    value = helper.make_tensor_value_info
    then = helper.make_graph(
        [node("Neg", "x", "t")], "then", [], [value("t", TensorProto.FLOAT, None)]
    )
    other = helper.make_graph(
        [node("Abs", "x", "o")], "else", [], [value("o", TensorProto.FLOAT, None)]
    )
    narrow = helper.make_tensor("q", TensorProto.INT4, [3, 4], list(range(-6, 6)))
    model = model_of(
        [
            node("If", "yes", "a", then_branch=then, else_branch=other),
            node("DequantizeLinear", "q s", "c"),
            node("Add", "a c", "y"),
        ],
        {"x": ramp(3, 4)},
        {"yes": np.array(True), "s": np.array(0.5, np.float32)},
    )
    model.graph.initializer.append(narrow)
    return model


def _safetensors() -> dict[str, bytes]:
    mixed = {
        "w": ramp(40, 10),
        "half": ramp(2, 2, dtype=np.float16),
        "i": np.arange(5, dtype=np.int64),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 7), np.int8),
    }
    return {
        "mixed.safetensors": save(mixed, {"format": "np"}),
        "one.safetensors": save({"a": np.arange(3, dtype=np.uint8)}),
    }


def _gguf() -> dict[str, bytes]:
    golden = ROOT / "tests" / "golden" / "gguf"
    blocks = bytes(range(34))
    plain = gguf_bytes(
        {"general.architecture": "qwen2"}, {"output_norm.weight": (8, (32,), blocks)}
    )
    files = {f"{name}.gguf": (golden / f"{name}.gguf").read_bytes() for name in ("blocks", "llama")}
    return {**files, "small.gguf": plain}
