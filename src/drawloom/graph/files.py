"""A ``.graph`` file: a zip of ``graph.txt`` and each constant as a ``.npy``.

Never pickled. Equal graphs give equal bytes: entries stand in the text's
order, stored, with one fixed date. A file is written whole or not at all.
NumPy's format has no bf16: such a constant is stored as the uint16 of its bits.
"""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from drawloom.errors import Fault, InputError
from drawloom.files import BROKEN, open_archive, write_whole
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.graph.text import constant_types, parse, text

_TEXT = "graph.txt"
_DATE = (1980, 1, 1, 0, 0, 0)


def write_graph(graph: Graph, path: str | Path) -> None:
    """Write a graph to a file, whole: readers see the old file or the new one.

    Raises:
        InputError: ``files.write``, when the file cannot be written.
    """
    write_whole(path, partial(put_graph, graph))


def graph_bytes(graph: Graph) -> bytes:
    """Return what a graph's file holds."""
    packed = io.BytesIO()
    put_graph(graph, packed)
    return packed.getvalue()


def put_graph(graph: Graph, file: IO[bytes]) -> None:
    """Write what a graph's file holds, one constant in memory at a time."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry(_TEXT), text(graph).encode())
        names = [name for name in sorted(graph.constants) if not graph.constants.is_meta(name)]
        for i, name in enumerate(names):
            array = stored_bits(graph.constants[name])
            large = array.nbytes >= 1 << 30
            with archive.open(entry(constant_name(i)), "w", force_zip64=large) as file_in:
                np.lib.format.write_array(file_in, array, version=(1, 0), allow_pickle=False)


def is_large(graph: Graph) -> bool:
    """Whether files that hold a graph's constants may need an archive's long sizes."""
    return sum(held.nbytes for held in graph.constants.held.values()) >= 1 << 28


def entry(name: str) -> zipfile.ZipInfo:
    """Return an archive's member of this name: always one date, one maker, one mode."""
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def constant_name(i: int) -> str:
    """Return the member that holds constant ``i``."""
    return f"constants/{i:06}.npy"


def stored_bits(array: Array) -> Array:
    """Return an array as it is stored: bf16 as the uint16 of its bits, codes as bytes."""
    packed = np.ascontiguousarray(array).reshape(array.shape)
    return packed.view(_stored(DType.of(packed.dtype)))


def read_graph(path: str | Path) -> Graph:
    """Return the graph in a file.

    Raises:
        InputError: there is no such file, or it is truncated, altered or no
            graph at all (kind ``graph.file``); or its text has faults
            (``graph.text``).
    """
    source = Path(path)
    try:
        with source.open("rb") as file:
            return _graph(file, source)
    except OSError as error:
        raise _refusal(source, "cannot be read", error.strerror or str(error)) from None


def graph_of(raw: bytes, name: str) -> Graph:
    """Return the graph in the bytes of a file that was called ``name``.

    Raises:
        InputError: as ``read_graph``.
    """
    return _graph(io.BytesIO(raw), Path(name))


def _graph(file: IO[bytes], source: Path) -> Graph:
    try:
        with open_archive(file) as archive:
            body, constants = _read(archive)
    except BROKEN as error:
        raise _refusal(source, "is not a whole .graph file", _reason(error)) from None
    return parse(body, constants, source.name)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"{_TEXT} is not UTF-8"
    return str(error.args[0]).lower() if error.args else "it ends too early"


def _read(archive: zipfile.ZipFile) -> tuple[str, dict[str, Array]]:
    body = archive.read(_TEXT).decode()
    constants: dict[str, Array] = {}
    for i, (name, kind) in enumerate(constant_types(body)):
        with archive.open(constant_name(i)) as member:
            constants[name] = stored_array(member, kind)
    return body, constants


def stored_array(member: IO[bytes], kind: TensorType) -> Array:
    """Read one ``.npy`` that must hold ``kind``, before any memory is taken for it."""
    np.lib.format.read_magic(member)
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(member)
    wanted = _stored(kind.dtype)
    if shape != kind.shape or dtype != wanted or (by_columns and len(shape) > 1):
        raise ValueError(f"a constant is not the {kind.text()} that the text says")
    return np.frombuffer(member.read(), wanted).reshape(shape).view(kind.dtype.numpy)


def _stored(dtype: DType) -> np.dtype[np.generic]:
    if dtype.is_code:
        return DType.U8.numpy
    return DType.U16.numpy if dtype is DType.BF16 else dtype.numpy


def _refusal(path: Path, what: str, reason: str) -> InputError:
    return InputError("graph.file", f"'{path}' {what}", [Fault(path.name, reason, "")])
