"""A program as a file: ``.prog`` in binary, ``.prog.txt`` as text.

A text's data that do not stand in it lie beside it, in a file whose name ends in ``.data`` and says
which data they are: their bytes, each piece once, in the text's order. It is there before the text
is, and stays while a text asks for it: whenever a writer is stopped, old or new can be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.files import locked, read_whole, write_whole
from drawloom.graph.lazy import values
from drawloom.program.binary import MAGIC, encode, portions
from drawloom.program.decode import decode
from drawloom.program.parse import blob_sizes, parse
from drawloom.program.program import Program
from drawloom.program.text import INLINE, sha256, text

BINARY, TEXT, DATA = ".prog", ".prog.txt", ".data"


def write_program(program: Program, path: str | Path) -> None:
    """Write a program to a file, whole or not at all; the name's ending says in which form.

    Raises:
        InputError: ``program.file`` for another ending, ``files.write`` if it cannot be written.
    """
    target = Path(path)
    if target.name.endswith(TEXT):
        _write_text(program, target)
    elif target.name.endswith(BINARY):
        write_whole(target, encode(program))
    else:
        fault = Fault(target.name, "", f"a name that ends in {BINARY} or {TEXT}")
        raise InputError("program.file", f"'{target}' does not say in which form", [fault])


def _write_text(program: Program, target: Path) -> None:
    """Write the data, then the text that asks for them, then remove what the old text asked for."""
    written = text(program)
    with locked(target.parent):
        old = _data_path(target, _sizes_in(target))
        new = _data_path(target, blob_sizes(written))
        if new is not None:
            write_whole(new, _data(program))
        try:
            write_whole(target, written.encode())
        except BaseException:
            if new is not None and new != old:
                new.unlink(missing_ok=True)
            raise
        if old is not None and old != new:
            with contextlib.suppress(OSError):
                old.unlink()


def _sizes_in(path: Path) -> list[tuple[str, int]]:
    """Return what data the text in a file asks for; none where it is none, or is not there."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return blob_sizes(path.read_text(encoding="utf-8")) if path.is_file() else []
    return []


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
    written, data = _with_data(source, raw)
    return parse(written, data, source.name, chip)


def _with_data(source: Path, raw: bytes) -> tuple[str, dict[str, NDArray[np.uint8]]]:
    """Return a text and the data that lie beside it, as they belong together."""
    while True:
        written = _decoded(source, raw)
        sizes = blob_sizes(written)
        try:
            return written, _beside(source, sizes)
        except InputError:
            again = read_whole(source)
            if again == raw:
                raise
            raw = again  # somebody wrote it anew between the text and its data


def _decoded(source: Path, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        fault = Fault(f"byte {error.start}", "", "UTF-8")
        raise InputError("program.text", f"{source.name} is not text", [fault]) from None


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


def _data_path(path: Path, sizes: list[tuple[str, int]]) -> Path | None:
    """Return where the data of a text lie; None where all of them stand in it."""
    if not sizes:
        return None
    which = sha256(np.frombuffer("\n".join(digest for digest, _ in sizes).encode(), np.uint8))
    stem = path.name.removesuffix(TEXT).removesuffix(".txt")
    return path.with_name(f"{stem}{BINARY}.{which[:12]}{DATA}")


def _beside(path: Path, sizes: list[tuple[str, int]]) -> dict[str, NDArray[np.uint8]]:
    """Return the data that lie beside a text; ``parse`` says what is missing or altered."""
    lies = _data_path(path, sizes)
    if lies is None:
        return {}
    raw = np.frombuffer(read_whole(lies), np.uint8)
    found: dict[str, NDArray[np.uint8]] = {}
    start = 0
    for digest, size in sizes:
        found[digest] = raw[start : start + size]
        start += size
    return found
