"""A program as a file: ``.prog`` in binary, ``.prog.txt`` as text.

A text's data that do not stand in it lie beside it, in a file of the same name that ends in
``.prog.data``: their bytes, each piece once, in the text's order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.files import Content, read_whole, write_together, write_whole
from drawloom.graph.lazy import values
from drawloom.program.binary import MAGIC, encode, portions
from drawloom.program.decode import decode
from drawloom.program.parse import blob_sizes, parse
from drawloom.program.program import Program
from drawloom.program.text import INLINE, sha256, text

BINARY, TEXT, DATA = ".prog", ".prog.txt", ".prog.data"


def write_program(program: Program, path: str | Path) -> None:
    """Write a program to a file, whole or not at all; the name's ending says in which form.

    Raises:
        InputError: ``program.file`` for another ending, ``files.write`` if it cannot be written.
    """
    target = Path(path)
    if target.name.endswith(TEXT):
        files: dict[str | Path, Content] = {path: text(program).encode()}
        if any(raw.size > INLINE for _, raw in program.data):
            files[_data_path(target)] = _data(program)
        write_together(files)
    elif target.name.endswith(BINARY):
        write_whole(target, encode(program))
    else:
        fault = Fault(target.name, "", f"a name that ends in {BINARY} or {TEXT}")
        raise InputError("program.file", f"'{target}' does not say in which form", [fault])


def read_program(path: str | Path, chip: Chip | None = None) -> Program:
    """Return the program in a file, of either form, whatever its name.

    Args:
        path: the file.
        chip: what fills fields that a text leaves out; else the chip of the catalog that it names.

    Raises:
        InputError: ``files.read`` if it cannot be read; ``program.binary`` or ``program.text``,
            with every fault, if it is no program.
    """
    source = Path(path)
    raw = read_whole(source)
    if raw.startswith(MAGIC[:1]) or source.name.endswith(BINARY):
        return decode(raw, source.name)
    try:
        written = raw.decode()
    except UnicodeDecodeError as error:
        fault = Fault(f"byte {error.start}", "", "UTF-8")
        raise InputError("program.text", f"{source.name} is not text", [fault]) from None
    sizes = blob_sizes(written)
    return parse(written, _beside(source, sizes) if sizes else {}, source.name, chip)


def _data(program: Program) -> Iterator[bytes]:
    """Yield the data that do not stand in the text, one piece in memory at a time."""
    seen: set[str] = set()
    for _, raw in program.data:
        if raw.size > INLINE:
            yield from _unseen(values(raw), seen)


def _unseen(raw: NDArray[np.uint8], seen: set[str]) -> Iterator[bytes]:
    digest = sha256(raw)
    if digest not in seen:
        seen.add(digest)
        yield from portions(raw)


def _data_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(TEXT).removesuffix(".txt") + DATA)


def _beside(path: Path, sizes: list[tuple[str, int]]) -> dict[str, NDArray[np.uint8]]:
    """Return the data that lie beside a text; ``parse`` says what is missing or altered."""
    raw = np.frombuffer(read_whole(_data_path(path)), np.uint8)
    found: dict[str, NDArray[np.uint8]] = {}
    start = 0
    for digest, size in sizes:
        found[digest] = raw[start : start + size]
        start += size
    return found
