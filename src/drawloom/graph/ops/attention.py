"""Scaled dot-product attention as one node: softmax(q kT scale + mask) v."""

from __future__ import annotations

import math

import numpy as np

from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    BOOLS,
    FLOATS,
    Arrays,
    Operator,
    Types,
    given,
    maybe,
    need_dtype,
    need_same_dtype,
    optional,
    refuse,
    refuse_attr,
    tensor,
)
from drawloom.graph.rounding import Wide, narrow, wide


def _rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    """Take q (batch, heads, queries, d), k (batch, kv heads, keys, d), v (..., keys, dv)."""
    need_dtype(node, types, 0, FLOATS)
    dtype = need_same_dtype(node, types, (0, 1, 2))
    q, k, v = (given(types, i).shape for i in range(3))
    if not len(q) == len(k) == len(v) == 4:
        refuse(node, types, "q, k and v must have rank 4: batch, head, position, feature")
    if q[0] != k[0] or k[:3] != v[:3] or q[3] != k[3]:
        refuse(node, types, "batches, k's and v's heads and keys, q's and k's features must agree")
    if q[1] % k[1]:
        refuse(node, types, f"k's {k[1]} heads must divide q's {q[1]}")
    _need_mask(node, types, (*q[:3], k[2]))
    if node.float("softcap") < 0:
        refuse_attr(node, types, "softcap", "at least 0; 0 is none")
    return (TensorType(dtype, (*q[:3], v[3])),)


def _need_mask(node: Node, types: Types, shape: tuple[int, ...]) -> None:
    mask = optional(types, 3)
    if mask is None:
        return
    if mask.dtype not in BOOLS and mask.dtype is not given(types, 0).dtype:
        refuse(node, types, "the mask must be bool or of q's dtype")
    padded = (1,) * (4 - len(mask.shape)) + mask.shape
    if len(padded) != 4 or any(p not in (1, d) for p, d in zip(padded, shape, strict=True)):
        refuse(node, types, f"the mask must broadcast to {shape}")


def score_bias(node: Node, mask: Array | None, shape: tuple[int, ...]) -> Wide:
    """Return what is added to the scores, broadcast to ``shape``: 0, -inf or the mask's value.

    ``is_causal`` lets query i see keys up to i + ``offset`` (the number of
    keys that stand before the first query); ``left_window`` and
    ``right_window`` bound how far it sees, -1 is unbounded.
    """
    ahead = (
        np.arange(shape[3], dtype=np.int64)[None, :]
        - np.arange(shape[2])[:, None]
        - node.int("offset")
    )
    hidden: Array = np.zeros(ahead.shape, dtype=bool)
    if node.int("is_causal"):
        hidden |= ahead > 0
    if (left := node.int("left_window", -1)) >= 0:
        hidden |= ahead < -left
    if (right := node.int("right_window", -1)) >= 0:
        hidden |= ahead > right
    bias = np.where(hidden, -np.inf, 0.0)
    if mask is not None:
        given_bias = np.where(mask, 0.0, -np.inf) if mask.dtype == np.bool_ else wide(mask)
        bias = bias + given_bias
    return np.broadcast_to(bias, shape)


def attention_scale(node: Node, features: int) -> float:
    """Return the factor on the scores, 1/sqrt(features) unless stated."""
    return node.float("scale", 1.0 / math.sqrt(max(features, 1)))


def attention_weights(node: Node, q: Wide, k: Wide, bias: Wide) -> Wide:
    """Return the softmax of the scores; a row that sees nothing is all 0."""
    scores = np.matmul(q, np.swapaxes(k, -1, -2)) * attention_scale(node, q.shape[-1])
    if cap := node.float("softcap"):
        scores = cap * np.tanh(scores / cap)
    scores = scores + bias
    peak = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    grown = np.exp(scores - np.where(peak == -np.inf, 0.0, peak))
    total = grown.sum(axis=-1, keepdims=True)
    return grown / np.where(total == 0, 1.0, total)


def _evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """One batch entry and one key head at a time, so that scores stay small."""
    q, k, v = (tensor(arrays, i) for i in range(3))
    bias = score_bias(node, maybe(arrays, 3), (*q.shape[:3], k.shape[2]))
    out = np.empty((*q.shape[:3], v.shape[3]), q.dtype)
    share = q.shape[1] // k.shape[1]
    for n, head in np.ndindex(*k.shape[:2]):
        own = (n, slice(head * share, (head + 1) * share))
        weights = attention_weights(node, wide(q[own]), wide(k[n, head]), bias[own])
        out[own] = narrow(np.matmul(weights, wide(v[n, head])), q.dtype)
    return (out,)


OPERATORS = {
    "Attention": Operator(
        "Attention",
        "q k v mask?",
        _rule,
        _evaluate,
        {
            "scale": "float",
            "is_causal": "int",
            "offset": "int",
            "left_window": "int",
            "right_window": "int",
            "softcap": "float",
        },
    ),
}
