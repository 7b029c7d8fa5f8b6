"""A ``.safetensors`` file: its header is read and checked, its data wait.

    file   ::= size header data          size: u64, little-endian, at most 100,000,000
    header ::= JSON object               name -> {dtype, shape, data_offsets}, and "__metadata__"
    data   ::= bytes without holes       offsets count from here

The safetensors package does not do here: it lets repeated names pass, tells one fault at a time,
holds each tensor twice (its map and a copy), and dies of SIGBUS where a file is cut short after
it was opened (tried with 0.8.0). It is what the tests compare with.

Source: the format's own page, https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from drawloom.errors import Fault
from drawloom.frontends.weights.stored import StoredFile, not_sound
from drawloom.frontends.weights.table import Refused, load, shape_fault
from drawloom.graph.dtypes import DType
from drawloom.graph.lazy import LazyTensor
from drawloom.graph.tensor import TensorType

MOST_HEADER_BYTES = 100_000_000
METADATA = "__metadata__"
DTYPES: dict[str, DType] = {
    "F64": DType.F64,
    "F32": DType.F32,
    "F16": DType.F16,
    "BF16": DType.BF16,
    "I8": DType.I8,
    "U8": DType.U8,
    "I16": DType.I16,
    "U16": DType.U16,
    "I32": DType.I32,
    "U32": DType.U32,
    "I64": DType.I64,
    "U64": DType.U64,
    "BOOL": DType.BOOL,
    "F8_E4M3": DType.F8E4M3FN,
    "F8_E5M2": DType.F8E5M2,
    "F8_E8M0": DType.F8E8M0,
    "F8_E4M3FNUZ": DType.F8E4M3FNUZ,
    "F8_E5M2FNUZ": DType.F8E5M2FNUZ,
}
# Formats that are known but not read, and the bits of an element; of other words only the
# place of the data can be checked.
_OTHER_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "C64": 64}
_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor as the header has it: format, shape, and where its bytes lie in the data."""

    name: str
    word: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_safetensors(path: str | Path) -> dict[str, LazyTensor | Refused]:
    """Return the tensors of a file by name, in the order of their data.

    Raises:
        InputError: it cannot be read, or is no sound safetensors file; every fault of its
            header is listed (``weights.file``).
    """
    file = StoredFile.at(path)
    base, raw = _header(file)
    entries, faults = _entries(_table(file, raw))
    faults += _layout_faults(entries, file.size - base, complete=not faults)
    if faults:
        raise not_sound(file.path, faults)
    entries.sort(key=lambda entry: (entry.start, entry.end, entry.name))
    return {entry.name: _tensor(file, base, entry) for entry in entries}


def _header(file: StoredFile) -> tuple[int, bytes]:
    """Return where the data begin, and the header's bytes."""
    with file.open() as opened:
        head = opened.read(8)
        size = int.from_bytes(head, "little")
        fault = None
        if len(head) < 8:
            fault = Fault("bytes 0 to 8", f"{file.size} bytes in all", "a header's size in 8 bytes")
        elif size > MOST_HEADER_BYTES:
            fault = Fault("bytes 0 to 8", f"a header of {size:,} bytes", "up to 100,000,000")
        elif size > file.size - 8:
            allowed = f"up to {file.size - 8:,}, which is where the file ends"
            fault = Fault("bytes 0 to 8", f"a header of {size:,} bytes", allowed)
        if fault:
            raise not_sound(file.path, [fault])
        return 8 + size, opened.read(size)


def _table(file: StoredFile, raw: bytes) -> dict[str, Any]:
    """Return the header as a table; ``json_object`` says what may be wrong with it."""
    if not raw.startswith(b"{"):
        begin = repr(raw[:8])[1:] if raw else "an empty header"
        raise not_sound(file.path, [Fault("header", begin, "a JSON object, beginning with {")])
    return json_object(raw, file.path, "header")


def json_object(raw: bytes, path: Path, what: str) -> dict[str, Any]:
    """Return a JSON object whose names stand in it once each, at every depth.

    Raises:
        InputError: it is no UTF-8, no JSON, no object, or has a name twice (``weights.file``).
    """
    repeated: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for name, value in pairs:
            if name in table:
                repeated.append(name)
            table[name] = value
        return table

    def no_number(word: str) -> Any:
        raise ValueError(f"{word} is no number of JSON")

    try:
        found = json.loads(raw.decode(), object_pairs_hook=once, parse_constant=no_number)
    except UnicodeDecodeError as error:
        fault = Fault(f"{what}, byte {error.start}", f"0x{raw[error.start]:02x}", "UTF-8")
        raise not_sound(path, [fault]) from None
    except (ValueError, RecursionError) as error:
        why = "too deep" if isinstance(error, RecursionError) else str(error)
        raise not_sound(path, [Fault(what, why[:200], "JSON")]) from None
    if repeated:
        faults = [Fault(what, f"'{name}' again", "each name once") for name in repeated]
        raise not_sound(path, faults)
    if not isinstance(found, dict):
        raise not_sound(path, [Fault(what, f"a {type(found).__name__}", "a JSON object")])
    return cast("dict[str, Any]", found)


def _entries(table: dict[str, Any]) -> tuple[list[Entry], list[Fault]]:
    """Return the tensors whose entries are sound, and the faults of the others."""
    entries: list[Entry] = []
    faults: list[Fault] = []
    for name, value in table.items():
        if name == METADATA:
            faults += _metadata_faults(value)
            continue
        wrong = _entry_faults(value)
        faults += [Fault(f"tensor '{name}'{at}", *rest) for at, *rest in wrong]
        if not wrong:
            start, end = value["data_offsets"]
            entries.append(Entry(name, value["dtype"], tuple(value["shape"]), start, end))
    return entries, faults


def _metadata_faults(value: Any) -> list[Fault]:
    allowed = "an object of strings"
    if not isinstance(value, dict):
        return [Fault(METADATA, _short(value), allowed)]
    pairs = cast("dict[str, Any]", value).items()
    return [Fault(f"{METADATA}.{k}", _short(v), "a string") for k, v in pairs if type(v) is not str]


def _entry_faults(value: Any) -> list[tuple[str, str, str]]:
    """Return where in an entry, what stands there, and what is allowed."""
    if not isinstance(value, dict):
        return [("", _short(value), "an object of dtype, shape and data_offsets")]
    entry = cast("dict[str, Any]", value)
    faults = [(f".{key}", "missing", "") for key in sorted(_KEYS - entry.keys())]
    faults += [(f".{key}", "", "only " + ", ".join(sorted(_KEYS))) for key in entry.keys() - _KEYS]
    word = entry.get("dtype", "")
    if type(word) is not str:
        faults.append((".dtype", _short(word), "a word such as BF16"))
    shape, offsets = entry.get("shape", []), entry.get("data_offsets", [0, 0])
    if not _is_whole(shape):
        faults.append((".shape", _short(shape), "a list of whole numbers"))
    elif wrong := shape_fault(tuple(shape)):
        faults.append((".shape", _short(shape), wrong))
    if not _is_whole(offsets) or len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1]:
        allowed = "two whole numbers, of which the second is no less"
        faults.append((".data_offsets", _short(offsets), allowed))
    return faults or _size_faults(word, shape, offsets)


def _size_faults(word: str, shape: list[int], offsets: list[int]) -> list[tuple[str, str, str]]:
    bits = DTYPES[word].bytes * 8 if word in DTYPES else _OTHER_BITS.get(word)
    if bits is None or math.prod(shape) * bits == (offsets[1] - offsets[0]) * 8:
        return []
    needs = f"{math.prod(shape) * bits / 8:,.15g} bytes, as {word} of shape {_short(shape)} needs"
    return [(".data_offsets", f"{_short(offsets)}, {offsets[1] - offsets[0]:,} bytes", needs)]


def _layout_faults(entries: list[Entry], size: int, *, complete: bool) -> list[Fault]:
    """Return where data overlap or end outside the file; holes too, if all entries are known."""
    faults: list[Fault] = []
    end, before = 0, "the header"
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.end)):
        place = f"tensor '{entry.name}'.data_offsets"
        value = _short([entry.start, entry.end])
        if entry.end > size:
            faults.append(Fault(place, value, f"up to {size:,}, where the file ends"))
        elif entry.start < end:
            faults.append(Fault(place, f"{value} overlaps {before}", f"from {end:,} on"))
        elif entry.start > end and complete:
            allowed = f"no hole: {before} ends at {end:,}"
            faults.append(Fault(place, value, allowed))
        if entry.end >= end:
            end, before = entry.end, f"tensor '{entry.name}'"
    if end < size and complete and not faults:
        faults.append(Fault("data", f"{size - end:,} bytes after {before}", "nothing after it"))
    return faults


def _tensor(file: StoredFile, base: int, entry: Entry) -> LazyTensor | Refused:
    place = f"{file.path.name}: tensor '{entry.name}'"
    dtype = DTYPES.get(entry.word)
    if dtype is None:
        return Refused(place, entry.word, "one of " + ", ".join(DTYPES), entry.end - entry.start)
    kind = TensorType(dtype, entry.shape)
    return LazyTensor(kind, place, partial(load, file, base + entry.start, kind))


def _is_whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int for v in cast("list[Any]", value))


def _short(value: Any) -> str:
    """Return a JSON value as it stands in the file, cut where it is long."""
    word = json.dumps(value, ensure_ascii=False)
    return word if len(word) <= 60 else word[:57] + "..."


def total_bytes(table: Mapping[str, LazyTensor | Refused]) -> int:
    """Return the bytes of all tensors as they are stored."""
    return sum(held.nbytes for held in table.values())
