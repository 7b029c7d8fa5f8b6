"""Scaled dot-product attention, where it is one node in a graph too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.onnx.call import Call, Expand, Rule


def _attention(call: Call) -> Sequence[str]:
    """The standard's own body serves caches, scores as results and padded keys."""
    if any(call.used[1:]) or any(call.has(i) for i in (4, 5, 6)):
        raise Expand
    q, k, v = (call.x(i) for i in range(3))
    flat = len(call.shape(0)) == 3
    if flat:
        q = _heads(call, q, call.need("q_num_heads"))
        k, v = (_heads(call, value, call.need("kv_num_heads")) for value in (k, v))
    mask = call.maybe(3)
    full = (*call.draft.type(q).shape[:3], call.draft.type(k).shape[2])
    if mask and call.draft.type(mask).shape[-1:] not in ((1,), full[3:]):
        raise Expand
    attrs: dict[str, Any] = {"is_causal": 1} if call.get("is_causal", 0) else {}
    attrs |= {key: call.get(key) for key in ("scale", "softcap") if call.get(key)}
    y = call.emit("Attention", (q, k, v, mask) if mask else (q, k, v), **attrs)
    if flat:
        batch, heads, queries, width = call.draft.type(y).shape
        y = call.emit("Transpose", (y,), perm=(0, 2, 1, 3))
        y = call.reshape(y, (batch, queries, heads * width))
    return [y]


def _heads(call: Call, value: str, heads: int) -> str:
    """Return (batch, position, heads * width) as (batch, head, position, width)."""
    batch, positions, width = call.draft.type(value).shape
    if heads < 1 or width % heads:
        raise Expand
    split = call.reshape(value, (batch, positions, heads, width // heads))
    return call.emit("Transpose", (split,), perm=(0, 2, 1, 3))


RULES: dict[str, Rule] = {"Attention": _attention}
