"""ViT: an image to the scores of its classes."""

from __future__ import annotations

from drawloom.frontends.hf.figures_vision import Vit, both
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request


def vit(net: Net, figures: Vit, request: Request) -> None:
    """Build the graph of a ViT: ``pixel_values`` [batch, channels, height, width] to ``logits``."""
    size = (request.batch, figures.num_channels, *both(figures.image_size))
    x = _embedded(net, figures, net.input("pixel_values", net.dtype, *size))
    for i in range(figures.num_hidden_layers):
        x = _layer(net, figures, x, f"vit.encoder.layer.{i}")
    # The classifier sees the first row alone, so that row alone is normalized.
    first = net.add("Slice", (x,), "classifier", "first", starts=(0,), ends=(1,), axes=(1,))
    row = net.reshape(first, (request.batch, figures.hidden_size), "classifier", "row")
    row = net.layer_norm(row, "vit.layernorm", figures.layer_norm_eps)
    weight = net.weights.turned("classifier.weight", (figures.n_labels, figures.hidden_size))
    y = net.add("MatMul", (row, weight), "classifier")
    bias = net.weights.plain("classifier.bias", (figures.n_labels,))
    net.out("Add", (y, bias), "classifier", "bias", "logits")


def _embedded(net: Net, figures: Vit, image: str) -> str:
    """Return the class token, then the patches, each with its position [batch, tokens, hidden]."""
    module, width = "vit.embeddings", figures.hidden_size
    batch, patches = net.shape(image)[0], figures.grid[0] * figures.grid[1]
    patch = both(figures.patch_size)
    x = net.conv(image, f"{module}.patch_embeddings.projection", width, patch, strides=patch)
    x = net.reshape(x, (batch, width, patches), module, "flat")
    x = net.add("Transpose", (x,), module, "patches", perm=(0, 2, 1))
    token = net.weights.plain(f"{module}.cls_token", (1, 1, width))
    token = net.add("Expand", (token,), module, "cls_token", shape=(batch, 1, width))
    x = net.add("Concat", (token, x), module, "tokens", axis=1)
    table = net.weights.plain(f"{module}.position_embeddings", (1, patches + 1, width))
    return net.add("Add", (x, table), module, "position_embeddings")


def _layer(net: Net, figures: Vit, x: str, module: str) -> str:
    heads, width, bias = figures.num_attention_heads, figures.hidden_size, figures.qkv_bias
    normal = net.layer_norm(x, f"{module}.layernorm_before", figures.layer_norm_eps)
    attention = f"{module}.attention.attention"
    q, k, v = (
        net.heads(
            net.linear(normal, f"{attention}.{part}", width, bias=bias),
            heads,
            f"{attention}.{part}",
        )
        for part in ("query", "key", "value")
    )
    mixed = net.joined(net.add("Attention", (q, k, v), attention), attention)
    y = net.linear(mixed, f"{module}.attention.output.dense", width, bias=True)
    x = net.add("Add", (x, y), module, "attended")
    y = net.layer_norm(x, f"{module}.layernorm_after", figures.layer_norm_eps)
    y = net.linear(y, f"{module}.intermediate.dense", figures.intermediate_size, bias=True)
    y = net.activation(y, figures.hidden_act, f"{module}.intermediate.intermediate_act_fn")
    y = net.linear(y, f"{module}.output.dense", width, bias=True)
    return net.add("Add", (x, y), module, "mixed")
