"""Widening and rounding once: the arithmetic contract of the reference.

Every operator on floats computes in a format wide enough that the only error
that matters is one rounding, at the end, to the output's format. Sums and
transcendental functions compute in float64.

NumPy's own cast from float64 to bfloat16 goes through float32 and so rounds
twice; ``narrow`` rounds once (float32 rounded to odd keeps enough to decide).
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError
from drawloom.graph.dtypes import CODE_BITS, DType

Wide = NDArray[np.float64]

_BF16 = np.dtype(ml_dtypes.bfloat16)
_FLOATS = frozenset(d.numpy for d in DType if d.is_float)
_HALF = (np.dtype(np.float16), _BF16)

UNIT_ROUNDOFF = {DType.F64: 2.0**-53, DType.F32: 2.0**-24, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}
"""Largest relative error of one rounding to nearest, by dtype."""

TINIEST_ERROR = {
    DType.F64: 2.0**-1075,
    DType.F32: 2.0**-150,
    DType.F16: 2.0**-25,
    DType.BF16: 2.0**-134,
}
"""Largest absolute error of one rounding among subnormals, by dtype."""

LARGEST = {
    DType.F64: float(np.finfo(np.float64).max),
    DType.F32: float(np.finfo(np.float32).max),
    DType.F16: 65504.0,
    DType.BF16: (2.0 - 2.0**-7) * 2.0**127,
}
"""Largest finite value, by dtype."""


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether a NumPy dtype is one of our float formats."""
    return dtype in _FLOATS


def integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the smallest and the largest value of an integer dtype."""
    word = DType.of(dtype)
    bits = CODE_BITS.get(word, 8 * dtype.itemsize)
    if word.value[0] == "u":
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def wide(array: NDArray[Any]) -> Wide:
    """Return the values in float64 (exact for floats and integers below 2**53)."""
    return np.asarray(array, dtype=np.float64)


def working(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values in the format plain arithmetic runs in: f16 and bf16 in f32.

    One f32 addition, product, quotient or root of f16 or bf16 values, rounded
    again to their format, equals one direct rounding: 24 >= 2 * 11 + 2.
    """
    return array.astype(np.float32) if array.dtype in _HALF else array


def narrow(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round values once, to nearest even, into a float dtype."""
    if array.dtype == dtype:
        return array
    if dtype == _BF16 and array.dtype == np.float64:
        return rounded_to_odd(array).astype(_BF16)
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype=dtype)


def rounded_to_odd(array: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float32 rounded to odd: towards zero, last bit set when inexact."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.asarray(array, dtype=np.float32)
        back = near.astype(np.float64)
        bits = near.view(np.uint32).copy()
        inexact = (back != array) & np.isfinite(array)
        bits -= (inexact & (np.abs(back) > np.abs(array))).astype(np.uint32)
        bits |= inexact.astype(np.uint32)
    return bits.view(np.float32)


def narrow_weight(name: str, to: DType, array: NDArray[Any]) -> NDArray[Any]:
    """Return a weight in another float format, each number rounded once.

    Raises:
        InputError: a finite number is too large for the format (``quantize.range``).
    """
    if array.dtype == to.numpy:
        return array
    exact = wide(array)
    made = narrow(exact, to.numpy)
    over = np.isfinite(exact) & ~np.isfinite(wide(made))
    if np.any(over):
        largest = float(np.abs(exact[over]).max())
        other = "" if to is DType.BF16 else "; bf16 holds it"
        allowed = f"at most {LARGEST[to]:.6g} in {to.value}{other}"
        fault = Fault(f"constant '{name}'", f"{largest:.6g}", allowed)
        raise InputError("quantize.range", f"a weight is too large for {to.value}", [fault])
    return made
