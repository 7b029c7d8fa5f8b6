"""What a person reads when a model cannot be read: every text in full."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from tests.frontends.onnx.one import ints, model_of, node, ramp

from drawloom.errors import InputError, Unsupported
from drawloom.frontends.onnx import read_onnx

X = {"x": ramp(2, 3)}
TYPES = (
    "FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, BOOL, FLOAT16, DOUBLE, UINT32, UINT64, "
    "BFLOAT16, FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ, FLOAT8E8M0, FLOAT4E2M1, "
    "INT4, UINT4, INT2, UINT2"
)


def refusal(source: Any, dims: dict[str, int] | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        read_onnx(source, dims)
    return caught.value


def lines(*text: str) -> str:
    return "\n".join(text)


GOOD = model_of([node("Relu", "x")], X).SerializeToString()
WRITERS = "(a file that onnx.save or torch.onnx.export writes)"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", f"an empty file {WRITERS}"),
        (GOOD[:40], f"a file of 40 bytes, no ONNX message or a truncated one {WRITERS}"),
        (b"hello\n" * 9, f"a text of 54 bytes, no ONNX message or a truncated one {WRITERS}"),
        (b"PK\x03\x04...", f"a zip archive, as PyTorch checkpoints are {WRITERS}"),
        (b"\x80\x02...", f"a Python pickle, as old PyTorch checkpoints are {WRITERS}"),
        (b"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras weights are {WRITERS}"),
        (b"<html>", f"HTML or XML {WRITERS}"),
        (b"\x0a\x02ab", f"a file of 4 bytes without a graph {WRITERS}"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "a Git LFS pointer (git lfs pull fetches the file itself)",
        ),
        (
            GOOD.replace(b"relu", b"rel\xff"),
            f"a file of {len(GOOD)} bytes with names that are no UTF-8 {WRITERS}",
        ),
    ],
)
def test_what_is_not_onnx(tmp_path: Path, data: bytes, found: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    assert refusal(path).text() == lines(
        "error[onnx.file]: this is not an ONNX model", f"  {path}: {found}"
    )


def test_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    assert refusal(path).text() == lines(
        "error[onnx.file]: cannot read the model", f"  {path}: no such file or directory"
    )
    assert refusal(tmp_path).text() == lines(
        "error[onnx.file]: cannot read the model", f"  {tmp_path}: is a directory"
    )


def test_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drawloom.frontends.onnx.file.onnx_opset_version", lambda: 21)
    monkeypatch.setattr("onnx.__version__", "1.16")
    error = refusal(model_of([node("Relu", "x")], X, opset=22))
    assert isinstance(error, Unsupported)
    assert error.text() == lines(
        "error[onnx.opset]: the model is newer than the onnx package here (1.16)",
        "  the model given: operator set 22 (from 1 to 21)",
    )


def test_a_graph_that_does_not_hang_together() -> None:
    nodes = [
        node("Abs", "late", "a"),
        node("Relu", "xx", "b"),
        node("Neg", "x", "late"),
        node("Exp", "x", "a"),
    ]
    assert refusal(model_of(nodes, X, outputs=("z",))).text() == lines(
        "error[onnx.graph]: the graph in the model given is not well formed",
        "  node 'abs' (Abs): reads 'late' before it is made (nodes in order of use)",
        "  node 'relu' (Relu): reads 'xx' (did you mean 'x'?)",
        "  node 'exp' (Exp): makes 'a' (each value made once)",
        "  output: 'z' (no node makes it)",
    )


def test_all_unsupported_nodes_at_once() -> None:
    nodes = [
        node("NonMaxSuppression", "x x", "h", name="nms"),
        node("Foo", "h", "q", domain="my.ops", name="foo"),
        node("Realu", "x", "p", name="act"),
        node("Add", "p q", "a", name="sum"),
        node("Cast", "x", "c", name="narrow", to=TensorProto.STRING),
        node("Relu", "x", "r", name="leaky", alpha=0.5),
        node("MaxPool", "x", "m", name="dead"),
        node("Sum", "a c r", "y"),
    ]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("my.ops", 1)]
    error = refusal(model_of(nodes, X, opset_imports=opsets))
    assert isinstance(error, Unsupported)
    assert error.text() == lines(
        "error[onnx.nodes]: 5 nodes of model 'net' cannot be read",
        "  node 'nms' (NonMaxSuppression, opset 13): no such operator here"
        " (how many results there are depends on the data; leave it outside the model)",
        "  node 'foo' (my.ops.Foo, opset 1): no such operator here (none is near it)",
        "  node 'act' (Realu, opset 13): no such operator here (nearest is Relu)",
        f"  node 'narrow' (Cast, opset 13): element type STRING (one of {TYPES})",
        "  node 'leaky' (Relu, opset 13): attribute alpha (Relu takes no attributes)",
    )


@pytest.mark.parametrize(
    ("made", "inputs", "constants", "text"),
    [
        (
            node("Conv", "x w"),
            {"x": ramp(1, 3, 8, 8)},
            {"w": ramp(4, 5, 3, 3)},
            "node 'conv' (Conv, opset 21): operands f32[1,3,8,8], f32[4,5,3,3]"
            " (x has 3 channels; w takes 5 in each of 1 groups and gives 4)",
        ),
        (
            node("Reshape", "x s"),
            X,
            {"s": ints(4, 2)},
            "node 'reshape' (Reshape, opset 21): shape [4, 2] (a shape of 6 elements)",
        ),
        (
            node("Reshape", "x s"),
            X,
            {"s": np.array([np.nan, 2], np.float32)},
            "node 'reshape' (Reshape, opset 21): shape is float32[2] (a list of whole numbers)",
        ),
        (
            node("Expand", "x s"),
            X,
            {"s": ints(-2, 3)},
            "node 'expand' (Expand, opset 21): shape [-2, 3] (a shape that broadcasts with [2, 3])",
        ),
        (
            node("MatMul", "x w"),
            X,
            {"w": np.ones((3, 2))},
            "node 'matmul' (MatMul, opset 21): operands f32[2,3], f64[3,2]"
            " (operands 0, 1 must have one dtype)",
        ),
        (
            node("Softmax", "x", axis=7),
            X,
            {},
            "node 'softmax' (Softmax, opset 21): attribute axis=7 (from -2 to 1)",
        ),
        (
            node("Softmax", "x", axis="last"),
            X,
            {},
            "node 'softmax' (Softmax, opset 21): attribute axis is of kind string (int)",
        ),
        (
            node("Gather", "x i"),
            X,
            {"i": ints(5)},
            "node 'gather' (Gather, opset 21): indices 5 (from -2 to 1)",
        ),
        (
            node("TopK", "x k", "y i"),
            X,
            {"k": np.array([1.5], np.float32)},
            "node 'topk' (TopK, opset 21): k is 1.5 (a whole number)",
        ),
    ],
)
def test_one_node_not_well_formed(made: Any, inputs: Any, constants: Any, text: str) -> None:
    if made.op_type == "Gather":
        inputs, constants = {}, {**constants, **inputs}
    error = refusal(model_of([made], inputs, constants))
    assert not isinstance(error, Unsupported)
    assert error.text() == lines(
        "error[onnx.nodes]: 1 node of model 'net' not well formed", f"  {text}"
    )


def test_an_operand_that_must_be_constant() -> None:
    error = refusal(model_of([node("Reshape", "x s")], {**X, "s": ints(3, 2)}))
    assert isinstance(error, Unsupported)
    assert error.text() == lines(
        "error[onnx.nodes]: 1 node of model 'net' cannot be read",
        "  node 'reshape' (Reshape, opset 21): shape depends on the model's inputs"
        " (a constant shape)",
    )


def symbolic(*words: str) -> ModelProto:
    model = model_of([node("Relu", "x")], X)
    for dim, word in zip(model.graph.input[0].type.tensor_type.shape.dim, words, strict=True):
        dim.Clear()
        if word:
            dim.dim_param = word
    return model


def test_symbolic_dims_all_at_once() -> None:
    assert refusal(symbolic("batch", "")).text() == lines(
        "error[onnx.inputs]: the model's inputs are not settled",
        "  input 'x' dim 0: 'batch' has no number (give it one: --dim batch=1)",
        "  input 'x' dim 1: 'x.1' has no number (give it one: --dim x.1=1)",
    )
    dims = {"bach": 2, "past": -1}
    assert refusal(symbolic("batch", "past + seq"), dims).text() == lines(
        "error[onnx.inputs]: the model's inputs are not settled",
        "  input 'x' dim 0: 'batch' has no number (give it one: --dim batch=1)",
        "  input 'x' dim 1: 'past + seq' has no number (give it one: --dim seq=1)",
        "  --dim bach: no such dim (did you mean 'batch'?)",
        "  --dim past: -1 (at least 0)",
    )
    assert refusal(model_of([node("Relu", "x")], X), {"batch": 1}).text() == lines(
        "error[onnx.inputs]: the model's inputs are not settled",
        "  --dim batch: no such dim (the model has none)",
    )
    assert refusal(symbolic("a - b", "a"), {"a": 1, "b": 3}).text() == lines(
        "error[onnx.inputs]: the model's inputs are not settled",
        "  input 'x' dim 0: 'a - b' is -2 (at least 0)",
    )


def test_symbolic_dims_get_numbers() -> None:
    graph = read_onnx(symbolic("batch", "2 * (past + seq) // 3"), {"batch": 4, "past": 1, "seq": 5})
    assert graph.types["x"].shape == (4, 4)
    assert read_onnx(symbolic("", "a b"), {"x.0": 7, "a b": 2}).types["y"].shape == (7, 2)


def test_inputs_that_are_no_tensors() -> None:
    model = model_of([node("Relu", "x")], {"x": ramp(2), "z": ramp(2), "w": ramp(2), "v": ramp(2)})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    model.graph.input[1].type.sequence_type.elem_type.tensor_type.elem_type = 1
    model.graph.input[2].type.tensor_type.ClearField("shape")
    model.graph.input[3].type.tensor_type.shape.dim[0].dim_value = -1
    assert refusal(model).text() == lines(
        "error[onnx.inputs]: the model's inputs are not settled",
        f"  input 'x': element type STRING (one of {TYPES})",
        "  input 'z': sequence (a tensor)",
        "  input 'w': no shape (a rank; export the model with shapes)",
        "  input 'v' dim 0: -1 in the file, so 'v.0' has no number (give it one: --dim v.0=1)",
    )


@pytest.mark.slow
def test_damage_never_shows_as_a_raw_exception() -> None:
    draw = random.Random(1)
    constants = {"w": ramp(4, 2, 3, 3), "s": ints(1, -1), "v": ramp(64, 5)}
    nodes = [
        node("Conv", "x w", "c", pads=[1] * 4, strides=[2, 2], auto_pad="NOTSET"),
        node("Relu", "c", "r"),
        node("Reshape", "r s", "f"),
        node("Gemm", "f v", "g", transB=0, alpha=0.5),
        node("Softmax", "g", axis=-1),
    ]
    data = model_of(nodes, {"x": ramp(1, 2, 8, 8)}, constants).SerializeToString()
    for _ in range(5_000):
        bad = bytearray(data)
        for _ in range(draw.choice((1, 2, 5))):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        try:
            read_onnx(bytes(bad[: draw.choice((len(bad), draw.randrange(len(bad))))]))
        except InputError as error:
            assert error.text().startswith("error[onnx.")  # noqa: PT017
