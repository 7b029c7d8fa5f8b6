"""Numbers of eight bits and fewer: how values become codes, and codes become values.

    float -> float code    nearest even; beyond the largest it saturates, or gives what the format
                           has: an infinity or NaN
    float -> f8e8m0        the power of two above (``up``), below or nearest; the sign is lost
    number -> i4 u4 i2 u2  truncated, then the low bits; NaN and infinities give 0
    code -> number         exact where the target can hold it

Source: the operators Cast and CastLike of ONNX, and its reference implementation where the
standard leaves integers beyond the target open.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from drawloom.graph.dtypes import CODE_BITS, CODE_FLOATS, DType
from drawloom.graph.rounding import rounded_to_odd, wide

_E8M0 = np.dtype(ml_dtypes.float8_e8m0fnu)
ROUND_MODES = ("up", "nearest", "down")
"""How a number becomes a power of two; the first is the default."""


def _largest(dtype: DType) -> float:
    values = np.arange(256, dtype=np.uint8).view(dtype.numpy).astype(np.float64)
    return float(values[np.isfinite(values)].max())


_LARGEST = {dtype: _largest(dtype) for dtype in CODE_FLOATS}


def of_code(array: NDArray[Any]) -> NDArray[Any]:
    """Return codes as f32 or i8, which hold them exactly; anything else as it is."""
    dtype = DType.of(array.dtype)
    if not dtype.is_code:
        return array
    return array.astype(np.float32 if dtype in CODE_FLOATS else np.int8)


def to_code(
    values: NDArray[Any], to: DType, *, saturate: bool = True, round_mode: str = "up"
) -> NDArray[Any]:
    """Return numbers of any format as codes.

    Args:
        values: numbers of any format, codes too.
        to: a format for which ``DType.is_code`` holds.
        saturate: whether what is beyond a float code's range becomes its largest value.
        round_mode: one of ``ROUND_MODES``; of ``f8e8m0`` only.
    """
    values = of_code(values)
    if to is DType.F8E8M0:
        return _powers(values, saturate, round_mode)
    if to not in CODE_FLOATS:
        return _low_bits(values, to)
    exact = wide(values)
    if saturate:
        exact = np.clip(exact, -_LARGEST[to], _LARGEST[to])
    with np.errstate(invalid="ignore", over="ignore"):
        return rounded_to_odd(exact).astype(to.numpy)


def _low_bits(values: NDArray[Any], to: DType) -> NDArray[Any]:
    if values.dtype.kind in "iub":
        whole = values.astype(np.int64)
    else:
        exact = wide(values)
        held = np.abs(exact) < 2.0**63
        whole = np.where(held, np.trunc(exact), 0.0).astype(np.int64)
    bits = CODE_BITS[to]
    low = whole & ((1 << bits) - 1)
    if to in (DType.I4, DType.I2):
        low = (low ^ (1 << (bits - 1))) - (1 << (bits - 1))
    return low.astype(np.int8).astype(to.numpy)


def _powers(values: NDArray[Any], saturate: bool, round_mode: str) -> NDArray[Any]:
    """Return the exponents of float32 numbers, rounded by what their fractions say."""
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    exponent = ((bits >> 23) & 0xFF).astype(np.int64)
    fraction = bits & 0x7FFFFF
    half = 0x400000
    over = {
        "up": fraction > 0,
        "nearest": (fraction > half) | ((fraction == half) & (exponent > 0)),
        "down": np.zeros(fraction.shape, np.bool_),
    }[round_mode]
    top = 0xFE if saturate else 0xFF
    risen = np.minimum(exponent + over, top)
    made = np.where(exponent == 0xFF, 0xFF, risen).astype(np.uint8)
    return made.reshape(values.shape).view(_E8M0)
