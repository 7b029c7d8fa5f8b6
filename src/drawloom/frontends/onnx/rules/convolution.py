"""Convolutions: automatic padding becomes pads, an output shape becomes pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.onnx.call import Call, Refused, Rule

Ints = tuple[int, ...]
Geometry = dict[str, Any]


def geometry(call: Call, sizes: Ints, kernel: Ints, *, dilated: bool = True) -> Geometry:
    """Return strides, dilations and pads for windows over ``sizes``, automatic ones resolved."""
    rank = len(sizes)
    strides = call.get("strides", (1,) * rank)
    dilations = call.get("dilations", (1,) * rank) if dilated else (1,) * rank
    for key, values in (("strides", strides), ("dilations", dilations), ("kernel_shape", kernel)):
        if len(values) != rank:
            call.refuse(key, f"{rank} numbers", sound=False)
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    automatic = call.get("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        pads = call.get("pads", (0,) * 2 * rank)
    elif automatic == "VALID":
        pads = (0,) * 2 * rank
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        missing = [
            max(0, (-(-n // s) - 1) * s + e - n)
            for n, s, e in zip(sizes, strides, extent, strict=True)
        ]
        pads = split_pads(missing, upper=automatic == "SAME_UPPER")
    else:
        call.refuse("auto_pad", "NOTSET, SAME_UPPER, SAME_LOWER or VALID", sound=False)
    attrs: Geometry = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    return attrs | ({"dilations": dilations} if any(d != 1 for d in dilations) else {})


def split_pads(totals: Sequence[int], *, upper: bool) -> Ints:
    """Return pads before and after for each axis; the odd one goes after if ``upper``."""
    before = [t // 2 if upper else t - t // 2 for t in totals]
    after = [t - b for t, b in zip(totals, before, strict=True)]
    return (*before, *after)


def _kernel(call: Call, w: int) -> Ints:
    shape = call.shape(w)
    if len(shape) != len(call.shape(0)) or len(shape) < 3:
        allowed = "x and w of one rank, 3 or more"
        raise Refused(f"x {list(call.shape(0))}, w {list(shape)}", allowed, sound=False)
    kernel = call.get("kernel_shape", shape[2:])
    if kernel != shape[2:]:
        call.refuse("kernel_shape", f"w's last dims {list(shape[2:])}", sound=False)
    return kernel


def windowed(w: int) -> Rule:
    """A convolution with weights in operand ``w``."""

    def rule(call: Call) -> Sequence[str]:
        kernel = _kernel(call, w)
        attrs = geometry(call, call.shape(0)[2:], kernel)
        return [call.emit(call.op, call.inputs, group=call.get("group", 1), **attrs)]

    return rule


def _transpose(call: Call) -> Sequence[str]:
    """An output shape, or automatic padding, says how much to pad."""
    sizes, kernel = call.shape(0)[2:], _kernel(call, 1)
    rank = len(sizes)
    automatic = call.get("auto_pad", "NOTSET")
    strides = call.get("strides", (1,) * rank)
    dilations = call.get("dilations", (1,) * rank)
    extra = call.get("output_padding", (0,) * rank)
    wanted = call.get("output_shape")
    lists = (("strides", strides), ("dilations", dilations), ("output_padding", extra))
    for key, values in lists:
        if len(values) != rank:
            call.refuse(key, f"{rank} numbers", sound=False)
    if wanted is not None and len(wanted) < rank:
        call.refuse("output_shape", f"{rank} numbers", sound=False)
    if wanted is None and automatic.startswith("SAME"):
        wanted = tuple(n * s for n, s in zip(sizes, strides, strict=True))
    pads = (0,) * 2 * rank if automatic == "VALID" else call.get("pads", (0,) * 2 * rank)
    if wanted is not None:
        rows = zip(sizes, kernel, strides, dilations, extra, wanted[-rank:], strict=True)
        totals = [(n - 1) * s + (k - 1) * d + 1 + e - want for n, k, s, d, e, want in rows]
        if any(t < 0 for t in totals):
            # more is wanted than the windows reach: what lacks is added behind
            extra = tuple(e + max(0, -t) for e, t in zip(extra, totals, strict=True))
            totals = [max(0, t) for t in totals]
        # the standard puts the odd one before, unless SAME_UPPER
        pads = split_pads(totals, upper=automatic == "SAME_UPPER")
    attrs: Geometry = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    attrs |= {"dilations": dilations} if any(d != 1 for d in dilations) else {}
    attrs |= {"output_padding": extra} if any(extra) else {}
    return [call.emit("ConvTranspose", call.inputs, group=call.get("group", 1), **attrs)]


RULES: dict[str, Rule] = {
    "Conv": windowed(1),
    "ConvInteger": windowed(1),
    "ConvTranspose": _transpose,
    "QLinearConv": windowed(3),
}
