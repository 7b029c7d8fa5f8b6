"""Llama and its kin: prefill, decode step and plain forward from one description of the layers.

A prefill sees positions 0 to tokens - 1. A decode step reads one token at ``position``, writes its
key and value there, and looks at what stands up to it; what stands behind is masked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from drawloom.frontends.hf.experts import Mixture, experts
from drawloom.frontends.hf.figures import Decoder
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tokens of a request stand, made once for all layers.

    Attributes:
        position: the decode step's input [batch]; "" in a prefill.
        cos: cosines that broadcast to [batch, heads, tokens, width]; "" where positions are learnt.
        sin: sines, likewise; see ``Net.rotary``.
        masks: the decode step's mask [batch, 1, 1, capacity] for each window there is.
    """

    position: str
    cos: str
    sin: str
    masks: dict[int | None, str] = field(default_factory=dict[int | None, str])


@dataclass(frozen=True, slots=True)
class Kind:
    """How a decoder attends.

    Attributes:
        caches: adds the cache inputs; gives them for each layer.
        attention: adds a layer's attention, of normalised tokens and its part of the cache.
    """

    caches: Callable[[Net, Any, Request], list[tuple[str, ...]]]
    attention: Callable[[Net, Any, Request, Places, tuple[str, ...], str, int], str]


def decoder(kind: Kind, net: Net, figures: Decoder, request: Request) -> None:
    """Build the graph of a decoder: ``input_ids`` to ``logits`` and the cache."""
    ids = net.input("input_ids", DType.I32, request.batch, request.n_tokens)
    places = positions(net, figures, request)
    past = kind.caches(net, figures, request)
    table = net.weights.plain(
        "model.embed_tokens.weight", (figures.vocab_size, figures.hidden_size)
    )
    x = net.add("Gather", (table, ids), "model.embed_tokens", axis=0)
    for i in range(figures.num_hidden_layers):
        x = _layer(kind, net, figures, request, places, past[i], x, i)
    give_logits(net, figures, request, x)


def positions(net: Net, figures: Decoder, request: Request) -> Places:
    """Add the position input, the rotary tables and the masks."""
    is_step = request.phase == "decode"
    width = figures.rotary_width
    rows = request.n_slots if is_step else request.n_tokens
    angles = partial(figures.rope.tables, rows, width, steps=is_step)
    tables = [
        net.table("rope.cos", (rows, width), lambda: angles()[0]),
        net.table("rope.sin", (rows, width), lambda: _signed(angles()[1])),
    ]
    if not is_step:
        return Places("", tables[0], tables[1])
    position = net.input("position", DType.I32, request.batch)
    own = [
        net.add("Gather", (table, position), "model.rotary_emb", word, axis=0)
        for table, word in zip(tables, ("cos", "sin"), strict=True)
    ]
    each = [
        net.reshape(row, (request.batch, 1, 1, width), "model.rotary_emb", f"{word}.heads")
        for row, word in zip(own, ("cos", "sin"), strict=True)
    ]
    windows = dict.fromkeys(figures.window(i) for i in range(figures.num_hidden_layers))
    return Places(position, each[0], each[1], masks(net, request, position, list(windows)))


def _signed(sines: Array) -> Array:
    """Return sines whose first half has the other sign, as ``Net.rotary`` wants them."""
    half = sines.shape[1] // 2
    return np.concatenate((-sines[:, :half], sines[:, half:]), axis=1)


def masks(
    net: Net, request: Request, position: str, windows: list[int | None]
) -> dict[int | None, str]:
    """Return, for each window, which slots a decode step sees: bool [batch, 1, 1, capacity]."""
    shape = (1, 1, 1, request.n_slots)
    slots = net.table("mask.slots", shape, lambda: np.arange(shape[3]).reshape(shape), DType.I32)
    here = net.reshape(position, (request.batch, 1, 1, 1), net.trunk, "mask.position")
    written = net.add("LessOrEqual", (slots, here), net.trunk, "mask.written")
    made: dict[int | None, str] = {}
    for window in windows:
        if window is None or window >= request.n_slots:
            made[window] = written
            continue
        back = net.number(f"mask.window.{window}", window, DType.I32)
        edge = net.add("Sub", (here, back), net.trunk, f"mask.edge.{window}")
        near = net.add("Greater", (slots, edge), net.trunk, f"mask.near.{window}")
        made[window] = net.add("And", (written, near), net.trunk, f"mask.window.{window}")
    return made


def caches(
    net: Net, request: Request, layers: int, *dims: int, words: tuple[str, ...] = ("key", "value")
) -> list[tuple[str, ...]]:
    """Add the cache inputs of a decode step, [batch, ..., capacity, width] each, by layer.

    ``dims`` are the heads, where there are heads, and the width.
    """
    if request.phase != "decode":
        return [()] * layers
    shape = (request.batch, *dims[:-1], request.n_slots, dims[-1])
    return [
        tuple(net.input(f"past.{i}.{word}", net.dtype, *shape) for word in words)
        for i in range(layers)
    ]


def _head_caches(net: Net, figures: Decoder, request: Request) -> list[tuple[str, ...]]:
    return caches(net, request, figures.num_hidden_layers, figures.n_kv, figures.width)


def _layer(
    kind: Kind,
    net: Net,
    figures: Decoder,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    x: str,
    i: int,
) -> str:
    module = f"model.layers.{i}"
    normal = net.rms_norm(x, f"{module}.input_layernorm", figures.rms_norm_eps)
    attended = kind.attention(net, figures, request, places, past, normal, i)
    x = net.add("Add", (x, attended), module, "attended")
    normal = net.rms_norm(x, f"{module}.post_attention_layernorm", figures.rms_norm_eps)
    mixture = figures.mixture(i)
    if mixture is None:
        mixed = gated(net, figures, normal, f"{module}.mlp", figures.intermediate_size)
    else:
        mixed = _mixed(net, figures, mixture, normal, f"{module}.{mixture.module}")
    return net.add("Add", (x, mixed), module, "mixed")


def _mixed(net: Net, figures: Decoder, mixture: Mixture, x: str, module: str) -> str:
    """Return the mixture of experts, and the shared expert's result where there is one."""
    mixed = experts(net, mixture, x, figures.hidden_act, module)
    if not mixture.shared:
        return mixed
    shared = f"{module}.{mixture.shared}"
    y = gated(net, figures, x, shared, mixture.shared_width)
    if mixture.has_shared_gate:
        gate = net.linear(x, f"{shared}_gate", 1)
        gate = net.add("Sigmoid", (gate,), f"{shared}_gate", "open")
        y = net.add("Mul", (y, gate), module, "shared")
    return net.add("Add", (mixed, y), module, "total")


def _attention(
    net: Net,
    figures: Decoder,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    x: str,
    i: int,
) -> str:
    module = f"model.layers.{i}.self_attn"
    q = projected(net, figures, x, f"{module}.q", figures.num_attention_heads)
    k = projected(net, figures, x, f"{module}.k", figures.n_kv)
    names = [f"present.{i}.{word}" for word in ("key", "value")]
    direct = [whole_cache(request, name) for name in names]
    v = projected(net, figures, x, f"{module}.v", figures.n_kv, direct[1])
    q = net.rotary(q, places.cos, places.sin, module, "q_rotary")
    k = net.rotary(k, places.cos, places.sin, module, "k_rotary", direct[0])
    k = cached(net, request, places, past[:1], k, names[0], module)
    v = cached(net, request, places, past[1:], v, names[1], module)
    window = figures.window(i)
    mixed = attend(net, places, q, k, v, module, window)
    return net.linear(
        net.joined(mixed, module), f"{module}.o_proj", figures.hidden_size, bias=figures.has_o_bias
    )


HEADS = Kind(_head_caches, _attention)


def projected(net: Net, figures: Decoder, x: str, part: str, n_heads: int, output: str = "") -> str:
    """Return query, key or value [batch, heads, tokens, width], normalised where heads are."""
    y = net.linear(x, f"{part}_proj", n_heads * figures.width, bias=figures.has_qkv_bias)
    y = net.heads(y, n_heads, f"{part}_proj", output)
    if figures.has_head_norms and not part.endswith(".v"):
        y = net.rms_norm(y, f"{part}_norm", figures.rms_norm_eps)
    return y


def cached(
    net: Net,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    new: str,
    name: str,
    module: str,
) -> str:
    """Return what the attention reads, and give the cache: written at a position, or filled.

    Where ``whole_cache`` gives a name, ``new`` must be called so.
    """
    part = name.rpartition(".")[2]
    if past:
        axis = len(net.shape(new)) - 2
        inputs = (past[0], new, places.position)
        present = net.out("TensorScatter", inputs, module, part, name, axis=axis, mode="linear")
        return present
    if whole_cache(request, name):
        return net.give(new, name)
    if request.phase == "prefill":
        rank = len(net.shape(new))
        pads = (0,) * (2 * rank - 2) + (request.n_slots - request.n_tokens, 0)
        net.out("Pad", (new,), module, part, name, pads=pads, mode="constant")
    return new


def whole_cache(request: Request, name: str) -> str:
    """Return ``name`` where a prefill's new values are the whole cache, and so called like it."""
    is_whole = request.phase == "prefill" and request.n_slots == request.n_tokens
    return name if is_whole else ""


def attend(
    net: Net,
    places: Places,
    q: str,
    k: str,
    v: str,
    module: str,
    window: int | None = None,
    scale: float | None = None,
) -> str:
    """Return softmax(q kT scale) v over what each token may see; scale is 1/sqrt(width) unless given."""
    attrs: dict[str, Attr] = {} if scale is None else {"scale": scale}
    operands = (q, k, v)
    if places.position:
        operands = (*operands, places.masks[window])
    else:
        attrs["is_causal"] = 1
        if window is not None and window < net.shape(k)[2]:
            attrs["left_window"] = window - 1
    return net.add("Attention", operands, module, "attention", "", **attrs)


def gated(net: Net, figures: Decoder, x: str, module: str, width: int) -> str:
    """Return down(act(gate(x)) * up(x))."""
    bias = figures.mlp_bias
    gate = net.linear(x, f"{module}.gate_proj", width, bias=bias)
    up = net.linear(x, f"{module}.up_proj", width, bias=bias)
    gate = net.activation(gate, figures.hidden_act, f"{module}.act_fn")
    inner = net.add("Mul", (gate, up), module, "gated")
    return net.linear(inner, f"{module}.down_proj", figures.hidden_size, bias=bias)


def give_logits(net: Net, figures: Decoder, request: Request, x: str) -> None:
    """Normalise the last token, or all, and give its logits."""
    x = chosen_tokens(net, request, x)
    x = net.rms_norm(x, "model.norm", figures.rms_norm_eps)
    head(net, x, figures.vocab_size, "model.embed_tokens" if figures.tie_word_embeddings else "")


def chosen_tokens(net: Net, request: Request, x: str) -> str:
    """Return the last token [batch, hidden] unless all are wanted."""
    if request.has_all_logits:
        return x
    batch, tokens, hidden = net.shape(x)
    if tokens > 1:
        last = (tokens - 1,)
        x = net.add("Slice", (x,), "lm_head", "last", starts=last, ends=(tokens,), axes=(1,))
    return net.reshape(x, (batch, hidden), "lm_head", "token")


def head(net: Net, x: str, vocabulary: int, tied: str) -> None:
    """Give ``logits``: x times the head's weight, or times the table of module ``tied``."""
    width = net.shape(x)[-1]
    if tied:
        table = net.weights.plain(f"{tied}.weight", (vocabulary, width))
        net.out("MatMul", (x, table), "lm_head", "", "logits", trans_b=1)
    else:
        weight = net.weights.turned("lm_head.weight", (vocabulary, width))
        net.out("MatMul", (x, weight), "lm_head", "", "logits")
    net.outputs.insert(0, net.outputs.pop())
