"""A ``.gguf`` file becomes named lazy tensors; blocks become floats when they are read."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np

from drawloom.errors import Fault, InputError
from drawloom.frontends.weights.gguf.blocks import FORMATS, Format
from drawloom.frontends.weights.gguf.header import Header, Info, padded, read_header
from drawloom.frontends.weights.gguf.names import renamed
from drawloom.frontends.weights.stored import StoredFile, not_sound
from drawloom.frontends.weights.table import Refused, load, shape_fault
from drawloom.graph.dtypes import DType
from drawloom.graph.lazy import Array, LazyTensor
from drawloom.graph.tensor import TensorType

PLAIN: dict[int, DType] = {
    0: DType.F32,
    1: DType.F16,
    24: DType.I8,
    25: DType.I16,
    26: DType.I32,
    27: DType.I64,
    28: DType.F64,
    30: DType.BF16,
}
# Formats that are known but not read: name, values in a block, bytes of a block.
# Source: GGML_QUANT_SIZES of the gguf package, 0.19.0.
_OTHERS: dict[int, tuple[str, int, int]] = {
    9: ("Q8_1", 32, 40),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
_WORDS = ", ".join([*(dtype.name for dtype in PLAIN.values()), *(f.word for f in FORMATS.values())])
# Blocks are unpacked so many bytes at a time: what is needed besides the values stays small.
_PORTION_BYTES = 1 << 20


def read_gguf(path: str | Path, floats: DType = DType.F32) -> dict[str, LazyTensor | Refused]:
    """Return the tensors of a file, under Hugging Face's names where its architecture is known.

    Args:
        path: the file.
        floats: what packed blocks become, F32 or F16; plain numbers stay as they are.

    Raises:
        InputError: it cannot be read, or is no sound GGUF file; every fault of its tensors is
            listed (``weights.file``).
        Unsupported: it is of a version that drawloom does not read, or one part of several.
    """
    header = read_header(path)
    faults = header.faults + check(header)
    if faults:
        raise not_sound(header.file.path, faults)
    held = {info.name: _tensor(header, info, floats) for info in header.infos}
    return renamed(held, header)


def check(header: Header) -> list[Fault]:
    """Return the faults of formats, sizes and places of a header's tensors."""
    faults: list[Fault] = []
    sizes: list[tuple[Info, int]] = []
    seen: set[str] = set()
    for info in header.infos:
        place = f"tensor '{info.name}'"
        if info.name in seen:
            faults.append(Fault(place, "again", "each name once"))
        seen.add(info.name)
        word, values, n_bytes = _block(info.code)
        row = info.shape[-1] if info.shape else 1
        if wrong := shape_fault(info.shape):
            faults.append(Fault(place, f"shape {list(info.shape)}", wrong))
        elif not values:
            faults.append(
                Fault(place, f"format {info.code}", f"a format of GGUF, such as {_WORDS}")
            )
        elif row % values:
            faults.append(Fault(place, f"{word} in rows of {row:,}", f"a multiple of {values}"))
        else:
            sizes.append((info, math.prod(info.shape) // values * n_bytes))
    return faults or _place_faults(header, sizes)


def _place_faults(header: Header, sizes: list[tuple[Info, int]]) -> list[Fault]:
    """Return where tensors do not lie one after the other, each padded, up to the file's end."""
    faults: list[Fault] = []
    end, held = 0, max(header.file.size - header.base, 0)
    for info, size in sorted(sizes, key=lambda pair: (pair[0].offset, pair[1])):
        place = f"tensor '{info.name}'"
        start = padded(end, header.alignment)
        if info.offset + size > held:
            found = f"data from {info.offset:,} to {info.offset + size:,}"
            faults.append(Fault(place, found, f"up to {held:,}, where the file ends"))
        elif info.offset != start:
            allowed = f"{start:,}, where the tensor before it ends"
            faults.append(Fault(place, f"data from {info.offset:,} on", allowed))
        end = max(end, info.offset + size)
    if not faults and held > padded(end, header.alignment):
        faults.append(Fault("data", f"{held:,} bytes", f"{end:,}, as the tensors need"))
    return faults


def _block(code: int) -> tuple[str, int, int]:
    """Return a format's name, values and bytes of a block; no values where there is none."""
    if code in PLAIN:
        return PLAIN[code].name, 1, PLAIN[code].bytes
    if code in FORMATS:
        return FORMATS[code].word, FORMATS[code].values, FORMATS[code].bytes
    return _OTHERS.get(code, ("", 0, 0))


def _tensor(header: Header, info: Info, floats: DType) -> LazyTensor | Refused:
    place = f"{header.file.path.name}: tensor '{info.name}'"
    start = header.base + info.offset
    if info.code in PLAIN:
        kind = TensorType(PLAIN[info.code], info.shape)
        return LazyTensor(kind, place, partial(load, header.file, start, kind))
    if info.code in FORMATS:
        kind = TensorType(floats, info.shape)
        read = partial(_unpack, header.file, start, FORMATS[info.code], kind, place)
        return LazyTensor(kind, place, read)
    word, values, n_bytes = _block(info.code)
    return Refused(place, word, f"one of {_WORDS}", math.prod(info.shape) // values * n_bytes)


def _unpack(file: StoredFile, start: int, form: Format, kind: TensorType, place: str) -> Array:
    """Return the values of a tensor in blocks, a portion at a time.

    Raises:
        InputError: the file cannot be read any more, or a value is too large for float16.
    """
    out = np.empty(kind.shape, kind.dtype.numpy)
    rows = out.reshape(-1, form.values)
    step = _PORTION_BYTES // form.bytes
    for first in range(0, len(rows), step):
        portion = rows[first : first + step]
        raw = file.read(start + first * form.bytes, len(portion) * form.bytes)
        with np.errstate(all="ignore"):
            values = form.floats(raw.reshape(-1, form.bytes))
        try:
            with np.errstate(over="raise", invalid="ignore", under="ignore"):
                portion[...] = values
        except FloatingPointError:
            fault = Fault(place, f"{np.nanmax(np.abs(values)):g}", "up to 65504; or read f32")
            raise InputError("weights.range", "a value is too large for f16", [fault]) from None
    return out
