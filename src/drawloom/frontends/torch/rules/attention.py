"""Scaled dot-product attention stays one node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule


def _ranked(call: Call, value: str) -> str:
    """Return (..., position, feature) as (batch, head, position, feature)."""
    *lead, positions, features = call.draft.type(value).shape
    heads = lead[-1] if lead else 1
    return call.reshape(value, (math.prod(lead[:-1]), heads, positions, features))


def _mask(call: Call, value: str, lead: Sequence[int], shape: Sequence[int]) -> str:
    """Return the mask against (batch, head, query, key), its missing axes as 1."""
    have = call.draft.type(value).shape
    padded = (1,) * (len(lead) + 2 - len(have)) + have
    outer, inner = padded[: len(lead)], padded[len(lead) :]
    batch = math.prod(outer[:-1])
    if batch not in (1, shape[0]):
        value = call.expand(call.reshape(value, padded), (*lead[:-1], *outer[-1:], *inner))
        batch = shape[0]
    heads = outer[-1] if outer else 1
    return call.reshape(value, (batch, heads, *inner))


def _attention(call: Call) -> Sequence[str]:
    """A causal query sees the keys up to its own position, counted from the first."""
    if call.get("dropout_p", 0.0):
        raise Refused(f"dropout_p={call.get('dropout_p')}", "0: export the model for inference")
    lead = call.shape("query")[:-2]
    q, k, v = (_ranked(call, call.x(key)) for key in ("query", "key", "value"))
    attrs: dict[str, Any] = {"is_causal": 1} if call.get("is_causal") else {}
    if call.get("scale") is not None:
        attrs["scale"] = float(call.get("scale"))
    operands = [q, k, v]
    mask = call.maybe("attn_mask")
    if mask:
        queries, keys = call.draft.type(q).shape, call.draft.type(k).shape
        mask = _mask(call, mask, lead, (*queries[:3], keys[2]))
        kind = call.draft.type(mask).dtype
        operands.append(call.cast(mask, call.out()) if kind.is_float else mask)
    y = call.emit("Attention", operands, **attrs)
    out = (*lead, *call.draft.type(y).shape[2:])
    return [call.reshape(y, out)]


RULES: dict[str, Rule] = {
    "aten.scaled_dot_product_attention": _attention,
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention,
    "drawloom.scaled_dot_product_attention": _attention,
}
