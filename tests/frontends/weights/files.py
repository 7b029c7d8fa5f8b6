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
