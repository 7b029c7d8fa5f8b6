"""Small files of weights, sound and otherwise, written here by the formats' own pages."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drawloom.errors import InputError
from drawloom.frontends.weights.open import open_weights


def entry(dtype: str, shape: list[Any], start: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def write_safetensors(path: Path, header: Mapping[str, Any] | bytes, data: bytes = b"") -> Path:
    """Write a header (its bytes, or what it holds) and data as a file."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def write_floats(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write float32 arrays one after the other."""
    header: dict[str, Any] = {}
    start = 0
    for name, array in arrays.items():
        header[name] = entry("F32", list(array.shape), start, start + array.nbytes)
        start += array.nbytes
    return write_safetensors(path, header, b"".join(a.tobytes() for a in arrays.values()))


def refusal(path: Path) -> str:
    """Return what is said of a path, without its folder."""
    try:
        open_weights(path)
    except InputError as error:
        return error.text().replace(str(path.parent) + "/", "")
    raise AssertionError("it was read")


def _word(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    """Return a pair's kind and value: u32, f32, bool, word, or an array of words."""
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _word(value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_word, value))


def gguf_bytes(
    metadata: Mapping[str, Any],
    tensors: Mapping[str, tuple[int, tuple[int, ...], bytes]],
    *,
    version: int = 3,
    offsets: Mapping[str, int] | None = None,
) -> bytes:
    """Return a GGUF file; a tensor is its format's number, its shape and its bytes.

    ``offsets`` stand in the table in place of those that would be right.
    """
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += _word(key) + _value(value)
    data = b""
    for name, (code, shape, raw) in tensors.items():
        offset = (offsets or {}).get(name, len(data))
        dims = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        out += _word(name) + struct.pack("<I", len(shape)) + dims
        out += struct.pack("<IQ", code, offset)
        data += raw + bytes(-len(raw) % 32)
    return out + bytes(-len(out) % 32) + data


def write_gguf(path: Path, *args: Any, **kwargs: Any) -> Path:
    """Write what ``gguf_bytes`` returns."""
    path.write_bytes(gguf_bytes(*args, **kwargs))
    return path
