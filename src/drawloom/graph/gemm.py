"""Matrix products of the reference: floats summed in float64, integers exact.

Integers go through float64 BLAS as long as no partial sum can reach 2**53;
NumPy's own integer matmul is some hundred times slower and only a last resort.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.rounding import is_float, narrow, wide

EXACT = 2.0**53


def matmul(a: NDArray[Any], b: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return ``a @ b`` in ``dtype``: rounded once for floats, wrapping for integers."""
    if is_float(dtype):
        return narrow(np.matmul(wide(a), wide(b)), dtype)
    if sum_fits(a, b, a.shape[-1]):
        return np.matmul(wide(a), wide(b)).astype(np.int64).astype(dtype)
    return np.matmul(a.astype(np.int64), b.astype(np.int64)).astype(dtype)


def sum_fits(a: NDArray[Any], b: NDArray[Any], terms: int) -> bool:
    """Return whether sums of ``terms`` products of integers are exact in float64."""
    return terms * largest(a) * largest(b) < EXACT


def largest(x: NDArray[Any]) -> float:
    """Return the largest magnitude in ``x``, 0 when empty."""
    return max(abs(float(x.max())), abs(float(x.min()))) if x.size else 0.0
