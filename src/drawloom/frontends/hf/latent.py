"""DeepSeek's attention: the cache keeps, of each token, one latent vector that all heads share.

A prefill expands latents into keys and values, as transformers does. A decode step does not: what
would expand a key is applied to the query, and what would expand a value to what the attention gives,
so that the attention reads the latents themselves, as one head's keys and values.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from drawloom.frontends.hf.decoder import Kind, Places, attend, cached, caches, whole_cache
from drawloom.frontends.hf.figures_moe import Deepseek
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.graph.lazy import Array

_NORM_EPSILON = 1e-6  # transformers gives the latents' norms its default, whatever the others have


def latents(net: Net, figures: Deepseek, request: Request) -> list[tuple[str, ...]]:
    """Add the cache inputs of a decode step, [batch, capacity, latent + turning key] each."""
    layers = figures.num_hidden_layers
    return caches(net, request, layers, figures.latent_width, words=("latent",))


def attention(
    net: Net,
    figures: Deepseek,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    x: str,
    i: int,
) -> str:
    """Return the attention of layer ``i``, of x [batch, tokens, hidden] to the same shape."""
    module = f"model.layers.{i}.self_attn"
    still, turning = _queries(net, figures, places, x, module)
    latent, key = _latent(net, figures, places, x, module)
    batch, _, tokens, width = net.shape(key)
    flat = net.reshape(key, (batch, tokens, width), module, "k_rotary.flat")
    name = f"present.{i}.latent"
    new = net.add("Concat", (latent, flat), module, "kv", whole_cache(request, name), axis=2)
    kept = cached(net, request, places, past, new, name, module)
    if past:
        mixed = _absorbed(net, figures, places, still, turning, kept, module)
    else:
        mixed = _expanded(net, figures, places, still, turning, latent, key, module)
    return net.linear(mixed, f"{module}.o_proj", figures.hidden_size, bias=figures.attention_bias)


LATENT = Kind(latents, attention)


def _queries(net: Net, figures: Deepseek, places: Places, x: str, module: str) -> tuple[str, str]:
    """Return the still and the turned part of the queries [batch, heads, tokens, width]."""
    heads, still = figures.num_attention_heads, figures.qk_nope_head_dim
    last = f"{module}.q_proj"
    if figures.q_lora_rank is not None:
        bias = figures.attention_bias
        x = net.linear(x, f"{module}.q_a_proj", figures.q_lora_rank, bias=bias)
        x = net.rms_norm(x, f"{module}.q_a_layernorm", _NORM_EPSILON)
        last = f"{module}.q_b_proj"
    order = (heads, still, figures.qk_rope_head_dim) if figures.rope_interleave else None
    q = net.heads(_ordered(net, x, last, heads * figures.query_width, order), heads, last)
    parts = _cut(net, q, still, last)
    return parts[0], net.rotary(parts[1], places.cos, places.sin, module, "q_rotary")


def _latent(net: Net, figures: Deepseek, places: Places, x: str, module: str) -> tuple[str, str]:
    """Return the latent [batch, tokens, rank] and the turned key [batch, 1, tokens, width]."""
    first = f"{module}.kv_a_proj_with_mqa"
    rank, width = figures.kv_lora_rank, figures.qk_rope_head_dim
    order = (1, rank, width) if figures.rope_interleave else None
    both = _ordered(net, x, first, rank + width, order, bias=figures.attention_bias)
    latent, key = _cut(net, both, rank, first)
    latent = net.rms_norm(latent, f"{module}.kv_a_layernorm", _NORM_EPSILON)
    batch, tokens, _ = net.shape(key)
    key = net.reshape(key, (batch, 1, tokens, width), module, "k_rotary.heads")
    return latent, net.rotary(key, places.cos, places.sin, module, "k_rotary")


def _expanded(
    net: Net,
    figures: Deepseek,
    places: Places,
    still: str,
    turning: str,
    latent: str,
    key: str,
    module: str,
) -> str:
    heads, first = figures.num_attention_heads, figures.qk_nope_head_dim
    last = f"{module}.kv_b_proj"
    both = net.linear(latent, last, heads * (first + figures.v_head_dim))
    still_key, value = _cut(net, net.heads(both, heads, last), first, last)
    batch, _, tokens, width = net.shape(key)
    each = net.add("Expand", (key,), module, "k_rotary.each", shape=(batch, heads, tokens, width))
    k = net.add("Concat", (still_key, each), module, "k", axis=3)
    q = net.add("Concat", (still, turning), module, "q", axis=3)
    mixed = attend(net, places, q, k, value, module, scale=figures.score_scale)
    return net.joined(mixed, module)


def _absorbed(
    net: Net,
    figures: Deepseek,
    places: Places,
    still: str,
    turning: str,
    kept: str,
    module: str,
) -> str:
    heads, rank = figures.num_attention_heads, figures.kv_lora_rank
    batch = net.shape(kept)[0]
    wide = _per_head(net, figures, still, "key", module)
    wide = net.reshape(wide, (batch, heads, 1, rank), module, "q_latent")
    q = net.add("Concat", (wide, turning), module, "q", axis=3)
    shape = (batch, 1, *net.shape(kept)[1:])
    kv = net.reshape(kept, shape, module, "kv.head")
    mixed = attend(net, places, q, kv, kv, module, scale=figures.score_scale)
    mixed, _ = _cut(net, mixed, rank, module)
    y = _per_head(net, figures, mixed, "value", module)
    return net.reshape(y, (batch, 1, heads * figures.v_head_dim), module, "join")


def _per_head(net: Net, figures: Deepseek, x: str, part: str, module: str) -> str:
    """Return x [batch, heads, 1, in] times each head's own half of ``kv_b_proj``.

    Heads go first, so that a head's weights meet all sequences at once; [batch, heads, out].
    """
    batch, heads, _, inner = net.shape(x)
    still, value, rank = figures.qk_nope_head_dim, figures.v_head_dim, figures.kv_lora_rank
    source = {f"{module}.kv_b_proj.weight": (heads * (still + value), rank)}
    shape = (heads, still, rank) if part == "key" else (heads, rank, value)
    make = partial(_half_of, part, heads, still)
    weight = net.weights.made(f"{module}.kv_b_proj.weight.{part}", source, shape, make)
    rows = net.reshape(x, (batch, heads, inner), module, f"{part}.rows")
    rows = net.add("Transpose", (rows,), module, f"{part}.heads", perm=(1, 0, 2))
    y = net.add("MatMul", (rows, weight), f"{module}.kv_b_proj", part)
    return net.add("Transpose", (y,), module, f"{part}.turn", perm=(1, 0, 2))


def _half_of(part: str, heads: int, still: int, weight: Array) -> Array:
    """Return each head's key rows [heads, still, rank], or value rows turned [heads, rank, v]."""
    split = weight.reshape(heads, -1, weight.shape[-1])
    return split[:, :still] if part == "key" else split[:, still:].transpose(0, 2, 1)


def _cut(net: Net, x: str, at: int, module: str) -> tuple[str, str]:
    """Return the last axis of x up to ``at``, and the rest."""
    shape = net.shape(x)
    axis, size = len(shape) - 1, shape[-1]
    first = net.add("Slice", (x,), module, "still", starts=(0,), ends=(at,), axes=(axis,))
    rest = net.add("Slice", (x,), module, "turning", starts=(at,), ends=(size,), axes=(axis,))
    return first, rest


def _ordered(
    net: Net,
    x: str,
    module: str,
    width: int,
    order: tuple[int, int, int] | None,
    *,
    bias: bool = False,
) -> str:
    """Return a product whose turning pairs (2i, 2i + 1) stand half a width apart.

    ``order`` is the number of heads and, of each, the features that are still and that turn; the
    weight's columns are put in that order. None leaves all as it is.
    """
    if order is None:
        return net.linear(x, module, width, bias=bias)
    inner = net.shape(x)[-1]
    source = {f"{module}.weight": (width, inner)}
    make = partial(_in_halves, *order)
    weight = net.weights.made(f"{module}.weight.T.halves", source, (inner, width), make)
    y = net.add("MatMul", (x, weight), module)
    if not bias:
        return y
    shift = net.weights.made(f"{module}.bias.halves", {f"{module}.bias": (width,)}, (width,), make)
    return net.add("Add", (y, shift), module, "bias")


def _in_halves(heads: int, still: int, width: int, weight: Array) -> Array:
    """Return a weight or bias with each head's turning features even ones first, turned."""
    rows = weight.reshape(heads, still + width, -1)
    parts = (rows[:, :still], rows[:, still::2], rows[:, still + 1 :: 2])
    return np.concatenate(parts, axis=1).reshape(weight.shape).T
