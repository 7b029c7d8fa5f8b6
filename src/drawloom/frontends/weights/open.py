"""A path becomes tensors by name: a file, a folder of shards; nothing but headers is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from drawloom.errors import Fault, InputError
from drawloom.frontends.weights.gguf.read import read_gguf
from drawloom.frontends.weights.safetensors import json_object, read_safetensors, total_bytes
from drawloom.frontends.weights.stored import KIND, StoredFile, not_sound
from drawloom.frontends.weights.table import Refused, Weights, nearest_name
from drawloom.graph.dtypes import DType
from drawloom.graph.lazy import LazyTensor

INDEX = "model.safetensors.index.json"
ONE = "model.safetensors"
_MOST_INDEX_BYTES = 100_000_000
_ALLOWED = f"a .safetensors or .gguf file, or a folder with {ONE} or {INDEX}"

Held = dict[str, LazyTensor | Refused]


def open_weights(path: str | Path, floats: DType = DType.F32) -> Weights:
    """Return the tensors in a file or folder by name; values are read when asked for.

    Headers are read and checked whole before this returns. Each read of a tensor takes only its
    own bytes, into memory of its own, and nothing is kept.

    Args:
        path: a ``.safetensors`` file; a folder as Hugging Face lays it out, with one such file or
            with shards and their ``model.safetensors.index.json``; or a ``.gguf`` file, whose
            tensors get Hugging Face's names where its architecture is known.
        floats: F32 or F16, what the packed blocks of a ``.gguf`` file become.

    Raises:
        InputError: it cannot be read or is not sound; lists every fault (``weights.file``).
        Unsupported: a ``.gguf`` file of a kind that drawloom does not read (``weights.file``).
    """
    place = Path(path)
    if place.is_dir():
        return Weights(_folder(place))
    if place.name.endswith(".index.json"):
        return Weights(_sharded(place))
    if place.suffix == ".safetensors":
        return Weights(read_safetensors(place))
    if place.suffix == ".gguf":
        return Weights(read_gguf(place, floats))
    StoredFile.at(place)
    raise InputError(KIND, f"'{place}' holds no weights", [Fault(place.name, "", _ALLOWED)])


def _folder(folder: Path) -> Held:
    if (folder / INDEX).exists():
        return _sharded(folder / INDEX)
    if (folder / ONE).exists():
        return read_safetensors(folder / ONE)
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return read_safetensors(found[0])
    value = f"{len(found)} .safetensors files without an index" if found else "no .safetensors file"
    raise InputError(KIND, f"no weights in '{folder}'", [Fault(str(folder), value, _ALLOWED)])


def _sharded(index: Path) -> Held:
    """Return the tensors of all shards, which must be what the index says, and no more."""
    placed, total = _index(index)
    held: Held = {}
    faults: list[Fault] = []
    home: dict[str, str] = {}
    for shard in dict.fromkeys(placed.values()):
        try:
            found = read_safetensors(index.parent / shard)
        except InputError as error:
            faults += [Fault(shard, error.summary, ""), *error.faults]
            continue
        for name, tensor in found.items():
            if name in home:
                faults.append(Fault(f"{shard}: tensor '{name}'", f"also in {home[name]}", "once"))
            home[name] = shard
            held[name] = tensor
        for name in (n for n, s in placed.items() if s == shard and n not in found):
            where = nearest_name(name, found)
            faults.append(Fault(f"weight_map.{name}", f"not in {shard}", where))
    if not faults and total is not None and total != total_bytes(held):
        allowed = f"{total_bytes(held):,}, the bytes of all tensors"
        faults.append(Fault("metadata.total_size", f"{total:,}", allowed))
    if faults:
        raise not_sound(index, faults)
    return held


def _index(path: Path) -> tuple[dict[str, str], int | None]:
    """Return the shard of each tensor, and the size of all where it is said."""
    file = StoredFile.at(path)
    if file.size > _MOST_INDEX_BYTES:
        raise not_sound(path, [Fault("file", f"{file.size:,} bytes", "up to 100,000,000")])
    table = json_object(file.read(0, file.size).tobytes(), path, "index")
    faults: list[Fault] = []
    placed = _table_in(table.get("weight_map"))
    if not placed:
        faults.append(Fault("weight_map", "missing or empty", "tensor names, each with its file"))
    for name, shard in placed.items():
        if not _is_file_name(shard):
            allowed = "the name of a .safetensors file in the same folder"
            faults.append(Fault(f"weight_map.{name}", repr(shard)[:60], allowed))
    total = _table_in(table.get("metadata")).get("total_size")
    if not (total is None or type(total) is int or (type(total) is float and total.is_integer())):
        faults.append(Fault("metadata.total_size", repr(total)[:60], "a whole number of bytes"))
    if faults:
        raise not_sound(path, faults)
    return placed, None if total is None else int(total)


def _table_in(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _is_file_name(value: Any) -> bool:
    """Whether a word names a file in the folder itself: nothing leads out of it."""
    return (
        isinstance(value, str) and value.endswith(".safetensors") and not set(value) & set("/\\\0")
    )
