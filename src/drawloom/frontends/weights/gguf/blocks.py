"""llama.cpp's block formats: packed codes with their scales become float32.

Each function takes blocks as rows of bytes and returns their values as rows of float32, in the
order of operations of the reference, so that equal bytes give equal bits. Where a block has
``d`` and ``m``, a value is ``d * code + m`` or ``d * scale * code - m * minimum``; the formats
that end in K have 256 values in groups of 16 or 32 with scales of their own.

Source: struct block_* in https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h
and dequantize_row_* in ggml-quants.c beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Codes = NDArray[np.integer[Any]]

_PAIRS = np.array([0, 2, 4, 6], np.uint8).reshape(4, 1)
_BITS = np.arange(8, dtype=np.uint8).reshape(8, 1)


@dataclass(frozen=True, slots=True)
class Format:
    """A format of blocks.

    Attributes:
        word: llama.cpp's name of it.
        values: values in a block, all from one row.
        bytes: bytes of a block.
        floats: blocks (n, bytes) to values (n, values).
    """

    word: str
    values: int
    bytes: int
    floats: Callable[[Bytes], Floats]


def _half(blocks: Bytes, at: int) -> Floats:
    """Return the float16 at a byte of each block, as a column."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _halves(packed: Bytes) -> Codes:
    """Return four-bit codes: the low halves of all bytes of the last axis, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _fifth(packed: Bytes) -> Codes:
    """Return 32 bits a block, each as the fifth bit of a code."""
    return np.unpackbits(packed, axis=1, bitorder="little") << 4


def _signed(codes: Codes, zero: int) -> Floats:
    return (codes.astype(np.int8) - np.int8(zero)).astype(np.float32)


def _q8_0(blocks: Bytes) -> Floats:
    return blocks[:, 2:].view(np.int8).astype(np.float32) * _half(blocks, 0)


def _q4_0(blocks: Bytes) -> Floats:
    return _half(blocks, 0) * _signed(_halves(blocks[:, 2:]), 8)


def _q4_1(blocks: Bytes) -> Floats:
    codes = _halves(blocks[:, 4:]).astype(np.float32)
    return _half(blocks, 0) * codes + _half(blocks, 2)


def _q5_0(blocks: Bytes) -> Floats:
    codes = _halves(blocks[:, 6:]) | _fifth(blocks[:, 2:6])
    return _half(blocks, 0) * _signed(codes, 16)


def _q5_1(blocks: Bytes) -> Floats:
    codes = _halves(blocks[:, 8:]) | _fifth(blocks[:, 4:8])
    return _half(blocks, 0) * codes.astype(np.float32) + _half(blocks, 2)


def _grouped(codes: Codes | Floats, scales: Floats, minima: Floats | None = None) -> Floats:
    """Return values of blocks whose groups have a scale, and maybe a minimum, each."""
    n, groups = scales.shape
    values = scales[:, :, None] * codes.reshape(n, groups, -1).astype(np.float32, copy=False)
    if minima is not None:
        values -= minima[:, :, None]
    return values.reshape(n, -1)


def _six_bits(packed: Bytes) -> tuple[Floats, Floats]:
    """Return the scales and minima of 8 groups, of six bits each in 12 bytes.

    Those of groups 0 to 3 are the low bits of bytes 0 to 3 and 4 to 7; those of groups 4 to 7
    have four bits in bytes 8 to 11 and two at the top of the bytes before.
    """
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = [first & 63, (third & 15) | (first >> 6 << 4)]
    minima = [second & 63, (third >> 4) | (second >> 6 << 4)]
    return (
        np.concatenate(scales, axis=1).astype(np.float32),
        np.concatenate(minima, axis=1).astype(np.float32),
    )


def _q2_k(blocks: Bytes) -> Floats:
    packed = blocks[:, 16:80].reshape(-1, 2, 1, 32)
    scales = _half(blocks, 80) * (blocks[:, :16] & 15).astype(np.float32)
    minima = _half(blocks, 82) * (blocks[:, :16] >> 4).astype(np.float32)
    return _grouped((packed >> _PAIRS) & 3, scales, minima)


def _q3_k(blocks: Bytes) -> Floats:
    low = (blocks[:, 32:96].reshape(-1, 2, 1, 32) >> _PAIRS) & 3
    is_high = (blocks[:, :32].reshape(-1, 1, 32) >> _BITS) & 1
    codes = _signed(low.reshape(-1, 8, 32) | is_high << 2, 4)
    tops = (blocks[:, 104:108].reshape(-1, 1, 4) >> _PAIRS) & 3
    scales = _signed(_halves(blocks[:, 96:104]) | tops.reshape(-1, 16) << 4, 32)
    return _grouped(codes, _half(blocks, 108) * scales)


def _q4_k(blocks: Bytes) -> Floats:
    scales, minima = _six_bits(blocks[:, 4:16])
    codes = _halves(blocks[:, 16:].reshape(-1, 4, 32))
    return _grouped(codes, _half(blocks, 0) * scales, _half(blocks, 2) * minima)


def _q5_k(blocks: Bytes) -> Floats:
    scales, minima = _six_bits(blocks[:, 4:16])
    low = _halves(blocks[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    high = (blocks[:, 16:48].reshape(-1, 1, 32) >> _BITS) & 1
    return _grouped(low | high << 4, _half(blocks, 0) * scales, _half(blocks, 2) * minima)


def _q6_k(blocks: Bytes) -> Floats:
    low = _halves(blocks[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    high = (blocks[:, 128:192].reshape(-1, 2, 1, 32) >> _PAIRS) & 3
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    return _grouped(_signed(low | high << 4, 32), _half(blocks, 208) * scales)


FORMATS: dict[int, Format] = {
    2: Format("Q4_0", 32, 18, _q4_0),
    3: Format("Q4_1", 32, 20, _q4_1),
    6: Format("Q5_0", 32, 22, _q5_0),
    7: Format("Q5_1", 32, 24, _q5_1),
    8: Format("Q8_0", 32, 34, _q8_0),
    10: Format("Q2_K", 256, 84, _q2_k),
    11: Format("Q3_K", 256, 110, _q3_k),
    12: Format("Q4_K", 256, 144, _q4_k),
    13: Format("Q5_K", 256, 176, _q5_k),
    14: Format("Q6_K", 256, 210, _q6_k),
}
"""The formats that can be read, by their number in a file."""
