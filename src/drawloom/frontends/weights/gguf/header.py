"""A ``.gguf`` file's header: metadata and the table of tensors; the data are not read.

    file   ::= "GGUF" version n_tensors n_pairs pair... info... padding data
    pair   ::= word kind value                  word: size bytes; size and counts are u64
    value  ::= number | word | array            array: kind count number-or-word...
    info   ::= word n_dims dim... format offset dims: innermost first; offset: from data's begin
    data   ::= each tensor, padded to ``general.alignment`` (32 where it is not said)

All numbers are little-endian. The gguf package does not do here: it maps the whole file and
keeps views on it, makes an object of every token, lets a file end in the middle of a number,
and brings three packages for the network along (tried with 0.19.0). It made the files and values
that the tests compare with.

Source: the format's own page, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from drawloom.errors import Fault, Unsupported
from drawloom.frontends.weights.stored import StoredFile, not_sound

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = "general.alignment"
_MOST_DIMS = 4
_MOST_WORD_BYTES = 1 << 24
_NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_BOOL, _WORD, _ARRAY = 7, 8, 9


@dataclass(frozen=True, slots=True)
class Listed:
    """An array; only how many numbers or words there are is kept."""

    count: int


@dataclass(frozen=True, slots=True)
class Info:
    """A tensor as the table has it.

    Attributes:
        name: its name in the file.
        shape: its shape, outermost dim first, as in NumPy.
        code: number of its format.
        offset: where its bytes begin, counted from where data begin.
    """

    name: str
    shape: tuple[int, ...]
    code: int
    offset: int


@dataclass(slots=True)
class Header:
    """What stands before the data.

    Attributes:
        file: the file.
        metadata: a number, a word or ``Listed`` for each key.
        infos: the tensors, in the table's order.
        base: where the data begin.
        alignment: bytes to which each tensor is padded.
        faults: what is wrong with the parts, where reading could go on.
    """

    file: StoredFile
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    infos: list[Info] = field(default_factory=list[Info])
    base: int = 0
    alignment: int = 32
    faults: list[Fault] = field(default_factory=list[Fault])


class _Broken(Exception):
    """Reading cannot go on: what was found and what is allowed."""


class _Cursor:
    """Reads a file from its begin, and never past its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.at = 0
        self.what = "header"

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._reach(count)
        raw = self.file.read(count)
        if len(raw) < count:
            raise _Broken(f"ends at byte {self.at + len(raw):,}", "the file as it was opened")
        self.at += count
        return raw

    def skip(self, count: int) -> None:
        """Go past the next bytes, which must be there."""
        self._reach(count)
        self.file.seek(count, os.SEEK_CUR)
        self.at += count

    def _reach(self, count: int) -> None:
        if count > self.size - self.at:
            found = f"{count:,} bytes from byte {self.at:,} on"
            raise _Broken(found, f"up to {self.size:,}, where the file ends")

    def uint(self, size: int = 8) -> int:
        """Return the next whole number, of 4 or 8 bytes."""
        return int.from_bytes(self.take(size), "little")

    def word(self) -> str:
        """Return the next word."""
        size = self.uint()
        if size > _MOST_WORD_BYTES:
            raise _Broken(f"a word of {size:,} bytes", f"up to {_MOST_WORD_BYTES:,}")
        raw = self.take(size)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise _Broken(f"byte 0x{raw[error.start]:02x} in a word", "UTF-8") from None

    def value(self, kind: int) -> Any:
        """Return the next value of a pair."""
        if kind == _WORD:
            return self.word()
        if kind == _ARRAY:
            return self.array(self.uint(4), self.uint())
        raw = self.take(self.bytes_of(kind))
        if kind == _BOOL and raw not in (b"\0", b"\1"):
            raise _Broken("a truth value that is neither 0 nor 1", "0 or 1")
        return np.frombuffer(raw, _NUMBERS[kind])[0].item()

    def array(self, kind: int, count: int) -> Listed:
        """Return how long the next array is, which is checked to lie in the file."""
        if kind != _WORD:
            self.skip(count * self.bytes_of(kind))
            return Listed(count)
        for _ in range(count):
            self.skip(self.uint())
        return Listed(count)

    def bytes_of(self, kind: int) -> int:
        """Return the bytes of a number of some kind."""
        if kind not in _NUMBERS:
            raise _Broken(f"a value of kind {kind}", "a number, a word, or an array of one of them")
        return np.dtype(_NUMBERS[kind]).itemsize


def read_header(path: str | Path) -> Header:
    """Return what stands before a file's data, faults of single tensors included.

    Raises:
        InputError: the file cannot be read, or cannot be followed to the end of its header
            (``weights.file``).
        Unsupported: it is of a version or byte order that drawloom does not read.
    """
    file = StoredFile.at(path)
    header = Header(file)
    with file.open() as opened:
        cursor = _Cursor(opened, file.size)
        try:
            _follow(cursor, header)
        except _Broken as broken:
            found, allowed = broken.args
            fault = Fault(cursor.what, found, allowed)
            raise not_sound(file.path, [*header.faults, fault]) from None
    return header


def _follow(cursor: _Cursor, header: Header) -> None:
    magic = cursor.take(4)
    if magic != MAGIC:
        raise _Broken(f"begins with {magic!r}", f"{MAGIC!r}")
    _check_version(cursor.uint(4), header.file.path)
    n_tensors, n_pairs = cursor.uint(), cursor.uint()
    for i in range(n_pairs):
        cursor.what = f"pair {i} of {n_pairs:,}"
        _pair(cursor, header)
    _align(header)
    for i in range(n_tensors):
        cursor.what = f"tensor {i} of {n_tensors:,}"
        _info(cursor, header)
    header.base = padded(cursor.at, header.alignment)


def _check_version(version: int, path: Path) -> None:
    if version in VERSIONS:
        return
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    found = "big-endian numbers" if swapped in VERSIONS else f"version {version}"
    fault = Fault(path.name, found, "version 2 or 3, little-endian")
    raise Unsupported(
        "weights.file", f"'{path}' is a GGUF file that drawloom does not read", [fault]
    )


def _pair(cursor: _Cursor, header: Header) -> None:
    key = cursor.word()
    cursor.what = f"'{key}'"
    value = cursor.value(cursor.uint(4))
    if key in header.metadata:
        header.faults.append(Fault(f"'{key}'", "again", "each key once"))
    header.metadata[key] = value


def _align(header: Header) -> None:
    value = header.metadata.get(ALIGNMENT, header.alignment)
    if type(value) is not int or value <= 0 or value & (value - 1) or value > 1 << 30:
        raise _Broken(f"{ALIGNMENT} {value!r}", "a power of two")
    header.alignment = value


def _info(cursor: _Cursor, header: Header) -> None:
    name = cursor.word()
    cursor.what = f"tensor '{name}'"
    n_dims = cursor.uint(4)
    if n_dims > _MOST_DIMS:
        raise _Broken(f"{n_dims:,} dims", f"up to {_MOST_DIMS}")
    shape = tuple(reversed([cursor.uint() for _ in range(n_dims)]))
    code, offset = cursor.uint(4), cursor.uint()
    header.infos.append(Info(name, shape, code, offset))


def padded(at: int, alignment: int) -> int:
    """Return the next place at a multiple of the alignment."""
    return -(-at // alignment) * alignment
