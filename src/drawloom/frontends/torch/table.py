"""Which of PyTorch's composite calls stay whole when a model is traced."""

from __future__ import annotations

from typing import Any

from drawloom.frontends.torch.library import torch

KEPT = (
    "scaled_dot_product_attention.default",
    "linear.default",
    "layer_norm.default",
    "rms_norm.default",
    "group_norm.default",
    "native_layer_norm.default",
    "native_group_norm.default",
    "instance_norm.default",
    "softmax.int",
    "_softmax.default",
    "_safe_softmax.default",
    "log_softmax.int",
    "_log_softmax.default",
    "silu.default",
    "gelu.default",
    "elu.default",
    "celu.default",
    "leaky_relu.default",
    "hardswish.default",
    "hardsigmoid.default",
    "hardtanh.default",
    "mish.default",
    "prelu.default",
    "softplus.default",
    "matmul.default",
    "baddbmm.default",
    "logsumexp.default",
    "std.correction",
    "stack.default",
    "tril.default",
    "triu.default",
    "roll.default",
    "pad.default",
    "max_pool1d.default",
    "max_pool2d.default",
    "max_pool3d.default",
    "avg_pool1d.default",
    "adaptive_avg_pool1d.default",
    "adaptive_avg_pool2d.default",
    "adaptive_avg_pool3d.default",
    "_adaptive_avg_pool2d.default",
    "_adaptive_avg_pool3d.default",
    "pixel_shuffle.default",
    "pixel_unshuffle.default",
    "repeat_interleave.self_int",
    "unfold.default",
    "im2col.default",
    "index_add.default",
    "upsample_nearest1d.vec",
    "upsample_nearest2d.vec",
    "upsample_nearest3d.vec",
    "upsample_linear1d.vec",
    "upsample_bilinear2d.vec",
    "upsample_trilinear3d.vec",
    "upsample_bicubic2d.vec",
    "upsample_nearest1d.default",
    "upsample_nearest2d.default",
    "upsample_nearest3d.default",
    "upsample_linear1d.default",
    "upsample_bilinear2d.default",
    "upsample_trilinear3d.default",
    "upsample_bicubic2d.default",
    "_upsample_nearest_exact1d.vec",
    "_upsample_nearest_exact2d.vec",
    "_upsample_nearest_exact3d.vec",
    "_upsample_nearest_exact1d.default",
    "_upsample_nearest_exact2d.default",
    "_upsample_nearest_exact3d.default",
)
"""ATen overloads for which a rule exists and that say more whole than in parts."""


def kept() -> list[Any]:
    """Return the overloads of ``KEPT``."""
    found: list[Any] = []
    for word in KEPT:
        packet, overload = word.split(".")
        found.append(getattr(getattr(torch().ops.aten, packet), overload))
    return found


def decompositions() -> Any:
    """Return what everything else is taken apart into: the core of ATen, but for ``KEPT``."""
    table = torch().export.default_decompositions()
    for overload in kept():
        table.pop(overload, None)
    return table
