"""What a node must do that no rewriting can spare it: multiply-adds, and functions of elements."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from drawloom.graph.ir import Node, TensorType

Types = Mapping[str, TensorType]

# Where the operands of a product stand among a node's inputs.
_PRODUCTS = {"MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
_CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}
# Operators that need a function of every element: of what they read, or of what they give.
_OF_INPUTS = ("Softmax", "LogSoftmax")
_OF_OUTPUTS = (
    "Exp", "Tanh", "Sigmoid", "Erf", "Gelu", "Silu", "Log", "Sin", "Cos", "Softplus", "Mish",
)  # fmt: skip


def format_word(dtype: str) -> str:
    """Return the format word under which a chip lists the rate of its matrix engine."""
    return {"u8": "i8", "f32": "tf32"}.get(dtype, dtype)


def node_macs(node: Node, types: Types) -> tuple[str, int]:
    """Return a node's format word and multiply-adds on the matrix engine (0 for other work).

    Of causal or windowed attention only the pairs of query and key that may meet count.
    """
    if not node.inputs or not node.inputs[0]:
        return "", 0
    first, out = types[node.inputs[0]], types[node.outputs[0]]
    fmt = format_word(first.dtype.value)
    if node.op in _PRODUCTS:
        inner = first.shape[-2] if node.int("trans_a") else first.shape[-1]
        return fmt, out.size * inner
    if node.op in _CONVOLUTIONS:
        weights = types[node.inputs[_CONVOLUTIONS[node.op][1]]]
        return fmt, out.size * prod(weights.shape[1:])
    if node.op == "ConvTranspose":
        return fmt, first.size * prod(types[node.inputs[1]].shape[1:])
    if node.op == "Attention":
        v = types[node.inputs[2]].shape
        return fmt, attention_pairs(node, types) * (first.shape[3] + v[3])
    return fmt, 0


def node_functions(node: Node, types: Types) -> int:
    """Return of how many elements a node needs a function that only vector engines have."""
    if node.op == "Attention":
        return attention_pairs(node, types)
    if node.op in _OF_INPUTS:
        kind = types[node.inputs[0]]
        # A softmax over one element is 1 whatever it is.
        return 0 if kind.shape[node.int("axis", -1)] == 1 else kind.size
    if node.op in _OF_OUTPUTS:
        return types[node.outputs[0]].size
    return 0


def attention_pairs(node: Node, types: Types) -> int:
    """Count the pairs of query and key, of all heads, that the node's own rule lets meet."""
    q, k = (types[value].shape for value in node.inputs[:2])
    at = np.arange(q[2], dtype=np.int64) + node.int("offset")
    first, last = np.zeros_like(at), np.full_like(at, k[2] - 1)
    if node.int("is_causal"):
        last = np.minimum(last, at)
    if (left := node.int("left_window", -1)) >= 0:
        first = np.maximum(first, at - left)
    if (right := node.int("right_window", -1)) >= 0:
        last = np.minimum(last, at + right)
    return q[0] * q[1] * int(np.maximum(last - first + 1, 0).sum())
