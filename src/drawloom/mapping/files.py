"""A ``.map`` file: a zip of the mapping's text, the graph, the chip, and what the text needs besides.

    mapping.txt          ``mapping_text``
    graph.graph          the graph that was mapped, as a ``.graph`` file
    chip.yaml            the chip, with a source for every number
    constants/000000.npy contents of each storage that has a hash in the text, in its order

Never pickled. Equal mappings give equal bytes: stored, with one fixed date. bf16 is stored as
the uint16 of its bits. A file is written whole or not at all.
"""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from drawloom.chip.files import parse_chip
from drawloom.chip.text import chip_text
from drawloom.errors import Fault, InputError
from drawloom.files import BROKEN, open_archive, read_whole, write_whole
from drawloom.graph.files import (
    constant_name,
    entry,
    graph_of,
    is_large,
    put_graph,
    stored_array,
    stored_bits,
)
from drawloom.graph.ir import Array
from drawloom.graph.lazy import values
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.parse import hashed_storages, parse_mapping
from drawloom.mapping.text import mapping_text, other_contents

_TEXT, _GRAPH, _CHIP = "mapping.txt", "graph.graph", "chip.yaml"
# What reading raises on files that are cut short, altered or something else.
_BROKEN = (*BROKEN, OSError)


def write_mapping(mapping: Mapping, path: str | Path) -> None:
    """Write a mapping to a file, whole: readers see the old file or the new one.

    Raises:
        InputError: ``files.write``, when the file cannot be written.
    """
    write_whole(path, partial(put_mapping, mapping))


def put_mapping(mapping: Mapping, file: IO[bytes]) -> None:
    """Write what a mapping's file holds, one constant in memory at a time."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry(_TEXT), mapping_text(mapping).encode())
        large = is_large(mapping.graph)
        with archive.open(entry(_GRAPH), "w", force_zip64=large) as member:
            put_graph(mapping.graph, member)
        archive.writestr(entry(_CHIP), chip_text(mapping.chip).encode())
        for i, held in enumerate(other_contents(mapping).values()):
            archive.writestr(entry(constant_name(i)), _npy(values(held)))


def read_mapping(path: str | Path) -> Mapping:
    """Return the mapping in a file.

    Raises:
        InputError: there is no such file (``files.read``); it is truncated, altered or no
            mapping at all (``mapping.file``); its text has faults (``mapping.text``).
    """
    return mapping_of(read_whole(path), path)


def mapping_of(raw: bytes, path: str | Path) -> Mapping:
    """Return the mapping in the bytes of the file at ``path``.

    Raises:
        InputError: as ``read_mapping``.
    """
    name = Path(path).name
    try:
        with open_archive(io.BytesIO(raw)) as archive:
            text = archive.read(_TEXT).decode()
            chip = archive.read(_CHIP).decode()
            graph = graph_of(archive.read(_GRAPH), _GRAPH)
            kinds = hashed_storages(text)
            constants = {
                storage: stored_array(io.BytesIO(archive.read(constant_name(i))), kind)
                for i, (storage, kind) in enumerate(kinds.items())
            }
        return parse_mapping(text, graph, parse_chip(chip, _CHIP, alone=True), constants, name)
    except InputError as error:
        if error.kind == "mapping.text":
            raise
        # A fault inside a file that drawloom wrote: the file is what is wrong.
        raise _refusal(path, [Fault(name, error.summary, ""), *error.faults]) from None
    except _BROKEN as error:
        reason = str(error.args[0]).lower() if error.args else "it ends too early"
        raise _refusal(path, [Fault(name, reason, "")]) from None


def _refusal(path: str | Path, faults: list[Fault]) -> InputError:
    return InputError("mapping.file", f"'{path}' is not a whole .map file", faults)


def _npy(array: Array) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, stored_bits(array), version=(1, 0), allow_pickle=False)
    return out.getvalue()
