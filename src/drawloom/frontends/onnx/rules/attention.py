"""Scaled dot-product attention, where it is one node in a graph too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.onnx.call import Call, Expand, Rule


def _attention(call: Call) -> Sequence[str]:
    """The standard's own body serves scores as results and padded keys."""
    if any(call.used[3:]) or call.has(6):
        raise Expand
    q, k, v = (call.x(i) for i in range(3))
    flat = len(call.shape(0)) == 3
    if flat:
        q = _heads(call, q, call.need("q_num_heads"))
        k, v = (_heads(call, value, call.need("kv_num_heads")) for value in (k, v))
    attrs = _options(call)
    if call.has(4):
        attrs["offset"] = call.shape(4)[2]
        k = call.emit("Concat", (call.x(4), k), axis=2)
        v = call.emit("Concat", (call.x(5), v), axis=2)
    mask = call.maybe(3)
    if mask and call.draft.type(mask).shape[-1:] not in ((1,), call.draft.type(k).shape[2:3]):
        raise Expand
    y = call.emit("Attention", (q, k, v, mask) if mask else (q, k, v), **attrs)
    return [_flat(call, y) if flat else y, k, v]


def _options(call: Call) -> dict[str, Any]:
    attrs: dict[str, Any] = {"is_causal": 1} if call.get("is_causal", 0) else {}
    attrs |= {key: call.get(key) for key in ("scale", "softcap") if call.get(key)}
    for side in ("left", "right"):
        if (size := call.get(f"{side}_window_size", -1)) >= 0:
            attrs[f"{side}_window"] = size
    return attrs


def _flat(call: Call, y: str) -> str:
    """Return (batch, head, position, width) as (batch, position, head * width)."""
    batch, heads, queries, width = call.draft.type(y).shape
    turned = call.emit("Transpose", (y,), perm=(0, 2, 1, 3))
    return call.reshape(turned, (batch, queries, heads * width))


def _heads(call: Call, value: str, heads: int) -> str:
    """Return (batch, position, heads * width) as (batch, head, position, width)."""
    batch, positions, width = call.draft.type(value).shape
    if heads < 1 or width % heads:
        raise Expand
    split = call.reshape(value, (batch, positions, heads, width // heads))
    return call.emit("Transpose", (split,), perm=(0, 2, 1, 3))


RULES: dict[str, Rule] = {"Attention": _attention}
