"""Convolutions whose windows lie side by side: products of patches, each a row of all its pixels.

A vision transformer cuts its image so. Taken tap by tap three channels fill a twentieth of the
matrix engine; as rows a patch of 16 x 16 pixels has 768 channels.
"""

from __future__ import annotations

from math import prod

import numpy as np

from drawloom.graph.ir import Array, Node
from drawloom.mapping.rewrite.emit import Emit

FEW_CHANNELS = 32  # of a pixel: more fill a matrix engine's block by themselves
LEAST_PATCH = 64  # channels of a patch, pixels and all: fewer gain nothing


def patches(emit: Emit, node: Node, x: str, w: str, bias: str) -> str:
    """Return the result of a convolution as a product of patches; empty where it is none of these."""
    shape, (outs, *patch) = emit.shape(x), emit.shape(w)
    if len(shape) != 4 or node.int("group", 1) != 1 or w not in emit.builder.constants:
        return ""
    channels, *kernel = patch
    flat = any(node.ints("pads", (0,) * 4)) or node.str("auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    )
    side = list(node.ints("strides", (1, 1))) == kernel and set(node.ints("dilations", (1, 1))) == {
        1
    }
    whole = all(n % size == 0 for n, size in zip(shape[2:], kernel, strict=True))
    few = channels <= FEW_CHANNELS and prod(patch) >= LEAST_PATCH
    if flat or not (side and whole and few):
        return ""
    batch, high, wide = shape[0], shape[2] // kernel[0], shape[3] // kernel[1]
    cut = emit.reshape(x, (batch, channels, high, kernel[0], wide, kernel[1]))
    rows = emit("Transpose", cut, perm=(0, 2, 4, 1, 3, 5))
    rows = emit.reshape(rows, (batch * high * wide, prod(patch)))
    y = emit("MatMul", rows, emit.derive(w, "patches", _as_columns, (prod(patch), outs)))
    if bias:
        y = emit("Add", y, bias)
    y = emit("Transpose", emit.reshape(y, (batch, high, wide, outs)), perm=(0, 3, 1, 2))
    return y


def _as_columns(weights: Array) -> Array:
    return np.ascontiguousarray(weights.reshape(weights.shape[0], -1).T)
