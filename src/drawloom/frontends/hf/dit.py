"""DiT of diffusers: a noisy latent image, the time and a class to what the noise is."""

from __future__ import annotations

import math

import numpy as np

from drawloom.frontends.hf.figures_vision import Dit
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.graph.dtypes import DType
from drawloom.graph.lazy import Array

_EPSILON = 1e-6  # of the norms that the time and class scale
_TIME_WIDTH = 256


def dit(net: Net, figures: Dit, request: Request) -> None:
    """Build the graph of a DiT: ``hidden_states``, ``timestep``, ``class_labels`` to ``sample``."""
    size = figures.sample_size
    x = net.input("hidden_states", net.dtype, request.batch, figures.in_channels, size, size)
    time = net.input("timestep", DType.F32, request.batch)
    label = net.input("class_labels", DType.I32, request.batch)
    waves = time_waves(net, time, _TIME_WIDTH, shift=1.0, cos_first=True)
    side, patch, width = size // figures.patch_size, figures.patch_size, figures.width
    x = net.conv(x, "pos_embed.proj", width, (patch, patch), strides=(patch, patch))
    x = net.reshape(x, (request.batch, width, side * side), "pos_embed", "flat")
    x = net.add("Transpose", (x,), "pos_embed", "patches", perm=(0, 2, 1))
    places = net.number("table.grid", _grid(side, width))
    x = net.add("Add", (x, places), "pos_embed", "sum")
    conditions: list[str] = []
    for i in range(figures.num_layers):
        module = f"transformer_blocks.{i}"
        conditions.append(_condition(net, figures, waves, label, f"{module}.norm1.emb"))
        x = _block(net, figures, x, conditions[-1], module)
    _finish(net, figures, x, conditions[0])


def time_waves(net: Net, time: str, width: int, *, shift: float, cos_first: bool) -> str:
    """Return the sines and cosines of times [batch] at ``width / 2`` rates, [batch, width]."""
    half = width // 2
    rates = np.exp(-math.log(10000) * np.arange(half, dtype=np.float32) / (half - shift))
    column = net.reshape(time, (net.shape(time)[0], 1), "time_proj", "column")
    angles = net.add("Mul", (column, net.number("table.rates", rates, DType.F32)), "time_proj")
    waves = [net.add(op, (angles,), "time_proj", op.lower()) for op in ("Sin", "Cos")]
    both = net.add("Concat", waves[::-1] if cos_first else waves, "time_proj", "waves", axis=1)
    return net.cast(both, net.dtype, "time_proj", "waves")


def embedded_time(net: Net, waves: str, module: str, width: int) -> str:
    """Return linear_2(silu(linear_1(waves)))."""
    x = net.linear(waves, f"{module}.linear_1", width, bias=True)
    x = net.activation(x, "silu", f"{module}.act")
    return net.linear(x, f"{module}.linear_2", width, bias=True)


def _condition(net: Net, figures: Dit, waves: str, label: str, module: str) -> str:
    """Return what the time and the class say, [batch, width]; each block has its own tables."""
    time = embedded_time(net, waves, f"{module}.timestep_embedder", figures.width)
    shape = (figures.num_embeds_ada_norm + 1, figures.width)  # the last is no class
    table = net.weights.plain(f"{module}.class_embedder.embedding_table.weight", shape)
    row = net.add("Gather", (table, label), f"{module}.class_embedder", axis=0)
    return net.add("Add", (time, row), module, "sum")


def _cut(net: Net, x: str, n: int, module: str) -> list[str]:
    """Return ``n`` equal parts of x [batch, features], each [batch, 1, features / n]."""
    batch, features = net.shape(x)
    width = features // n
    row = net.reshape(x, (batch, 1, features), module, "row")
    return [
        net.add(
            "Slice",
            (row,),
            module,
            f"part.{i}",
            starts=(i * width,),
            ends=((i + 1) * width,),
            axes=(2,),
        )
        for i in range(n)
    ]


def _scaled(net: Net, x: str, scale: str, shift: str, epsilon: float, module: str) -> str:
    """Return norm(x) * (1 + scale) + shift; the norm has no weights of its own."""
    ones = net.number("table.ones", np.ones(net.shape(x)[-1:]))
    normal = net.add("LayerNormalization", (x, ones), module, axis=-1, epsilon=epsilon)
    more = net.add("Add", (scale, net.number("table.one", 1.0)), module, "scale")
    grown = net.add("Mul", (normal, more), module, "scaled")
    return net.add("Add", (grown, shift), module, "shifted")


def _block(net: Net, figures: Dit, x: str, given: str, module: str) -> str:
    width, heads, bias = figures.width, figures.num_attention_heads, figures.attention_bias
    given = net.activation(given, "silu", f"{module}.norm1.silu")
    given = net.linear(given, f"{module}.norm1.linear", 6 * width, bias=True)
    shift, scale, gate, shift_2, scale_2, gate_2 = _cut(net, given, 6, f"{module}.norm1")
    y = _scaled(net, x, scale, shift, _EPSILON, f"{module}.norm1.norm")
    inner = f"{module}.attn1"
    q, k, v = (
        net.heads(net.linear(y, f"{inner}.{p}", width, bias=bias), heads, f"{inner}.{p}")
        for p in ("to_q", "to_k", "to_v")
    )
    y = net.joined(net.add("Attention", (q, k, v), inner), inner)
    y = net.linear(y, f"{inner}.to_out.0", width, bias=True)
    x = net.add("Add", (x, net.add("Mul", (y, gate), module, "gated")), module, "attended")
    y = _scaled(net, x, scale_2, shift_2, figures.norm_eps, f"{module}.norm3")
    y = net.linear(y, f"{module}.ff.net.0.proj", 4 * width, bias=True)
    y = net.activation(y, figures.activation_fn, f"{module}.ff.net.0")
    y = net.linear(y, f"{module}.ff.net.2", width, bias=True)
    return net.add("Add", (x, net.add("Mul", (y, gate_2), module, "gated.2")), module, "mixed")


def _finish(net: Net, figures: Dit, x: str, given: str) -> None:
    """Scale, project and put the patches together again: [batch, channels, size, size]."""
    given = net.activation(given, "silu", "proj_out_1.silu")
    given = net.linear(given, "proj_out_1", 2 * figures.width, bias=True)
    shift, scale = _cut(net, given, 2, "proj_out_1")
    x = _scaled(net, x, scale, shift, _EPSILON, "norm_out")
    patch, channels = figures.patch_size, figures.out_channels or figures.in_channels
    x = net.linear(x, "proj_out_2", patch * patch * channels, bias=True)
    batch, side = net.shape(x)[0], figures.sample_size // patch
    shape = (batch, side, side, patch, patch, channels)
    x = net.reshape(x, shape, "unpatchify", "split")
    x = net.add("Transpose", (x,), "unpatchify", perm=(0, 5, 1, 3, 2, 4))
    size = figures.sample_size
    net.out("Reshape", (x,), "unpatchify", "image", "sample", shape=(batch, channels, size, size))


def _grid(side: int, width: int) -> Array:
    """Return sines and cosines of each patch's column, then its row: [1, patches, width]."""
    rates = 10000.0 ** -(np.arange(width // 4) / (width / 4.0))
    rows, columns = np.divmod(np.arange(side * side), side)
    angles = [np.outer(places, rates) for places in (columns, rows)]
    parts = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.concatenate(parts, axis=1)[None]
