"""Convolutions and their transposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.torch.call import Call, Rule


def _convolution(call: Call) -> Sequence[str]:
    """A transposed one has its weights as (in, out / groups, kernel), like ours."""
    shape = call.shape("weight")
    rank = len(shape) - 2
    pads = call.ints("padding", rank)
    dilations = call.ints("dilation", rank)
    attrs: dict[str, Any] = {
        "kernel_shape": shape[2:],
        "strides": call.ints("stride", rank),
        "pads": (*pads, *pads),
        "group": int(call.get("groups", 1)),
    }
    attrs |= {"dilations": dilations} if any(d != 1 for d in dilations) else {}
    bias = call.maybe("bias")
    operands = (call.x("input"), call.x("weight"), *((bias,) if bias else ()))
    if not call.get("transposed"):
        return [call.emit("Conv", operands, **attrs)]
    extra = call.ints("output_padding", rank)
    attrs |= {"output_padding": extra} if any(extra) else {}
    return [call.emit("ConvTranspose", operands, **attrs)]


RULES: dict[str, Rule] = {"aten.convolution": _convolution}
