"""Images of few channels, as the host has them, brought to four channels side by side.

The channels of a pixel lie a whole plane apart in DRAM. The matrix engine turns planes as it
reads them: a product of their transpose with the identity gives the channels of a pixel together,
and zeros for those that are missing. A convolution of such pixels can be folded (``windows``).

Of many images each stands by itself: 16 neighbouring pixels of a plane are taken for channels, and a
convolution with one tap for each plane puts them side by side. That fills the engine 16 times as well,
and every tile can do it with images of its own.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node
from drawloom.mapping.rewrite.emit import Emit

CHANNELS = 4
BLOCK = 64  # elements: planes of whole blocks are read as they lie
MOST = 64  # elements of a folded pixel
FEW_TAPS = 9
MANY = 16  # images: enough for tiles to have some each
RUN = 16  # pixels that are taken for channels
STRIPS = 8  # of a plane, of which tiles can turn one after the other
LONGEST = 4096  # pixels that a row of an image may have


def interleaved(emit: Emit, node: Node, x: str, w: str) -> tuple[str, str]:
    """Return image and weights of a convolution, in four channels where that pays."""
    if not _pays(emit, node, x, w):
        return x, w
    batch, channels, high, wide = emit.shape(x)
    dtype = emit.builder.types[x].dtype
    outs, _, *taps = emit.shape(w)
    four = emit.derive(w, "four", _four, (outs, CHANNELS, *taps))
    pixels = high * wide
    if batch >= MANY and pixels % (RUN * STRIPS) == 0 and pixels <= LONGEST * RUN * STRIPS:
        return _turned(emit, x), four
    unit = emit.constant("unit", (channels, dtype), partial(_unit, channels, dtype))
    planes = emit.reshape(x, (batch, channels, pixels))
    joined = emit("MatMul", planes, unit, trans_a=1)
    turned = emit("Transpose", joined, perm=(0, 2, 1))
    return emit.reshape(turned, (batch, CHANNELS, high, wide)), four


def _turned(emit: Emit, x: str) -> str:
    """Return images with the channels of a pixel side by side: each image by itself."""
    batch, channels, high, wide = emit.shape(x)
    dtype = emit.builder.types[x].dtype
    made = _maker(emit, x)
    # A format changes behind the moves, which so are only other names for what the host brought.
    given = x if made is None else made.inputs[0]
    strip = high * wide // (RUN * STRIPS)
    runs = emit.reshape(given, (batch, channels * STRIPS, strip, RUN))
    planes = emit("Transpose", runs, perm=(0, 3, 1, 2))
    if given != x:
        planes = emit("Cast", planes, to=dtype.value)
    key = (channels, dtype)
    side = emit.constant("beside", key, partial(_beside, channels, dtype))
    taps = {"kernel_shape": (channels, 1), "dilations": (STRIPS, 1)}
    pixels = emit("Conv", planes, side, **taps)
    apart = emit.reshape(pixels, (batch, RUN, CHANNELS, STRIPS * strip))
    image = emit("Transpose", apart, perm=(0, 2, 3, 1))
    return emit.reshape(image, (batch, CHANNELS, high, wide))


def _beside(channels: int, dtype: DType) -> Array:
    """Return the weights that put channel c of pixel g behind 4 g + c others."""
    weights = np.zeros((RUN * CHANNELS, RUN, channels, 1), np.float32)
    for pixel in range(RUN):
        for channel in range(channels):
            weights[pixel * CHANNELS + channel, pixel, channel] = 1.0
    return weights.astype(dtype.numpy)


def _pays(emit: Emit, node: Node, x: str, w: str) -> bool:
    shape, kernel = emit.shape(x), emit.shape(w)
    known = w in emit.builder.constants and _is_brought(emit, x)
    few = len(shape) == 4 and shape[1] < CHANNELS and node.int("group", 1) == 1
    if not known or not few or emit.builder.types[x].dtype not in (DType.F16, DType.BF16):
        return False
    strides, steps = node.ints("strides", (1, 1)), node.ints("dilations", (1, 1))
    run = (1 << (kernel[3] - 1).bit_length()) * CHANNELS * strides[0]
    even = shape[2] % strides[0] == 0 and shape[2] * shape[3] % BLOCK == 0
    many = kernel[2] * kernel[3] >= FEW_TAPS and kernel[3] > 1
    return even and many and run <= MOST and set(steps) == {1}


def _is_brought(emit: Emit, x: str) -> bool:
    """Whether the host brings a value, but for its format."""
    while x not in emit.builder.inputs:
        made = _maker(emit, x)
        if made is None or made.op != "Cast":
            return False
        x = made.inputs[0]
    return True


def _maker(emit: Emit, value: str) -> Node | None:
    return next((node for node in emit.builder.nodes if value in node.outputs), None)


def _unit(channels: int, dtype: DType) -> Array:
    return np.eye(channels, CHANNELS, dtype=np.float32).astype(dtype.numpy)


def _four(weights: Array) -> Array:
    missing = CHANNELS - weights.shape[1]
    return np.pad(weights, ((0, 0), (0, missing), (0, 0), (0, 0)))
