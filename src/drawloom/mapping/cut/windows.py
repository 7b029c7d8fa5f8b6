"""The window of a convolution or pool, as its piece holds it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.window import Window as GraphWindow
from drawloom.mapping.fuse.quantized import is_convolution, weights_of
from drawloom.mapping.pieces import Fold, Window


def window_of(node: Node, types: Mapping[str, TensorType]) -> Window:
    """Return the window of a 2-D convolution or pool."""
    h, w = types[node.inputs[0]].shape[2:]
    is_conv = is_convolution(node)
    kernel = types[weights_of(node)].shape[2:] if is_conv else node.ints("kernel_shape")
    found = GraphWindow.of(node, (h, w), kernel)
    oh, ow = types[node.outputs[0]].shape[2:]
    return Window(
        h=h,
        w=w,
        kernel=(kernel[0], kernel[1]),
        strides=(found.strides[0], found.strides[1]),
        pads=(
            found.pads_before[0],
            found.pads_after[0],
            found.pads_before[1],
            found.pads_after[1],
        ),
        dilations=(found.dilations[0], found.dilations[1]),
        oh=oh,
        ow=ow,
    )


def fold_of(node: Node, types: Mapping[str, TensorType], blocking: Blocking) -> Fold | None:
    """Return how a convolution of few channels is folded, so that they fill a block; None where not."""
    shape, dtype = types[node.inputs[0]].shape, types[node.inputs[0]].dtype
    window = window_of(node, types)
    pixels = 1 << (window.kernel[1] - 1).bit_length()
    fits = shape[1] == blocking.min_tail and dtype.bytes == 2 and window.h % window.strides[0] == 0
    wide = pixels * shape[1] * window.strides[0] <= blocking.of(dtype.bytes)
    if not fits or not wide or window.dilations != (1, 1) or window.kernel[1] == 1:
        return None
    return Fold(shape[1], pixels, window.strides[1], window.pads[2], window.strides[0], window.w)


def folded_window(window: Window, fold: Fold) -> Window:
    """Return the window over the folded image: taps lie one below the other."""
    top = -(-window.pads[0] // fold.rows)
    taps = (window.kernel[0] - 1 - window.pads[0]) // fold.rows + top + 1
    high = window.h // fold.rows
    bottom = max(0, window.oh - 1 + taps - top - high)
    return Window(
        high, window.ow, (taps, 1), (1, 1), (top, bottom, 0, 0), (1, 1), window.oh, window.ow
    )


def folded_weights(fold: Fold, taps: int, top: int, pad: int, weights: Array) -> Array:
    """Return weights (outputs, channels, height, width) as those of the folded image.

    Tap t of row q in its group is row (t - top) * rows + q + pad of the kernel.
    """
    outs, channels, high, wide = weights.shape
    out = np.zeros((outs, taps, fold.rows, fold.pixels, channels), weights.dtype)
    for tap in range(taps):
        for row in range(fold.rows):
            y = (tap - top) * fold.rows + row + pad
            if 0 <= y < high:
                out[:, tap, row, :wide] = weights[:, :, y].transpose(0, 2, 1)
    flat = out.reshape(outs, taps, fold.rows * fold.pixels * channels)
    return np.ascontiguousarray(flat.transpose(0, 2, 1))[..., None]
