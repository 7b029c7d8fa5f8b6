"""Convolutions and their transposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.torch.call import Call, Rule


def _pads(call: Call, kernel: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    """Return pads before and after; of ``same`` the odd one stands behind."""
    word = call.get("padding", 0)
    if word == "valid":
        return (0,) * 2 * len(kernel)
    if word == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return (*(t // 2 for t in totals), *(t - t // 2 for t in totals))
    pads = call.ints("padding", len(kernel))
    return (*pads, *pads)


def _convolution(call: Call) -> Sequence[str]:
    """A transposed one has its weights as (in, out / groups, kernel), like ours."""
    kernel = call.shape("weight")[2:]
    rank = len(kernel)
    dilations = call.ints("dilation", rank)
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": call.ints("stride", rank),
        "pads": _pads(call, kernel, dilations),
        "group": int(call.get("groups", 1)),
    }
    attrs |= {"dilations": dilations} if any(d != 1 for d in dilations) else {}
    bias, shape = call.maybe("bias"), call.shape("input")
    single = len(shape) == rank + 1
    x = call.reshape(call.x("input"), (1, *shape)) if single else call.x("input")
    operands = (x, call.x("weight"), *((bias,) if bias else ()))
    if call.get("transposed") or "transpose" in call.op:
        extra = call.ints("output_padding", rank)
        attrs |= {"output_padding": extra} if any(extra) else {}
        y = call.emit("ConvTranspose", operands, **attrs)
    else:
        y = call.emit("Conv", operands, **attrs)
    return [call.reshape(y, call.draft.type(y).shape[1:]) if single else y]


_WORDS = "convolution conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"

RULES: dict[str, Rule] = {f"aten.{word}": _convolution for word in _WORDS.split()}
