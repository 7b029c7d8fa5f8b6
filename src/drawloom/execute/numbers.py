"""How formats lie in memory, how they widen, and how a result is rounded once.

    widen   f16 bf16 -> float32, f32 tf32 f64 as they are, integers and bool -> int64
    narrow  float -> float   nearest even, once
            float -> integer nearest even, then saturated; NaN gives 0
            integer -> float nearest even
            integer -> integer keeps the low bits
            any -> bool      x != 0

NumPy's own cast from float64 to bfloat16 goes through float32 and rounds twice;
here float32 is rounded to odd first, which keeps enough to decide (24 >= 8 + 2 bits).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from drawloom.chip.formats import CODES
from drawloom.errors import nearest
from drawloom.execute.faults import Refused

Values = NDArray[Any]
Watch = Callable[[Values, str, Values], None]

STORED: dict[str, np.dtype[Any]] = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
    "i16": np.dtype(np.int16),
    "u16": np.dtype(np.uint16),
    "i32": np.dtype(np.int32),
    "u32": np.dtype(np.uint32),
    "i64": np.dtype(np.int64),
    "u64": np.dtype(np.uint64),
    # A byte that is neither 0 nor 1 must stay what it is until it is read as a truth value.
    "bool": np.dtype(np.uint8),
    "f8e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "f8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "f8e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "f8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "f4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "i4": np.dtype(ml_dtypes.int4),
    "u4": np.dtype(ml_dtypes.uint4),
    "i2": np.dtype(ml_dtypes.int2),
    "u2": np.dtype(ml_dtypes.uint2),
}
"""The NumPy dtype that holds each format's bits in memory."""

FLOATS = frozenset({"f64", "f32", "tf32", "f16", "bf16"})
HALVES = frozenset({"f16", "bf16"})

_watches: list[Watch] = []

_ALL_F16 = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
with np.errstate(invalid="ignore"):
    _F32_OF_F16 = _ALL_F16.astype(np.float32)


def stored(fmt: str) -> np.dtype[Any]:
    """Return the dtype that holds a format's bits; Refused when there is no such format."""
    dtype = STORED.get(fmt)
    if dtype is None:
        raise Refused(f"there is no format '{fmt}': {nearest(fmt, STORED)}")
    return dtype


def widen(values: Values, fmt: str) -> Values:
    """Return stored values in the format that plain arithmetic runs in; f32 may be a view."""
    _need_computed(fmt)
    if fmt == "f16":
        # A table is twice as fast as NumPy's cast.
        return _F32_OF_F16.take(values.view(np.uint16))
    if fmt == "bf16":
        return values.astype(np.float32)
    if fmt == "bool":
        return (values != 0).astype(np.int64)
    if fmt in FLOATS or fmt == "u64":
        return values
    return values.astype(np.int64)


def narrow(values: Values, fmt: str) -> Values:
    """Round values (bool, integer, float32 or float64) once to ``fmt``, as stored.

    The result is a new array, or ``values`` itself where nothing is to be done.
    """
    result = rounded(values, fmt)
    for watch in _watches:
        watch(values, fmt, result)
    return result


@contextmanager
def watched(watch: Watch) -> Generator[None]:
    """Have every rounding looked at: values as they were, the format, the result. Not for several threads."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)


def is_watched() -> bool:
    """Whether anybody looks at roundings: tables of results would keep them from it."""
    return bool(_watches)


def rounded(values: Values, fmt: str) -> Values:
    """Return what ``narrow`` does, looked at by nobody: for numbers of the program itself."""
    dtype = stored(fmt)
    _need_computed(fmt)
    if fmt == "bool":
        return (values != 0).view(np.uint8)
    if fmt not in FLOATS:
        return _saturated(values, dtype) if values.dtype.kind == "f" else _cast(values, dtype)
    if fmt in ("f32", "f64", "f16"):
        return _cast(values, dtype)
    if values.dtype != np.float32:
        values = _to_odd(values.astype(np.float64))
    return round_tf32(values) if fmt == "tf32" else values.astype(dtype)


def _need_computed(fmt: str) -> None:
    if fmt in CODES:
        raise Refused(f"no engine computes in format '{fmt}': {nearest(fmt, STORED)}")


def round_tf32(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round float32 to 10 mantissa bits, to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = (bits + (np.uint32(0xFFF) + ((bits >> 13) & 1))) & np.uint32(0xFFFFE000)
    # A NaN with a full mantissa would carry into the sign and become 0.
    return np.where(np.isnan(values), values, rounded.view(np.float32))


def _cast(values: Values, dtype: np.dtype[Any]) -> Values:
    return values.astype(dtype, copy=False)


def _saturated(values: Values, dtype: np.dtype[Any]) -> Values:
    info = np.iinfo(dtype)
    whole = np.rint(values.astype(np.float64))
    whole = np.where(np.isnan(whole), 0.0, whole)
    # The largest 64-bit integers are no float64: clip below, then put them in.
    top = np.nextafter(float(info.max) + 1.0, 0.0) if dtype.itemsize == 8 else float(info.max)
    inside = np.clip(whole, float(info.min), top).astype(dtype)
    return np.where(whole >= float(info.max), dtype.type(info.max), inside)


def _to_odd(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round float64 to float32 towards zero, and set the last bit where that was inexact."""
    near = values.astype(np.float32)
    back = near.astype(np.float64)
    bits = near.view(np.uint32) - (np.abs(back) > np.abs(values)).astype(np.uint32)
    return (bits | (back != values).astype(np.uint32)).view(np.float32)
