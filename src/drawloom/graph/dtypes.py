"""The number formats a graph may use, and their NumPy twins."""

from __future__ import annotations

from enum import Enum

import ml_dtypes
import numpy as np


class DType(Enum):
    """A tensor's element type; the value is its word in texts and files."""

    F64 = "f64"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I8 = "i8"
    U8 = "u8"
    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    BOOL = "bool"
    F8E4M3FN = "f8e4m3fn"
    F8E4M3FNUZ = "f8e4m3fnuz"
    F8E5M2 = "f8e5m2"
    F8E5M2FNUZ = "f8e5m2fnuz"
    F8E8M0 = "f8e8m0"
    F4E2M1 = "f4e2m1"
    I4 = "i4"
    U4 = "u4"
    I2 = "i2"
    U2 = "u2"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype with the same bits."""
        return _NUMPY[self]

    @property
    def bytes(self) -> int:
        """Size of one element in bytes."""
        return _NUMPY[self].itemsize

    @property
    def is_float(self) -> bool:
        """Whether this is a floating-point format that values are computed in."""
        return self in (DType.F64, DType.F32, DType.F16, DType.BF16)

    @property
    def is_code(self) -> bool:
        """Whether this is a format of at most eight bits that is stored, moved and converted only.

        Each number takes a byte of its own. ``i8`` and ``u8`` are no codes: they are computed in.
        """
        return self in CODES

    @staticmethod
    def of(dtype: np.dtype[np.generic]) -> DType:
        """Return the DType for a NumPy dtype; KeyError when there is none."""
        return _FROM_NUMPY[np.dtype(dtype)]


_NUMPY: dict[DType, np.dtype[np.generic]] = {
    DType.F64: np.dtype(np.float64),
    DType.F32: np.dtype(np.float32),
    DType.F16: np.dtype(np.float16),
    DType.BF16: np.dtype(ml_dtypes.bfloat16),
    DType.I8: np.dtype(np.int8),
    DType.U8: np.dtype(np.uint8),
    DType.I16: np.dtype(np.int16),
    DType.U16: np.dtype(np.uint16),
    DType.I32: np.dtype(np.int32),
    DType.U32: np.dtype(np.uint32),
    DType.I64: np.dtype(np.int64),
    DType.U64: np.dtype(np.uint64),
    DType.BOOL: np.dtype(np.bool_),
    DType.F8E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn),
    DType.F8E4M3FNUZ: np.dtype(ml_dtypes.float8_e4m3fnuz),
    DType.F8E5M2: np.dtype(ml_dtypes.float8_e5m2),
    DType.F8E5M2FNUZ: np.dtype(ml_dtypes.float8_e5m2fnuz),
    DType.F8E8M0: np.dtype(ml_dtypes.float8_e8m0fnu),
    DType.F4E2M1: np.dtype(ml_dtypes.float4_e2m1fn),
    DType.I4: np.dtype(ml_dtypes.int4),
    DType.U4: np.dtype(ml_dtypes.uint4),
    DType.I2: np.dtype(ml_dtypes.int2),
    DType.U2: np.dtype(ml_dtypes.uint2),
}
CODE_BITS = {DType.I4: 4, DType.U4: 4, DType.I2: 2, DType.U2: 2, DType.F4E2M1: 4}
"""Bits of the codes that are shorter than a byte."""
CODE_FLOATS = frozenset(d for d in DType if d.value.startswith(("f8", "f4")))
CODES = CODE_FLOATS | CODE_BITS.keys()
_FROM_NUMPY = {dtype: word for word, dtype in _NUMPY.items()}
