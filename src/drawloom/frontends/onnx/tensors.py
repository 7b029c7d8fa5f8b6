"""ONNX tensors become arrays: raw bytes, typed fields, data in files beside the model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import SparseTensorProto, TensorProto

from drawloom.graph.dtypes import CODE_BITS, DType
from drawloom.graph.ir import Array

DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.F32,
    TensorProto.UINT8: DType.U8,
    TensorProto.INT8: DType.I8,
    TensorProto.UINT16: DType.U16,
    TensorProto.INT16: DType.I16,
    TensorProto.INT32: DType.I32,
    TensorProto.INT64: DType.I64,
    TensorProto.BOOL: DType.BOOL,
    TensorProto.FLOAT16: DType.F16,
    TensorProto.DOUBLE: DType.F64,
    TensorProto.UINT32: DType.U32,
    TensorProto.UINT64: DType.U64,
    TensorProto.BFLOAT16: DType.BF16,
    TensorProto.FLOAT8E4M3FN: DType.F8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ: DType.F8E4M3FNUZ,
    TensorProto.FLOAT8E5M2: DType.F8E5M2,
    TensorProto.FLOAT8E5M2FNUZ: DType.F8E5M2FNUZ,
    TensorProto.FLOAT8E8M0: DType.F8E8M0,
    TensorProto.FLOAT4E2M1: DType.F4E2M1,
    TensorProto.INT4: DType.I4,
    TensorProto.UINT4: DType.U4,
    TensorProto.INT2: DType.I2,
    TensorProto.UINT2: DType.U2,
}

# Codes of four bits and fewer that are only dequantized are widened to eight: the same numbers,
# which engines compute in.
_WIDENED = {DType.I4: DType.I8, DType.U4: DType.U8, DType.I2: DType.I8, DType.U2: DType.U8}

_MOST_AXES = 64
_MOST_DIGITS = 18
_INT32_FIELD = frozenset({DType.I8, DType.U8, DType.I16, DType.U16, DType.I32, DType.BOOL})
_PAIRS = {DType.F16: np.dtype(np.float16), DType.BF16: np.dtype(ml_dtypes.bfloat16)}


class BadTensor(Exception):
    """A tensor that cannot be read: what was found and what is allowed."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed


class NoSuchType(BadTensor):
    """A tensor of a type drawloom has not; the tensor itself may be sound."""


def dtype_word(code: int) -> str:
    """Return ONNX's word for an element type, such as ``FLOAT8E4M3FN``."""
    names = TensorProto.DataType.keys()
    return names[code] if 0 <= code < len(names) else f"type {code}"


def dtype_of(code: int) -> DType:
    """Return the dtype for ONNX's element type.

    Raises:
        NoSuchType: drawloom has no such element type.
    """
    if code not in DTYPES:
        legal = ", ".join(dtype_word(c) for c in DTYPES)
        raise NoSuchType(f"element type {dtype_word(code)}", f"one of {legal}")
    return DTYPES[code]


def to_array(tensor: TensorProto, folder: Path | None, *, widen: bool = False) -> Array:
    """Return a tensor's values; data in other files is mapped, not read.

    Args:
        tensor: the tensor.
        folder: where data outside the model may lie; None where it may not.
        widen: read integers of four bits and fewer as eight-bit ones.

    Raises:
        BadTensor: no such element type, or the data is not what the shape needs.
    """
    shape = tuple(tensor.dims)
    full = math.prod(max(d, 1) for d in shape)
    if any(d < 0 for d in shape) or len(shape) > _MOST_AXES or full > 1 << 56:
        raise BadTensor(f"shape {list(shape)}", f"up to {_MOST_AXES} dims of at least 0")
    dtype = dtype_of(tensor.data_type)
    size = math.prod(shape)
    if dtype in CODE_BITS:
        bits = CODE_BITS[dtype]
        raw = _bytes_of(tensor, folder, -(-size * bits // 8), is_code=True)
        codes = _unpacked(raw, size, bits).view(dtype.numpy).reshape(shape)
        if dtype not in _WIDENED:
            return codes
        # Both ways, so that a code's byte is what a conversion makes of it.
        whole = codes.astype(_WIDENED[dtype].numpy)
        return whole if widen else whole.astype(dtype.numpy)
    if dtype.is_code and not _is_raw(tensor):
        return _bytes_of(tensor, folder, size, is_code=True).view(dtype.numpy).reshape(shape)
    if _is_raw(tensor):
        raw = _bytes_of(tensor, folder, size * dtype.bytes)
        return (
            raw.view(dtype.numpy.newbyteorder("<")).astype(dtype.numpy, copy=False).reshape(shape)
        )
    values = _typed(tensor, dtype)
    if values.size != size:
        raise BadTensor(f"{values.size} values", f"{size}, as its shape {list(shape)} says")
    return values.reshape(shape)


def sparse_array(sparse: SparseTensorProto, folder: Path | None) -> Array:
    """Return a sparse tensor's values, zeros included.

    Raises:
        BadTensor: as ``to_array``, or an index lies outside.
    """
    shape = tuple(sparse.dims)
    values, indices = to_array(sparse.values, folder), to_array(sparse.indices, folder)
    places = indices.reshape(values.size, -1).astype(np.int64)
    wide = places.shape[1] == len(shape) != 1
    limits = np.array(shape if wide else [int(np.prod(shape))], np.int64)
    if np.any((places < 0) | (places >= limits)):
        raise BadTensor("a sparse index outside the shape", f"indices inside {list(shape)}")
    dense = np.zeros(shape, values.dtype)
    flat = np.ravel_multi_index(tuple(places.T), shape) if wide else places[:, 0]
    dense.reshape(-1)[flat] = values.reshape(-1)
    return dense


def _is_raw(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or tensor.HasField("raw_data")


def _bytes_of(
    tensor: TensorProto, folder: Path | None, count: int, *, is_code: bool = False
) -> NDArray[np.uint8]:
    """Return a tensor's bytes; a code that is not raw has a number for each of them."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, folder, count)
    data = tensor.raw_data
    if is_code and not tensor.HasField("raw_data"):
        data = bytes(v & 0xFF for v in tensor.int32_data)
    if len(data) != count:
        raise BadTensor(f"{len(data)} bytes", f"{count}, as its shape and type say")
    return np.frombuffer(data, np.uint8)


def _typed(tensor: TensorProto, dtype: DType) -> NDArray[Any]:
    if dtype in _PAIRS:
        return np.array(tensor.int32_data, np.uint32).astype(np.uint16).view(_PAIRS[dtype])
    if dtype in _INT32_FIELD:
        return np.array(tensor.int32_data, np.int32).astype(dtype.numpy)
    fields: dict[DType, Any] = {
        DType.F32: tensor.float_data,
        DType.F64: tensor.double_data,
        DType.I64: tensor.int64_data,
    }
    return np.array(fields.get(dtype, tensor.uint64_data), dtype.numpy)


def _unpacked(raw: NDArray[np.uint8], size: int, bits: int) -> NDArray[np.uint8]:
    """Return a byte for each of the codes packed in ``raw``, lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (raw[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    return codes.reshape(-1)[:size]


def _external(tensor: TensorProto, folder: Path | None, count: int) -> NDArray[np.uint8]:
    entries = {e.key: e.value for e in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise BadTensor(
            f"data in file '{location}'", "read the model by its path, so that files are found"
        )
    path = _inside(folder, location)
    offset, length = _whole(entries, "offset", 0), _whole(entries, "length", count)
    if length != count:
        raise BadTensor(f"{length} bytes in file '{location}'", f"{count}, as its shape says")
    held = path.stat().st_size
    if offset + count > held:
        raise BadTensor(
            f"file '{location}' ends at byte {held}", f"data from {offset} to {offset + count}"
        )
    if not count:
        return np.zeros(0, np.uint8)
    try:
        return np.asarray(np.memmap(path, np.uint8, "r", offset, (count,)))
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise BadTensor(f"data in file '{location}'", why) from None


def _whole(entries: dict[str, str], key: str, default: int) -> int:
    word = entries.get(key, "") or str(default)
    if not word.isdecimal() or len(word) > _MOST_DIGITS:
        raise BadTensor(f"external data {key} '{word[:40]}'", "a whole number of at least 0")
    return int(word)


def _inside(folder: Path, location: str) -> Path:
    """Return the data file's path; one outside the model's folder is refused."""
    root = folder.resolve()
    try:
        path = (root / location).resolve()
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for the system, or with a null byte
        raise BadTensor(f"data in file {location[:40]!r}", "a file's name") from None
    if not location or not path.is_relative_to(root):
        raise BadTensor(f"data in file '{location}'", "a file in the model's own folder")
    if not is_file:
        raise BadTensor(f"data in file '{location}'", f"no such file in {root}")
    return path
