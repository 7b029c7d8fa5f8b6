"""Decoders with learnt positions: GPT-2 and OPT, in all phases."""

from __future__ import annotations

from drawloom.frontends.hf.decoder import (
    Places,
    attend,
    cached,
    caches,
    chosen_tokens,
    head,
    masks,
    whole_cache,
)
from drawloom.frontends.hf.figures_learned import Gpt2, Opt
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.graph.dtypes import DType

_EPSILON = 1e-5  # OPT's norms have torch's default; its configuration does not say it


def gpt2(net: Net, figures: Gpt2, request: Request) -> None:
    """Build the graph of a GPT-2: ``input_ids`` to ``logits`` and the cache."""
    ids, places = _inputs(net, request)
    heads, layers, width = figures.n_head, figures.n_layer, figures.n_embd
    past = caches(net, request, layers, heads, width // heads)
    words = net.weights.plain("transformer.wte.weight", (figures.vocab_size, width))
    x = net.add("Gather", (words, ids), "transformer.wte", axis=0)
    table = net.weights.plain("transformer.wpe.weight", (figures.n_positions, width))
    x = _positioned(net, request, places, x, table, "transformer.wpe", 0)
    for i in range(layers):
        x = _gpt2_layer(net, figures, request, places, past[i], x, i)
    x = chosen_tokens(net, request, x)
    x = net.layer_norm(x, "transformer.ln_f", figures.layer_norm_epsilon)
    tied = "transformer.wte" if figures.tie_word_embeddings else ""
    head(net, x, figures.vocab_size, tied)


def opt(net: Net, figures: Opt, request: Request) -> None:
    """Build the graph of an OPT: ``input_ids`` to ``logits`` and the cache."""
    ids, places = _inputs(net, request)
    heads, width, root = figures.num_attention_heads, figures.hidden_size, "model.decoder"
    layers = figures.num_hidden_layers
    past = caches(net, request, layers, heads, width // heads)
    shape = (figures.vocab_size, figures.word_width)
    words = net.weights.plain(f"{root}.embed_tokens.weight", shape)
    x = net.add("Gather", (words, ids), f"{root}.embed_tokens", axis=0)
    if figures.word_width != width:
        x = net.linear(x, f"{root}.project_in", width)
    shape = (figures.max_position_embeddings + figures.FIRST_ROW, width)
    table = net.weights.plain(f"{root}.embed_positions.weight", shape)
    x = _positioned(net, request, places, x, table, f"{root}.embed_positions", figures.FIRST_ROW)
    for i in range(layers):
        x = _opt_layer(net, figures, request, places, past[i], x, i)
    x = chosen_tokens(net, request, x)
    if figures.has_final_norm:
        x = net.layer_norm(x, f"{root}.final_layer_norm", _EPSILON)
    if figures.word_width != width:
        x = net.linear(x, f"{root}.project_out", figures.word_width)
    head(net, x, figures.vocab_size, f"{root}.embed_tokens" if figures.tie_word_embeddings else "")


def _inputs(net: Net, request: Request) -> tuple[str, Places]:
    """Add tokens, and a decode step's position with its mask."""
    ids = net.input("input_ids", DType.I32, request.batch, request.n_tokens)
    if request.phase != "decode":
        return ids, Places("", "", "")
    position = net.input("position", DType.I32, request.batch)
    return ids, Places(position, "", "", masks(net, request, position, [None]))


def _positioned(
    net: Net, request: Request, places: Places, x: str, table: str, module: str, first: int
) -> str:
    """Return x plus the rows of its positions in ``table``, whose row ``first`` is position 0."""
    if not places.position:
        end = first + request.n_tokens
        rows = net.add("Slice", (table,), module, starts=(first,), ends=(end,), axes=(0,))
        return net.add("Add", (x, rows), module, "sum")
    row = places.position
    if first:
        start = net.number("mask.first", first, DType.I32)
        row = net.add("Add", (row, start), module, "row")
    rows = net.add("Gather", (table, row), module, axis=0)
    rows = net.reshape(rows, net.shape(x), module, "token")
    return net.add("Add", (x, rows), module, "sum")


def _gpt2_layer(
    net: Net,
    figures: Gpt2,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    x: str,
    i: int,
) -> str:
    module, width = f"transformer.h.{i}", figures.n_embd
    normal = net.layer_norm(x, f"{module}.ln_1", figures.layer_norm_epsilon)
    fused = _conv1d(net, normal, f"{module}.attn.c_attn", 3 * width)
    parts = [
        net.add(
            "Slice",
            (fused,),
            f"{module}.attn.c_attn",
            word,
            starts=(at * width,),
            ends=((at + 1) * width,),
            axes=(2,),
        )
        for at, word in enumerate(("query", "key", "value"))
    ]
    names = [f"present.{i}.{word}" for word in ("key", "value")]
    direct = ["", *(whole_cache(request, name) for name in names)]
    q, k, v = (
        net.heads(part, figures.n_head, f"{module}.attn.{word}", output)
        for part, word, output in zip(parts, ("query", "key", "value"), direct, strict=True)
    )
    k = cached(net, request, places, past[:1], k, names[0], f"{module}.attn")
    v = cached(net, request, places, past[1:], v, names[1], f"{module}.attn")
    scale = figures.score_scale(i)
    mixed = attend(net, places, q, k, v, f"{module}.attn", scale=scale)
    mixed = net.joined(mixed, f"{module}.attn")
    x = net.add("Add", (x, _conv1d(net, mixed, f"{module}.attn.c_proj", width)), module, "attended")
    y = net.layer_norm(x, f"{module}.ln_2", figures.layer_norm_epsilon)
    y = _conv1d(net, y, f"{module}.mlp.c_fc", figures.inner_width)
    y = net.activation(y, figures.activation_function, f"{module}.mlp.act")
    y = _conv1d(net, y, f"{module}.mlp.c_proj", width)
    return net.add("Add", (x, y), module, "mixed")


def _conv1d(net: Net, x: str, module: str, width: int) -> str:
    """Return x times a weight that the checkpoint holds as [in, out], and its bias."""
    weight = net.weights.plain(f"{module}.weight", (net.shape(x)[-1], width))
    return net.biased(net.add("MatMul", (x, weight), module), module)


def _opt_layer(
    net: Net,
    figures: Opt,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    x: str,
    i: int,
) -> str:
    """Attention, then the network; each normalised before, or after it is added."""
    module, width = f"model.decoder.layers.{i}", figures.hidden_size
    before, bias = figures.do_layer_norm_before, figures.enable_bias
    norm = f"{module}.self_attn_layer_norm"
    y = net.layer_norm(x, norm, _EPSILON) if before else x
    y = _opt_attention(net, figures, request, places, past, y, i)
    x = net.add("Add", (x, y), module, "attended")
    x = x if before else net.layer_norm(x, norm, _EPSILON)
    norm = f"{module}.final_layer_norm"
    y = net.layer_norm(x, norm, _EPSILON) if before else x
    y = net.linear(y, f"{module}.fc1", figures.ffn_dim, bias=bias)
    y = net.activation(y, figures.activation_function, f"{module}.activation_fn")
    y = net.linear(y, f"{module}.fc2", width, bias=bias)
    x = net.add("Add", (x, y), module, "mixed")
    return x if before else net.layer_norm(x, norm, _EPSILON)


def _opt_attention(
    net: Net,
    figures: Opt,
    request: Request,
    places: Places,
    past: tuple[str, ...],
    x: str,
    i: int,
) -> str:
    module, width = f"model.decoder.layers.{i}.self_attn", figures.hidden_size
    bias, heads = figures.enable_bias, figures.num_attention_heads
    names = [f"present.{i}.{word}" for word in ("key", "value")]
    direct = ["", *(whole_cache(request, name) for name in names)]
    q, k, v = (
        net.heads(net.linear(x, f"{module}.{p}", width, bias=bias), heads, f"{module}.{p}", output)
        for p, output in zip(("q_proj", "k_proj", "v_proj"), direct, strict=True)
    )
    k = cached(net, request, places, past[:1], k, names[0], module)
    v = cached(net, request, places, past[1:], v, names[1], module)
    mixed = net.joined(attend(net, places, q, k, v, module), module)
    return net.linear(mixed, f"{module}.out_proj", width, bias=bias)
