"""Upsampling: each spatial axis by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawloom.frontends.torch.call import Call, Rule

_NEAREST = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
_EXACT = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}


def _target(call: Call) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the sizes wanted, and the factors where they are stated and differ from the sizes'."""
    x = call.shape("self" if "self" in call.arguments else "input")
    inner = x[2:]
    factors = call.get("scale_factors")
    if factors is None:
        named = [call.get(key) for key in ("scales_d", "scales_h", "scales_w", "scales")]
        factors = [f for f in named if f is not None]
    if call.get("output_size") is not None:
        sizes = call.ints("output_size")
    else:
        sizes = tuple(int(d * f) for d, f in zip(inner, factors, strict=True))
    scales = (1.0, 1.0, *(float(f) for f in factors))
    full = (*x[:2], *sizes)
    exact = all(d * s == w for d, s, w in zip(x, scales, full, strict=False))
    return full, () if not factors or exact or len(scales) != len(x) else scales


def resize(mode: str, **given: Any) -> Rule:
    """Resize the axes behind batch and channel."""

    def rule(call: Call) -> Sequence[str]:
        x = call.x("self" if "self" in call.arguments else "input")
        sizes, scales = _target(call)
        attrs: dict[str, Any] = {"sizes": sizes, "mode": mode, **given}
        if call.get("align_corners"):
            attrs["coordinate_transformation_mode"] = "align_corners"
        elif scales:
            attrs["scales"] = scales
        return [call.emit("Resize", (x,), **attrs)]

    return rule


_LINEAR = ("linear1d", "bilinear2d", "trilinear3d")

RULES: dict[str, Rule] = {
    **{f"aten.upsample_nearest{n}d": resize("nearest", **_NEAREST) for n in (1, 2, 3)},
    **{f"aten._upsample_nearest_exact{n}d": resize("nearest", **_EXACT) for n in (1, 2, 3)},
    **{f"aten.upsample_{word}": resize("linear") for word in _LINEAR},
    "aten.upsample_bicubic2d": resize("cubic"),
    "aten._upsample_bilinear2d_aa": resize("linear", antialias=1),
    "aten._upsample_bicubic2d_aa": resize("cubic", antialias=1, cubic_coeff_a=-0.5),
}
