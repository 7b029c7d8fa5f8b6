"""Numbers and words as few bytes, and back; bytes that are none of ours raise ``Broken``.

Whole numbers are LEB128 (seven bits a byte, low ones first), signed ones zigzag; floats are
IEEE doubles, little-endian, every NaN the same one; a word is its place in the table of words.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TypeVar

_MAX_SHIFT = 63
_DOUBLE = struct.Struct("<d")

T = TypeVar("T")


class Broken(Exception):
    """The bytes are cut short, altered, or something else."""


class Packer:
    """Bytes in the making."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._words: dict[str, int] = {}

    def uint(self, value: int) -> None:
        """Append a whole number from 0 to 2**64 - 1."""
        assert 0 <= value < 1 << 64, value
        while value > 0x7F:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)

    def int(self, value: int) -> None:
        """Append a whole number of 64 bits."""
        self.uint(value << 1 if value >= 0 else ~(value << 1))

    def float(self, value: float) -> None:
        """Append a double."""
        self.out += _DOUBLE.pack(math.nan if value != value else value)

    def word(self, value: str) -> None:
        """Append a word as its place in the table."""
        self.uint(self._words.setdefault(value, len(self._words)))

    def table(self) -> bytes:
        """Return the table of the words so far, which a reader needs first."""
        table = Packer()
        table.uint(len(self._words))
        for word in self._words:
            raw = word.encode()
            table.uint(len(raw))
            table.out += raw
        return bytes(table.out)


class Unpacker:
    """Bytes being read. Nothing is made that is larger than the bytes that ask for it."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._at = 0
        self._words: list[str] = []

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._raw) - self._at

    def take(self, n: int) -> memoryview:
        """Return the next ``n`` bytes."""
        if n > self.left:
            raise Broken("it ends too early")
        self._at += n
        return self._raw[self._at - n : self._at]

    def uint(self) -> int:
        """Return the next whole number from 0 on."""
        value = shift = 0
        while True:
            if self._at >= len(self._raw):
                raise Broken("it ends too early")
            byte = self._raw[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > _MAX_SHIFT:
                raise Broken("a number has more than 64 bits")
        if value >> 64:
            raise Broken("a number has more than 64 bits")
        return value

    def int(self) -> int:
        """Return the next signed whole number."""
        value = self.uint()
        return ~(value >> 1) if value & 1 else value >> 1

    def float(self) -> float:
        """Return the next double."""
        return float(_DOUBLE.unpack(self.take(8))[0])

    def many(self, read: Callable[[Unpacker], T]) -> tuple[T, ...]:
        """Return a counted sequence; each item takes a byte or more."""
        n = self.uint()
        if n > self.left:
            raise Broken("it ends too early")
        return tuple([read(self) for _ in range(n)])

    def word(self) -> str:
        """Return the next word."""
        place = self.uint()
        if place >= len(self._words):
            raise Broken("a word is not in the table")
        return self._words[place]

    def table(self) -> None:
        """Read the table of words."""
        self._words = list(self.many(_text))


def _text(raw: Unpacker) -> str:
    try:
        return bytes(raw.take(raw.uint())).decode()
    except UnicodeDecodeError:
        raise Broken("a word is not UTF-8") from None
