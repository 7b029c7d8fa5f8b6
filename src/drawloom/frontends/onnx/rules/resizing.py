"""Upsample and Resize: whatever says how large the result is becomes sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.movement import from_front

Floats = tuple[float, ...]

_MODES = {"bilinear": "linear", "trilinear": "linear"}
_COPIED = (
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "nearest_mode",
    "antialias",
)


def _numbers(call: Call, i: int, what: str) -> Floats:
    numbers = tuple(float(v) for v in call.array(i, what).reshape(-1))
    if not all(math.isfinite(v) for v in numbers):
        raise Refused(f"{what} {list(numbers)}", "finite numbers", sound=False)
    return numbers


def _early(call: Call) -> Sequence[str]:
    """Before version 11: only scales; cells map by plain scaling, rounded down."""
    if call.op == "Upsample" and call.opset < 9:
        scales = call.get("scales") or (
            1.0,
            1.0,
            call.need("height_scale"),
            call.need("width_scale"),
        )
    else:
        scales = _numbers(call, 1, "scales")
    attrs = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _scaled(call, tuple(scales), attrs)


def _scaled(call: Call, scales: Floats, attrs: dict[str, Any]) -> Sequence[str]:
    shape = call.shape()
    if len(scales) != len(shape):
        raise Refused(f"{len(scales)} scales", f"{len(shape)}, one for each axis", sound=False)
    sizes = tuple(math.floor(d * s) for d, s in zip(shape, scales, strict=True))
    return _emit(call, sizes, attrs | {"scales": scales})


def _emit(call: Call, sizes: tuple[int, ...], attrs: dict[str, Any]) -> Sequence[str]:
    mode = call.get("mode", "nearest")
    legal = _MODES.get(mode, mode)
    if legal not in ("nearest", "linear", "cubic"):
        call.refuse("mode", "nearest, linear or cubic")
    return [call.emit("Resize", (call.x(0),), sizes=sizes, mode=legal, **attrs)]


def _resize(call: Call) -> Sequence[str]:
    if call.opset < 11:
        return _early(call)
    attrs = {key: call.get(key) for key in _COPIED if key in call.attributes}
    shape = call.shape()
    axes = from_front(call.get("axes", range(len(shape))), len(shape))
    if attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        attrs["roi"] = _spread(_numbers(call, 1, "roi"), axes, len(shape))
    if call.has(2) and call.type(2).size:
        scales = dict(zip(axes, _numbers(call, 2, "scales"), strict=False))
        return _scaled(call, tuple(scales.get(i, 1.0) for i in range(len(shape))), attrs)
    if not call.has(3):
        raise Refused("neither scales nor sizes", "one of them", sound=False)
    wanted = call.listed(3, "sizes")
    if len(wanted) != len(axes):
        raise Refused(f"{len(wanted)} sizes", f"{len(axes)}, one for each axis", sound=False)
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        sizes = dict(zip(axes, wanted, strict=True))
        return _emit(call, tuple(sizes.get(i, d) for i, d in enumerate(shape)), attrs)
    pick = min if policy == "not_larger" else max
    scale = pick(w / shape[a] for a, w in zip(axes, wanted, strict=True))
    scales = tuple(scale if i in axes else 1.0 for i in range(len(shape)))
    kept = tuple(math.floor(d * scale + 0.5) if i in axes else d for i, d in enumerate(shape))
    return _emit(call, kept, attrs | {"scales": scales})


def _spread(roi: Floats, axes: Sequence[int], rank: int) -> Floats:
    """Return a region over all axes: whole where none is given."""
    full = [0.0] * rank + [1.0] * rank
    for i, axis in enumerate(axes):
        full[axis], full[rank + axis] = roi[i], roi[len(axes) + i]
    return tuple(full)


RULES: dict[str, Rule] = {"Resize": _resize, "Upsample": _early}
