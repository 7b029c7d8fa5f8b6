"""Operators that no piece has, spelled with ones that some piece has; before anything else.

ConvTranspose   zeros between the elements, then a convolution with the kernel turned round
PRelu           max(x, 0) + slope min(x, 0)
codes           numbers, where no product decodes them along with its loads (``decoding``)
QLinearConv     the same with one factor for each output
a norm          the plain norm, times its scale, plus its bias, where these are no constants
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Node
from drawloom.mapping.fuse.quantized import convolve_codes
from drawloom.mapping.rewrite.decoding import dequantize, unpack
from drawloom.mapping.rewrite.emit import Emit

Rule = Callable[[Emit, Node, Sequence[str]], Sequence[str] | None]


def _conv_transpose(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    shape = emit.shape(inputs[0])
    rank = len(shape) - 2
    if rank > 2 or 0 in shape or inputs[1] not in emit.builder.constants:
        return None
    kernel = emit.shape(inputs[1])[2:]
    ones = (1,) * rank
    strides, dilations = node.ints("strides", ones), node.ints("dilations", ones)
    extra, pads = node.ints("output_padding", (0,) * rank), node.ints("pads", (0,) * 2 * rank)
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    before = [r - p for r, p in zip(reach, pads[:rank], strict=True)]
    after = [r - p + e for r, p, e in zip(reach, pads[rank:], extra, strict=True)]
    if min(*before, *after) < 0:
        return None
    group = node.int("group", 1)
    outs = emit.shape(inputs[1])[1]
    turned = emit.derive(
        inputs[1],
        f"turned{group}",
        partial(_turned, group),
        (outs * group, shape[1] // group, *kernel),
    )
    attrs: dict[str, Attr] = {"dilations": dilations, "group": group, "kernel_shape": kernel}
    attrs["pads"] = (*before, *after)
    return (emit("Conv", _apart(emit, inputs[0], strides), turned, *inputs[2:], **attrs),)


def _turned(group: int, weights: Array) -> Array:
    """Return a transposed convolution's weights as those of the convolution that it is."""
    inner, outs, *kernel = weights.shape
    split = weights.reshape(group, inner // group, outs, *kernel).swapaxes(1, 2)
    back = (slice(None),) * 3 + (slice(None, None, -1),) * len(kernel)
    return np.ascontiguousarray(split[back]).reshape(group * outs, inner // group, *kernel)


def _apart(emit: Emit, x: str, strides: Sequence[int]) -> str:
    """Put zeros between the elements of an image, so that neighbours lie a stride apart."""
    lead, size = emit.shape(x)[:2], emit.shape(x)[2:]
    if all(s == 1 for s in strides):
        return x
    lone = [n for d in size for n in (d, 1)]
    zeros = [n for s in strides for n in (0, s - 1)]
    spread = emit(
        "Pad", emit.reshape(x, (*lead, *lone)), pads=(*(0,) * (2 + len(lone)), 0, 0, *zeros)
    )
    grown = tuple(d * s for d, s in zip(size, strides, strict=True))
    ends = tuple((d - 1) * s + 1 for d, s in zip(size, strides, strict=True))
    whole = emit.reshape(spread, (*lead, *grown))
    axes = tuple(range(2, 2 + len(size)))
    return emit("Slice", whole, starts=(0,) * len(size), ends=ends, axes=axes)


def _prelu(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    x, slope = inputs
    dtype = emit.builder.types[x].dtype
    zero = emit.constant("zero", dtype, lambda: np.zeros((), dtype.numpy))
    below = emit("Mul", emit("Min", x, zero), slope)
    return (emit("Add", emit("Max", x, zero), below),)


def _norm(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    constants = emit.builder.constants
    if len(node.outputs) > 1 or all(v in constants for v in inputs[1:] if v):
        return None
    dtype = emit.builder.types[inputs[0]].dtype
    if dtype is DType.F64:
        return None
    # In f32, so that the result is rounded once.
    x, *weights = (_cast(emit, v, DType.F32) for v in inputs if v)
    tail = emit.shape(x)[node.int("axis", -1) :]
    one = emit.constant("one", tail, lambda: np.ones(tail, np.float32))
    made = emit("Mul", emit(node.op, x, one, **node.attrs), weights[0])
    made = emit("Add", made, weights[1]) if len(weights) > 1 else made
    return (_cast(emit, made, dtype),)


def _cast(emit: Emit, value: str, to: DType) -> str:
    return value if emit.builder.types[value].dtype is to else emit("Cast", value, to=to.value)


SPELLED: dict[str, Rule] = {
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": dequantize,
    "LayerNormalization": _norm,
    "PRelu": _prelu,
    "QLinearConv": convolve_codes,
    "RMSNormalization": _norm,
    "UnpackInt4": unpack,
}
