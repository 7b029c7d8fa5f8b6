"""Attention as one piece where ``flash`` can do it, else as products, a softmax and what masks it.

Query heads that share a key head become rows of one product: (batch, key head, shared heads x
queries, keys). The scale goes on the queries, which are fewer than the scores. What is hidden
gets a bias so low that its weight is 0; a query that sees nothing has its result set to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node
from drawloom.graph.ops.attention import attention_scale, score_bias
from drawloom.graph.rounding import narrow
from drawloom.mapping.cut import flash
from drawloom.mapping.rewrite.emit import Emit

Shape = tuple[int, ...]


def attention(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str]:
    """Put products and a softmax in the place of an Attention node."""
    q, k, v = inputs[:3]
    mask = inputs[3] if len(inputs) > 3 else ""
    return (_Attention(emit, node, q, k, v, mask).result(),)


class _Attention:
    def __init__(self, emit: Emit, node: Node, q: str, k: str, v: str, mask: str) -> None:
        self.emit, self.node = emit, node
        self.q, self.k, self.v, self.mask = q, k, v, mask
        self.batch, self.heads, self.queries, self.features = emit.shape(q)
        self.groups, self.keys = emit.shape(k)[1:3]
        self.dtype = emit.builder.types[q].dtype

    def result(self) -> str:
        """Emit everything; return the mixed values."""
        features = self.features, self.emit.shape(self.v)[3]
        whole = not self.mask or self.emit.shape(self.mask)[-1:] == (self.keys,)
        # With one query the cache streams by once, and products do nothing but stream.
        whole = whole and self.queries > 1
        if whole and flash.fits(self.node, self.dtype, self.queries, self.keys, features):
            return self._in_one()
        return self._in_parts()

    def _in_one(self) -> str:
        """Leave the node, with its mask as numbers; a query that the mask blinds gives 0."""
        emit = self.emit
        bias = self._bias() if self.mask else ""
        if bias:
            shape = emit.shape(bias)
            bias = emit.reshape(bias, (1,) * (4 - len(shape)) + shape)
        mixed = emit(
            "Attention", self.q, self.k, self.v, *([bias] if bias else []), **self.node.attrs
        )
        return emit("Mul", mixed, self._sees(bias, self._hidden())) if bias else mixed

    def _in_parts(self) -> str:
        emit, node = self.emit, self.node
        rows = self.heads // self.groups * self.queries
        q = emit("Mul", self.q, self._number(attention_scale(node, self.features)))
        q = emit.reshape(q, (self.batch, self.groups, rows, self.features))
        scores = emit("MatMul", q, self.k, trans_b=1)
        if cap := node.float("softcap"):
            scores = emit("Tanh", emit("Mul", scores, self._number(1.0 / cap)))
            scores = emit("Mul", scores, self._number(cap))
        hidden = self._hidden()
        blind: Array = np.asarray(hidden.all(axis=-1))
        if hidden.any():
            scores = emit("Add", scores, self._static_bias(hidden))
        bias = self._bias() if self.mask else ""
        if bias:
            scores = emit("Add", scores, self._by_rows(bias, self.keys))
        mixed = emit("MatMul", emit("Softmax", scores, axis=-1), self.v)
        mixed = emit.reshape(mixed, (self.batch, self.heads, self.queries, emit.shape(self.v)[3]))
        if blind.any():
            seeing: Array = narrow(~blind[:, None], self.dtype.numpy)
            mixed = emit("Mul", mixed, emit.constant("seeing", seeing.tobytes(), lambda: seeing))
        return emit("Mul", mixed, self._sees(bias, hidden)) if bias else mixed

    def _number(self, value: float) -> str:
        made = narrow(np.asarray(value), self.dtype.numpy)
        return self.emit.constant("number", (self.dtype, made.tobytes()), lambda: made)

    @property
    def _low(self) -> float:
        """What hides a score: half the lowest number, so that no sum with it overflows."""
        largest = {DType.F16: 65504.0}.get(self.dtype, float(np.finfo(np.float32).max))
        return -largest / 2

    # What attributes hide.

    def _hidden(self) -> Array:
        """Which (query, key) pairs the node's attributes hide."""
        return score_bias(self.node, None, (1, 1, self.queries, self.keys))[0, 0] == -np.inf

    def _static_bias(self, hidden: Array) -> str:
        share = self.heads // self.groups
        attrs = ("is_causal", "offset", "left_window", "right_window")
        key = (self.dtype, share, hidden.shape, *(self.node.attrs.get(a) for a in attrs))

        def make() -> Array:
            bias = narrow(np.where(hidden, self._low, 0.0), self.dtype.numpy)
            return np.tile(bias, (share, 1))

        return self.emit.constant("hidden", key, make)

    # What a mask hides.

    def _bias(self) -> str:
        """Return the mask as what is added to the scores, in the mask's own shape."""
        emit, kind = self.emit, self.emit.builder.types[self.mask]
        if self.mask in emit.builder.constants:
            return emit.derive(self.mask, "bias", self._as_bias, kind.shape, self.dtype)
        if kind.dtype is DType.BOOL:
            return emit("Where", self.mask, self._number(0.0), self._number(self._low))
        return emit("Max", self.mask, self._number(self._low))

    def _as_bias(self, mask: Array) -> Array:
        if mask.dtype == np.bool_:
            return narrow(np.where(mask, 0.0, self._low), self.dtype.numpy)
        return np.maximum(mask, narrow(np.asarray(self._low), mask.dtype))

    def _by_rows(self, bias: str, width: int) -> str:
        """Return a mask's twin for every query of every head, laid out as the scores are."""
        emit = self.emit
        shape = emit.shape(bias)
        shape = (1,) * (4 - len(shape)) + shape
        if shape[1:3] == (1, 1) and self.queries * self.heads == self.groups:
            return emit.reshape(bias, shape)
        wide = (shape[0], self.heads, self.queries, width)
        rows = (shape[0], self.groups, self.heads // self.groups * self.queries, width)
        bias = emit.reshape(bias, shape)
        if bias in emit.builder.constants:
            return emit.derive(bias, "rows", partial(_spread, wide, rows), rows)
        return emit.reshape(emit("Expand", bias, shape=wide) if shape != wide else bias, rows)

    def _sees(self, bias: str, hidden: Array) -> str:
        """Return 1 for each query that sees a key, 0 for the others.

        Where attributes hide keys, too, a query may see none that the mask leaves it.
        """
        emit = self.emit
        shape = emit.shape(bias)
        shape = (1,) * (4 - len(shape)) + shape
        limit: Array | None = None
        if hidden.any():
            limit = narrow(np.where(hidden, self._low, -self._low), self.dtype.numpy)
        if bias in emit.builder.constants:
            rows = shape[2] if limit is None else self.queries
            change = partial(_seeing, self._low, shape, limit)
            what = "sees" if limit is None else f"sees.{self.node.name}"
            return emit.derive(bias, what, change, (*shape[:2], rows, 1))
        bias = emit.reshape(bias, shape)
        if limit is not None:
            kept = limit
            bias = emit("Min", bias, emit.constant("limit", kept.tobytes(), lambda: kept))
        best = emit("ReduceMax", bias, axes=(3,), keepdims=1)
        is_seen = emit("Greater", best, self._number(self._low))
        return emit("Cast", is_seen, to=self.dtype.value)


def _spread(wide: Shape, rows: Shape, array: Array) -> Array:
    return np.ascontiguousarray(np.broadcast_to(array, wide)).reshape(rows)


def _seeing(low: float, shape: Shape, limit: Array | None, array: Array) -> Array:
    bias = array.reshape(shape)
    best = (bias if limit is None else np.minimum(bias, limit)).max(axis=3, keepdims=True)
    return (best > narrow(np.asarray(low), array.dtype)).astype(array.dtype)
