"""A Llama decoder with random weights, spelled in plain operators as exporters write it.

Grouped-query attention, rotary positions, RMSNorm, SwiGLU, a causal mask of
the lowest float32, tied embeddings. Whole sequences, no cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from examples.models.net import Net
from onnx import ModelProto, TensorProto


@dataclass(frozen=True, slots=True)
class Llama:
    """How large a Llama is; the defaults are small enough for a test."""

    layers: int = 2
    hidden: int = 64
    heads: int = 4
    kv_heads: int = 2
    inner: int = 128
    vocab: int = 256
    length: int = 16
    batch: int = 1

    @property
    def size(self) -> int:
        """Features of one head."""
        return self.hidden // self.heads


def llama(seed: int = 0, shape: Llama = Llama()) -> ModelProto:
    """Return the model: token ids in, logits of the next token out."""
    net = Net("llama", seed)
    tokens = net.input("tokens", (shape.batch, shape.length), TensorProto.INT64)
    table = net.normal("embedding", (shape.vocab, shape.hidden), 1.0)
    x = net.add("Gather", (table, tokens), "embed", axis=0)
    angles = np.outer(np.arange(shape.length), 1e4 ** -np.arange(0, 1, 2 / shape.size))
    both = np.concatenate([angles, angles], axis=1)
    net.constant("cos", np.cos(both).astype(np.float32))
    net.constant("sin", np.sin(both).astype(np.float32))
    lowest = np.finfo(np.float32).min
    mask = np.triu(np.full((shape.length, shape.length), lowest, np.float32), 1)
    net.constant("mask", mask[None, None])
    for i in range(shape.layers):
        x = _block(net, x, f"layer{i}", shape)
    x = _rms_norm(net, x, "norm", shape.hidden)
    turned = net.add("Transpose", (table,), "head", perm=[1, 0])
    return net.model([net.add("MatMul", (x, turned), "logits")])


def _block(net: Net, x: str, name: str, shape: Llama) -> str:
    normal = _rms_norm(net, x, f"{name}.norm1", shape.hidden)
    mixed = _attention(net, normal, f"{name}.attn", shape)
    x = net.add("Add", (x, mixed), f"{name}.mid")
    normal = _rms_norm(net, x, f"{name}.norm2", shape.hidden)
    gate = _product(net, normal, f"{name}.gate", shape.hidden, shape.inner)
    up = _product(net, normal, f"{name}.up", shape.hidden, shape.inner)
    open_ = net.add("Sigmoid", (gate,), f"{name}.open")
    silu = net.add("Mul", (gate, open_), f"{name}.silu")
    gated = net.add("Mul", (silu, up), f"{name}.gated")
    return net.add(
        "Add", (x, _product(net, gated, f"{name}.down", shape.inner, shape.hidden)), name
    )


def _attention(net: Net, x: str, name: str, shape: Llama) -> str:
    q = _rotated(net, _heads(net, x, f"{name}.q", shape, shape.heads), f"{name}.q", shape)
    k = _rotated(net, _heads(net, x, f"{name}.k", shape, shape.kv_heads), f"{name}.k", shape)
    v = _heads(net, x, f"{name}.v", shape, shape.kv_heads)
    k, v = (
        _repeated(net, value, part, shape) for value, part in ((k, f"{name}.k"), (v, f"{name}.v"))
    )
    turned = net.add("Transpose", (k,), f"{name}.turned", perm=[0, 1, 3, 2])
    scores = net.add("MatMul", (q, turned), f"{name}.scores")
    scaled = net.add(
        "Mul", (scores, net.number(f"{name}.scale", shape.size**-0.5)), f"{name}.scaled"
    )
    masked = net.add("Add", (scaled, "mask"), f"{name}.masked")
    weights = net.add("Softmax", (masked,), f"{name}.weights", axis=-1)
    mixed = net.add("MatMul", (weights, v), f"{name}.mixed")
    mixed = net.add("Transpose", (mixed,), f"{name}.back", perm=[0, 2, 1, 3])
    mixed = net.shaped(mixed, f"{name}.merged", (shape.batch, shape.length, shape.hidden))
    return _product(net, mixed, f"{name}.proj", shape.hidden, shape.hidden)


def _product(net: Net, x: str, name: str, n_in: int, n_out: int) -> str:
    return net.add("MatMul", (x, net.normal(f"{name}.weight", (n_in, n_out), n_in**-0.5)), name)


def _heads(net: Net, x: str, name: str, shape: Llama, heads: int) -> str:
    """Project and bring heads before positions."""
    y = _product(net, x, f"{name}.proj", shape.hidden, heads * shape.size)
    y = net.shaped(y, f"{name}.split", (shape.batch, shape.length, heads, shape.size))
    return net.add("Transpose", (y,), f"{name}.heads", perm=[0, 2, 1, 3])


def _rotated(net: Net, x: str, name: str, shape: Llama) -> str:
    """x cos + (-x2, x1) sin: rotary position embedding on halves."""
    half = shape.size // 2
    first = _part(net, x, f"{name}.first", 0, half)
    second = _part(net, x, f"{name}.second", half, shape.size)
    minus = net.add("Neg", (second,), f"{name}.minus")
    turned = net.add("Concat", (minus, first), f"{name}.quarter", axis=-1)
    straight = net.add("Mul", (x, "cos"), f"{name}.straight")
    across = net.add("Mul", (turned, "sin"), f"{name}.across")
    return net.add("Add", (straight, across), f"{name}.rotated")


def _part(net: Net, x: str, name: str, start: int, end: int) -> str:
    bounds = [
        net.constant(f"{name}.{word}", np.array([value], np.int64))
        for word, value in (("start", start), ("end", end), ("axis", 3))
    ]
    return net.add("Slice", (x, *bounds), name)


def _repeated(net: Net, x: str, name: str, shape: Llama) -> str:
    """Give each key or value head to the query heads that share it."""
    group = shape.heads // shape.kv_heads
    lone = net.shaped(x, f"{name}.lone", (shape.batch, shape.kv_heads, 1, shape.length, shape.size))
    full = (shape.batch, shape.kv_heads, group, shape.length, shape.size)
    wanted = net.constant(f"{name}.full", np.array(full, np.int64))
    each = net.add("Expand", (lone, wanted), f"{name}.each")
    return net.shaped(each, f"{name}.shared", (shape.batch, shape.heads, shape.length, shape.size))


def _rms_norm(net: Net, x: str, name: str, width: int) -> str:
    square = net.add("Pow", (x, net.number(f"{name}.two", 2.0)), f"{name}.square")
    mean = net.add("ReduceMean", (square,), f"{name}.mean", axes=[-1])
    safe = net.add("Add", (mean, net.number(f"{name}.epsilon", 1e-6)), f"{name}.safe")
    root = net.add("Sqrt", (safe,), f"{name}.root")
    inverse = net.add("Reciprocal", (root,), f"{name}.inverse")
    normal = net.add("Mul", (x, inverse), f"{name}.normal")
    scale = net.uniform(f"{name}.weight", width, 0.8, 1.2)
    return net.add("Mul", (normal, scale), name)
