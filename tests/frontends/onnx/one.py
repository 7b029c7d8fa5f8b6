"""Models of one node, or a few, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from drawloom.frontends.onnx import read_onnx
from drawloom.graph.evaluate import evaluate

Arrays = Mapping[str, NDArray[Any]]


def info(name: str, array: NDArray[Any]) -> Any:
    dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, dtype, list(array.shape))


def graph_of(
    nodes: Sequence[NodeProto], inputs: Arrays, constants: Arrays, outputs: Sequence[str]
) -> GraphProto:
    return helper.make_graph(
        list(nodes),
        "net",
        [info(name, array) for name, array in inputs.items()],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Arrays,
    constants: Arrays | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 21,
    **more: Any,
) -> ModelProto:
    graph = graph_of(nodes, inputs, constants or {}, outputs)
    opsets = more.pop("opset_imports", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def node(op: str, inputs: str, outputs: str = "y", name: str = "", **attrs: Any) -> NodeProto:
    """A node; operands are words in one text, ``-`` is an absent one."""
    words = ["" if w == "-" else w for w in inputs.split()]
    return helper.make_node(op, words, outputs.split(), name=name or op.lower(), **attrs)


def run(model: ModelProto, inputs: Arrays) -> list[NDArray[Any]]:
    graph = read_onnx(model)
    made = evaluate(graph, {k: v for k, v in inputs.items() if k in graph.inputs})
    return [made[o] for o in graph.outputs]


def run_one(
    op: str, opset: int, inputs: Arrays, constants: Arrays | None = None, **attrs: Any
) -> NDArray[Any]:
    """Read and evaluate a model of one node whose operands are all given, in order."""
    names = " ".join([*inputs, *(constants or {})])
    (y,) = run(model_of([node(op, names, **attrs)], inputs, constants, opset=opset), inputs)
    return y


def ramp(*shape: int, dtype: Any = np.float32) -> NDArray[Any]:
    """Numbers that differ, about 0."""
    size = int(np.prod(shape))
    return ((np.arange(size) - size // 2) / 4).reshape(shape).astype(dtype)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)
