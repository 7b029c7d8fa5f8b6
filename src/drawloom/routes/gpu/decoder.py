"""A decoder-only language model on GPUs, kernel by kernel: one pass over tokens → seconds.

A pass is what a captured graph replays: each layer's norms, products, rotation, attention,
all-reduces, activation or experts; then the head. Nothing is fitted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.attention import Attention, decode_seconds, prefill_seconds
from drawloom.routes.gpu.collective import direct_all_reduce_seconds
from drawloom.routes.gpu.experts import experts_seconds
from drawloom.routes.gpu.gemm import captured_seconds
from drawloom.routes.gpu.kernel import Floats
from drawloom.routes.gpu.pointwise import GATED_ACTIVATION, RMS_NORM, ROTATION

# Bytes of a weight by how products are stored; nvfp4 and mxfp4: 4 bits and a scale of 8 a block.
WEIGHT_BYTES = {
    "bfloat16": 2.0,
    "fp8": 1.0,
    "fp8_cublas": 1.0,
    "fp8_block": 1.0,
    "fp4": 0.5 + 1 / 16,
}
ACTIVATION_BYTES = 2


@dataclass(frozen=True, slots=True)
class Decoder:
    """The sizes of a model that time depends on.

    Attributes:
        layers: how many.
        width: of the hidden state.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: size of a head.
        inner: width of the feed-forward part, or of one expert.
        vocabulary: tokens.
        experts: 0 for a dense model.
        chosen: experts a token goes to.
        window: how far back layers with a window see, 0 where all see everything.
        windowed: share of the layers that have the window.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    experts: int = 0
    chosen: int = 0
    window: int = 0
    windowed: float = 0

    @staticmethod
    def of(config: Mapping[str, Any]) -> Decoder:
        """Return the sizes in a ``config.json``."""
        experts = config.get("num_experts") or 0
        window = config.get("sliding_window") or 0
        every = config.get("window_every") or 0
        return Decoder(
            layers=config["num_hidden_layers"],
            width=config["hidden_size"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            head_dim=config.get("head_dim")
            or config["hidden_size"] // config["num_attention_heads"],
            inner=config["moe_intermediate_size"] if experts else config["intermediate_size"],
            vocabulary=config["vocab_size"],
            experts=experts,
            chosen=config["num_experts_per_tok"] if experts else 0,
            window=window if every else 0,
            windowed=1 / every if every else 0,
        )

    def kv_bytes(self, number_bytes: float, split: float) -> float:
        """Return the bytes of one token in the cache of one GPU."""
        heads = max(self.kv_heads / split, 1)
        return 2 * self.layers * heads * self.head_dim * number_bytes

    def weight_bytes(self, number_format: str, split: float, expert_gpus: float) -> float:
        """Return the bytes of the weights on one GPU."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        outer = 2 * self.vocabulary * self.width * ACTIVATION_BYTES / split
        each = 3 * self.width * self.inner
        width = WEIGHT_BYTES[number_format]
        # What is stored in 4 bits are experts alone.
        attention_width = ACTIVATION_BYTES if number_format == "fp4" else width
        feed_forward = each * max(self.experts, 1) / (expert_gpus if self.experts else split)
        return self.layers * (attention * attention_width / split + feed_forward * width) + outer


@dataclass(frozen=True, slots=True)
class Placement:
    """How a model lies on GPUs.

    Attributes:
        gpu: of all.
        number_format: of the products: a key of ``WEIGHT_BYTES``.
        kv_bytes: of a number in the cache.
        split: GPUs that share a layer's heads and products.
        expert_gpus: GPUs over which the experts are spread.
    """

    gpu: Gpu
    number_format: str
    kv_bytes: float
    split: int
    expert_gpus: int = 1


def decode_pass_seconds(
    model: Decoder, at: Placement, batch: NDArray[Any], context: NDArray[Any]
) -> Floats:
    """Return the seconds of one token for each of ``batch`` sequences of ``context`` tokens."""
    tokens = np.asarray(batch, np.float64)

    def attention(window: int) -> Floats:
        return decode_seconds(at.gpu, _cases(model, at, tokens, context, window))

    return _pass(model, at, tokens, _attention(model, attention)) + _head(model, at, tokens)


def prefill_pass_seconds(model: Decoder, at: Placement, tokens: NDArray[Any]) -> Floats:
    """Return the seconds of reading one prompt of ``tokens`` and its first new token."""
    tokens = np.asarray(tokens, np.float64)
    one = np.ones_like(tokens)

    def attention(window: int) -> Floats:
        return prefill_seconds(at.gpu, _cases(model, at, one, tokens, window))

    return _pass(model, at, tokens, _attention(model, attention)) + _head(model, at, one)


def _cases(model: Decoder, at: Placement, batch: Any, tokens: Any, window: int) -> Attention:
    heads, kv_heads = max(model.heads / at.split, 1), max(model.kv_heads / at.split, 1)
    return Attention.of(batch, tokens, heads, kv_heads, model.head_dim, window, at.kv_bytes)


def _attention(model: Decoder, seconds: Any) -> Floats:
    """Return the mean over layers with and without a window."""
    full = seconds(0)
    if not model.windowed:
        return full
    return (1 - model.windowed) * full + model.windowed * seconds(model.window)


def _product(at: Placement, tokens: Floats, n: float, k: float, number_format: str = "") -> Floats:
    used = number_format or at.number_format
    return captured_seconds(at.gpu, used, tokens, np.full_like(tokens, n), np.full_like(tokens, k))


def _pass(model: Decoder, at: Placement, tokens: Floats, attention: Floats) -> Floats:
    gpu, split = at.gpu, at.split
    used = "bfloat16" if at.number_format == "fp4" else at.number_format
    heads = (model.heads + 2 * max(model.kv_heads, split)) * model.head_dim / split
    message = tokens * model.width * ACTIVATION_BYTES
    layer = 2 * RMS_NORM.seconds(gpu, tokens, model.width) + attention
    layer += _product(at, tokens, heads, model.width, used)
    layer += ROTATION.seconds(gpu, tokens, heads)
    layer += _product(at, tokens, model.width, model.heads * model.head_dim / split, used)
    layer += direct_all_reduce_seconds(gpu, message, np.full_like(tokens, split))
    if model.experts:
        width = WEIGHT_BYTES[at.number_format]
        layer += experts_seconds(gpu, model, tokens, at.expert_gpus, width, used)
        layer += direct_all_reduce_seconds(gpu, message, np.full_like(tokens, at.expert_gpus))
        return model.layers * layer
    layer += _product(at, tokens, 2 * model.inner / split, model.width)
    layer += GATED_ACTIVATION.seconds(gpu, tokens, model.inner / split)
    layer += _product(at, tokens, model.width, model.inner / split)
    layer += direct_all_reduce_seconds(gpu, message, np.full_like(tokens, split))
    return model.layers * layer


def _head(model: Decoder, at: Placement, rows: Floats) -> Floats:
    return _product(at, rows, model.vocabulary / at.split, model.width, "bfloat16")
