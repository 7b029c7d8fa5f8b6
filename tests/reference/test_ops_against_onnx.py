"""Every operator means what ONNX says: compared with ONNX Runtime or ONNX's own evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator
from tests.reference.op_cases import CASES, Case

from drawloom.graph.build import infer_node
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Node, TensorType
from drawloom.graph.ops import OPS

OPSET = 23
OURS_ALONE = {"Range", "UnpackInt4"}
"""ONNX's Range takes tensors, ours is a constant; ONNX packs neighbours. See tests/graph."""
WORDS = {
    "f64": onnx.TensorProto.DOUBLE,
    "f32": onnx.TensorProto.FLOAT,
    "f16": onnx.TensorProto.FLOAT16,
    "i8": onnx.TensorProto.INT8,
    "u8": onnx.TensorProto.UINT8,
    "i32": onnx.TensorProto.INT32,
    "i64": onnx.TensorProto.INT64,
    "bool": onnx.TensorProto.BOOL,
}
SPREAD = {
    "Reshape": ["shape"],
    "Slice": ["starts", "ends", "axes", "steps"],
    "Expand": ["shape"],
    "Tile": ["repeats"],
    "TopK": ["k"],
    "CumSum": ["axis"],
    "Trilu": ["k"],
}
RENAMED = {"Silu": "Swish"}
SCALAR = {("CumSum", "axis"), ("Trilu", "k")}


def spread_reduction(case: Case) -> tuple[list[Any], dict[str, Any]]:
    attrs = dict(case.attrs)
    axes = attrs.pop("axes", None)
    extra = [] if axes is None else [np.array(axes, np.int64)]
    return [*case.arrays, *extra], attrs


def spread_pad(case: Case) -> tuple[list[Any], dict[str, Any]]:
    attrs = dict(case.attrs)
    pads = np.array(attrs.pop("pads"), np.int64)
    return [case.arrays[0], pads, *case.arrays[1:]], attrs


def spread_clip(case: Case) -> tuple[list[Any], dict[str, Any]]:
    dtype = case.arrays[0].dtype
    ends = [
        np.array(case.attrs[key], dtype) if key in case.attrs else None for key in ("min", "max")
    ]
    return [case.arrays[0], *ends], {}


def spread_resize(case: Case) -> tuple[list[Any], dict[str, Any]]:
    attrs = dict(case.attrs)
    sizes = np.array(attrs.pop("sizes"), np.int64)
    roi = np.array(attrs.pop("roi", ()), np.float32)
    scales = np.array(attrs.pop("scales", ()), np.float32)
    if scales.size:
        return [case.arrays[0], roi, scales], attrs
    return [case.arrays[0], roi, None, sizes], attrs


def spread_one_hot(case: Case) -> tuple[list[Any], dict[str, Any]]:
    attrs = dict(case.attrs)
    return [case.arrays[0], np.array(attrs.pop("depth"), np.int64), case.arrays[1]], attrs


def spread_cast(case: Case) -> tuple[list[Any], dict[str, Any]]:
    attrs = dict(case.attrs)
    key = "to" if case.op == "Cast" else "dtype"
    if key in attrs:
        attrs[key] = WORDS[str(attrs[key])]
    return list(case.arrays), attrs


def spread_matmul(case: Case) -> tuple[list[Any], dict[str, Any]]:
    pair = [
        np.swapaxes(a, -1, -2) if case.attrs.get(key) else a
        for a, key in zip(case.arrays, ("trans_a", "trans_b"), strict=True)
    ]
    return pair, {}


SPECIAL = {
    "Pad": spread_pad,
    "Clip": spread_clip,
    "Resize": spread_resize,
    "OneHot": spread_one_hot,
    "Cast": spread_cast,
    "EyeLike": spread_cast,
    "MatMul": spread_matmul,
}


def onnx_form(case: Case) -> tuple[list[Any], dict[str, Any]]:
    if case.op in SPECIAL:
        return SPECIAL[case.op](case)
    if case.op.startswith("Reduce"):
        return spread_reduction(case)
    attrs = dict(case.attrs)
    extra = []
    for key in SPREAD.get(case.op, []):
        if key in attrs:
            value = attrs.pop(key)
            value = value if isinstance(value, tuple) or (case.op, key) in SCALAR else (value,)
            extra.append(np.array(value, np.int64))
        else:
            extra.append(None)
    return [*case.arrays, *extra], attrs


def onnx_model(case: Case) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    arrays, attrs = onnx_form(case)
    while arrays and arrays[-1] is None:
        arrays.pop()
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    outputs = [f"y{i}" for i in range(case.n_outputs)]
    node = onnx.helper.make_node(RENAMED.get(case.op, case.op), names, outputs, **attrs)
    feeds = {n: np.asarray(a) for n, a in zip(names, arrays, strict=True) if n}
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [
            onnx.helper.make_tensor_value_info(
                n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape
            )
            for n, a in feeds.items()
        ],
        [onnx.ValueInfoProto(name=y) for y in outputs],
    )
    opset = 24 if case.op in ("Silu", "Swish", "TensorScatter") else OPSET
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=11
    )
    return model, feeds


def expected(case: Case) -> list[np.ndarray]:
    model, feeds = onnx_model(case)
    if not case.standard:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(
                onnx.shape_inference.infer_shapes(model).SerializeToString(), options
            )
            return [np.asarray(a) for a in session.run(None, feeds)]
        except Exception:  # no kernel for this type there: ONNX's own evaluator has one
            pass
    return [np.asarray(a) for a in ReferenceEvaluator(model).run(None, feeds)]


def got(case: Case) -> list[np.ndarray]:
    names = tuple("" if a is None else f"x{i}" for i, a in enumerate(case.arrays))
    outputs = tuple(f"y{i}" for i in range(case.n_outputs))
    node = Node("n", case.op, names, outputs, case.attrs)
    types = {
        n: TensorType(DType.of(a.dtype), a.shape)
        for n, a in zip(names, case.arrays, strict=True)
        if n
    }
    inferred = infer_node(node, types)
    made = evaluate_node(node, tuple(case.arrays))
    for kind, array in zip(inferred, made, strict=False):
        assert (kind.shape, kind.dtype.numpy) == (array.shape, array.dtype)
    return list(made[: case.n_outputs])


@pytest.mark.parametrize("case", [c for c in CASES if c.op not in OURS_ALONE], ids=str)
def test_operator_means_what_onnx_says(case: Case) -> None:
    for ours, theirs in zip(got(case), expected(case), strict=True):
        assert ours.dtype == theirs.dtype
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=case.rtol, atol=case.atol)
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_every_operator_is_compared() -> None:
    assert {case.op for case in CASES} | OURS_ALONE == set(OPS)
