"""Windows become one element each; adaptive pools have windows of several sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule

Ints = tuple[int, ...]


def _batched(call: Call, rank: int) -> str:
    """Return ``self`` with a batch axis and a channel axis before ``rank`` spatial ones."""
    shape = call.shape()
    lead = shape[: len(shape) - rank]
    return call.reshape(call.x(), (*(1,) * (2 - len(lead)), *shape))


def _unbatched(call: Call, value: str, rank: int) -> str:
    inner = call.draft.type(value).shape[2:]
    return call.reshape(value, (*call.shape()[: len(call.shape()) - rank], *inner))


def _geometry(call: Call, rank: int) -> dict[str, Any]:
    kernel, pads = call.ints("kernel_size", rank), call.ints("padding", rank) or (0,) * rank
    dilations = call.ints("dilation", rank)
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": call.ints("stride", rank) or kernel,
        "pads": (*pads, *pads),
    }
    attrs |= {"dilations": dilations} if any(d != 1 for d in dilations) else {}
    return attrs | ({"ceil_mode": 1} if call.get("ceil_mode") else {})


def _max(rank: int) -> Rule:
    """Positions count within one image, ours through the whole tensor."""

    def rule(call: Call) -> Sequence[str]:
        x = _batched(call, rank)
        wants = len(call.used) > 1 and call.used[1]
        made = call.emit_many("MaxPool", (x,), 2 if wants else 1, **_geometry(call, rank))
        y = _unbatched(call, made[0], rank)
        return [y, _in_image(call, made[1], rank) if wants else ""]

    return rule


def _in_image(call: Call, places: str, rank: int) -> str:
    plane = math.prod(call.shape()[-rank:])
    inside = call.emit("Mod", (places, call.number(plane, places)))
    return _unbatched(call, inside, rank)


def _average(rank: int) -> Rule:
    def rule(call: Call) -> Sequence[str]:
        attrs = _geometry(call, rank)
        attrs["count_include_pad"] = int(call.get("count_include_pad", True))
        divisor = call.get("divisor_override")
        if divisor is not None and (attrs.get("ceil_mode") or not attrs["count_include_pad"]):
            raise Refused(f"divisor_override={divisor}", "none, where windows differ in size")
        y = call.emit("AveragePool", (_batched(call, rank),), **attrs)
        if divisor is not None:
            factor = math.prod(attrs["kernel_shape"]) / divisor
            y = call.emit("Mul", (y, call.number(factor, y)))
        return [_unbatched(call, y, rank)]

    return rule


def _wanted(call: Call, rank: int) -> tuple[Ints, Ints]:
    sizes = call.shape()[-rank:]
    listed: Any = call.get("output_size")
    listed = (listed,) * rank if isinstance(listed, int) else listed
    return sizes, tuple(s if w is None else int(w) for s, w in zip(sizes, listed, strict=True))


def _even(sizes: Ints, wanted: Ints) -> dict[str, Any] | None:
    """Return the window of an adaptive pool where all its windows are of one size."""
    if any(w < 1 or s % w for s, w in zip(sizes, wanted, strict=True)):
        return None
    kernel = tuple(s // w for s, w in zip(sizes, wanted, strict=True))
    return {"kernel_shape": kernel, "strides": kernel}


def _windows(size: int, out: int) -> list[tuple[int, int]]:
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def _adaptive_average(rank: int) -> Rule:
    """Uneven windows are a matrix product along each axis."""

    def rule(call: Call) -> Sequence[str]:
        sizes, wanted = _wanted(call, rank)
        first = len(call.shape()) - rank
        if all(w == 1 for w in wanted):
            axes = tuple(range(first, first + rank))
            return [call.emit("ReduceMean", (call.x(),), axes=axes, keepdims=1)]
        even = _even(sizes, wanted)
        if even is not None:
            y = call.emit("AveragePool", (_batched(call, rank),), **even)
            return [_unbatched(call, y, rank)]
        y = call.x()
        for i, (size, out) in enumerate(zip(sizes, wanted, strict=True)):
            y = _averaged(call, y, first + i, size, out)
        return [y]

    return rule


def _averaged(call: Call, value: str, axis: int, size: int, out: int) -> str:
    if size == out:
        return value
    matrix = np.zeros((size, out))
    for i, (start, end) in enumerate(_windows(size, out)):
        matrix[start:end, i] = 1.0 / (end - start)
    weights = call.constant(matrix.astype(call.out().numpy), "windows")
    rank = len(call.shape())
    perm = [i for i in range(rank) if i != axis] + [axis]
    last = call.emit("MatMul", (call.transpose(value, perm), weights))
    return call.transpose(last, np.argsort(perm).tolist())


def _adaptive_max(rank: int) -> Rule:
    def rule(call: Call) -> Sequence[str]:
        sizes, wanted = _wanted(call, rank)
        even = _even(sizes, wanted)
        wants = len(call.used) > 1 and call.used[1]
        if even is None:
            if wants:
                raise Refused("positions in windows of several sizes", "dims that divide evenly")
            return [_uneven_max(call, sizes, wanted), ""]
        made = call.emit_many("MaxPool", (_batched(call, rank),), 2 if wants else 1, **even)
        y = _unbatched(call, made[0], rank)
        return [y, _in_image(call, made[1], rank) if wants else ""]

    return rule


def _uneven_max(call: Call, sizes: Ints, wanted: Ints) -> str:
    """The largest of each window, one axis after the other."""
    y, first = call.x(), len(call.shape()) - len(sizes)
    for i, (size, out) in enumerate(zip(sizes, wanted, strict=True)):
        axes = (first + i,)
        cuts = [call.cut(y, axes[0], start, end) for start, end in _windows(size, out)]
        parts = [call.emit("ReduceMax", (cut,), axes=axes, keepdims=1) for cut in cuts]
        y = call.emit("Concat", parts, axis=axes[0])
    return y


RULES: dict[str, Rule] = {
    **{f"aten.max_pool{n}d": _max(n) for n in (1, 2, 3)},
    **{f"aten.max_pool{n}d_with_indices": _max(n) for n in (2, 3)},
    **{f"aten.avg_pool{n}d": _average(n) for n in (1, 2, 3)},
    **{f"aten.adaptive_avg_pool{n}d": _adaptive_average(n) for n in (1, 2, 3)},
    **{f"aten._adaptive_avg_pool{n}d": _adaptive_average(n) for n in (2, 3)},
    **{f"aten.adaptive_max_pool{n}d": _adaptive_max(n) for n in (1, 2, 3)},
}
