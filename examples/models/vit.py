"""Vision transformer (Dosovitskiy et al. 2020) with random weights."""

from __future__ import annotations

import numpy as np
from examples.models.net import Net
from onnx import ModelProto


def vit_b16(
    seed: int = 0,
    image: int = 224,
    depth: int = 12,
    width: int = 768,
    heads: int = 12,
    patch: int = 16,
    batch: int = 1,
    classes: int = 1000,
    opset: int = 17,
) -> ModelProto:
    """Return ViT-B/16, or a smaller one; before operator set 17 LayerNormalization is spelled."""
    net = Net("vit_b16", seed, opset)
    x = net.input("image", (batch, 3, image, image))
    side = image // patch
    weight = net.normal("patch.weight", (width, 3, patch, patch), (3 * patch * patch) ** -0.5)
    bias = net.uniform("patch.bias", width, -0.1, 0.1)
    x = net.add("Conv", (x, weight, bias), "patch", kernel_shape=[patch] * 2, strides=[patch] * 2)
    x = net.shaped(x, "tokens.rows", (batch, width, side * side))
    x = net.add("Transpose", (x,), "tokens", perm=[0, 2, 1])
    first = net.normal("class", (1, 1, width), 0.02)
    lead = net.constant("class.shape", np.array((batch, 1, 1), np.int64))
    x = net.add("Concat", (net.add("Expand", (first, lead), "class.each"), x), "joined", axis=1)
    length = side * side + 1
    x = net.add("Add", (x, net.normal("position", (1, length, width), 0.02)), "placed")
    for i in range(depth):
        x = encoder_block(net, x, f"block{i}", (batch, length, width), heads)
    x = net.layer_norm(x, "norm", width)
    index = net.constant("first", np.array(0, np.int64))
    x = net.add("Gather", (x, index), "head", axis=1)
    return net.model([net.linear(x, "logits", width, classes)])


def encoder_block(net: Net, x: str, name: str, shape: tuple[int, int, int], heads: int) -> str:
    """Add attention and an MLP of four times the width, each after a norm; returns the sum."""
    width = shape[2]
    normal = net.layer_norm(x, f"{name}.norm1", width)
    x = net.add("Add", (x, _attention(net, normal, f"{name}.attn", shape, heads)), f"{name}.mid")
    normal = net.layer_norm(x, f"{name}.norm2", width)
    up = net.linear(normal, f"{name}.up", width, 4 * width)
    down = net.linear(net.gelu(up, f"{name}.gelu"), f"{name}.down", 4 * width, width)
    return net.add("Add", (x, down), name)


def _attention(net: Net, x: str, name: str, shape: tuple[int, int, int], heads: int) -> str:
    batch, length, width = shape
    size = width // heads
    qkv = net.linear(x, f"{name}.qkv", width, 3 * width)
    qkv = net.shaped(qkv, f"{name}.split", (batch, length, 3, heads, size))
    qkv = net.add("Transpose", (qkv,), f"{name}.heads", perm=[2, 0, 3, 1, 4])
    q, k, v = (
        net.add("Gather", (qkv, net.constant(f"{name}.{i}", np.array(i, np.int64))), part, axis=0)
        for i, part in enumerate((f"{name}.q", f"{name}.k", f"{name}.v"))
    )
    q = net.add("Mul", (q, net.number(f"{name}.scale", size**-0.5)), f"{name}.scaled")
    turned = net.add("Transpose", (k,), f"{name}.turned", perm=[0, 1, 3, 2])
    scores = net.add("MatMul", (q, turned), f"{name}.scores")
    weights = net.add("Softmax", (scores,), f"{name}.weights", axis=-1)
    mixed = net.add("MatMul", (weights, v), f"{name}.mixed")
    mixed = net.add("Transpose", (mixed,), f"{name}.back", perm=[0, 2, 1, 3])
    mixed = net.shaped(mixed, f"{name}.merged", (batch, length, width))
    return net.linear(mixed, f"{name}.proj", width, width)
