"""What a field may hold, by its annotation: how it stands in text and in binary.

Here are numbers, words, addresses and tuples of them; ``operands.py`` has the rest, and
``fields.py`` says which annotation is which. In text a value holds no blank outside quotes.
``read`` raises ``Bad`` with what may stand there; ``unpack`` raises ``Broken``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from drawloom.program.commands import Address, Affine
from drawloom.program.packing import Broken, Packer, Unpacker

MAX_DEPTH = 32  # loops within loops


class Bad(Exception):
    """A text is not what it should be; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Values of one type: to text, from text, to bytes, from bytes."""

    show: Callable[[Any], str]
    read: Callable[[str], Any]
    pack: Callable[[Packer, Any], None]
    unpack: Callable[[Unpacker], Any]


# --- numbers and words ---

_INT = re.compile(r"-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,19})")
_FLOAT = re.compile(r"-?(?:inf|nan|[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)")
_BARE = re.compile(r"[A-Za-z_./][A-Za-z0-9_./:\-]*")


def read_int(text: str) -> int:
    """Return the whole number that stands there."""
    if not _INT.fullmatch(text):
        raise Bad("a whole number of at most 64 bits")
    value = int(text, 0 if "x" in text else 10)
    if not -(1 << 63) <= value < 1 << 63:
        raise Bad("a whole number of at most 64 bits")
    return value


def _read_float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise Bad("a number")
    return float(text)


def _read_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise Bad("true or false")
    return text == "true"


def show_word(word: str) -> str:
    """Return a word as it stands in text: in JSON's quotes where it is not plain."""
    return word if _BARE.fullmatch(word) else json.dumps(word, ensure_ascii=False)


def read_word(text: str) -> str:
    """Return the word that stands there."""
    if text.startswith('"'):
        try:
            word = json.loads(text)
        except ValueError:
            raise Bad("a text in quotes, as JSON writes it") from None
        return str(word)
    if not _BARE.fullmatch(text):
        raise Bad("a word, in quotes where it is not plain")
    return text


INT = Kind(str, read_int, Packer.int, Unpacker.int)
FLOAT = Kind(lambda v: repr(float(v)), _read_float, Packer.float, Unpacker.float)
BOOL = Kind(
    lambda v: "true" if v else "false",
    _read_bool,
    lambda out, v: out.uint(int(v)),
    lambda raw: raw.uint() != 0,
)
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def _read_hex(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise Bad("bytes as two hex digits each")
    return text


HEX = Kind(str, _read_hex, Packer.word, Unpacker.word)
WORD = Kind(show_word, read_word, Packer.word, Unpacker.word)

# --- addresses ---

_ADDRESS = re.compile(r"(-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,19}))((?:[+-][0-9]{1,19}\*i[0-9]{1,2})*)")
_TERM = re.compile(r"([+-][0-9]+)\*i([0-9]+)")
_ADDRESS_FORM = "an address like 0x1000 or 0x1000+128*i0, i0 the outermost loop"


def show_address(address: Address) -> str:
    """Return an address in hex, with the stride of each loop that moves it."""
    if not isinstance(address, Affine):
        return f"{address:#x}"
    last = len(address.strides) - 1
    terms = [f"{s:+}*i{k}" for k, s in enumerate(address.strides) if s or k == last]
    return f"{address.base:#x}{''.join(terms)}"


def read_address(text: str) -> Address:
    """Return the address that stands there."""
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise Bad(_ADDRESS_FORM)
    base = read_int(found[1])
    strides: list[int] = []
    for stride, index in _TERM.findall(found[2]):
        if not len(strides) <= int(index) < MAX_DEPTH:
            raise Bad(f"{_ADDRESS_FORM}; each loop once, outermost first")
        strides += [0] * (int(index) - len(strides)) + [read_int(stride.removeprefix("+"))]
    return Affine(base, tuple(strides)) if strides else base


def pack_address(out: Packer, address: Address) -> None:
    """Append an address: the number of strides, the base, the strides."""
    strides = address.strides if isinstance(address, Affine) else ()
    out.uint(len(strides))
    out.int(address.base if isinstance(address, Affine) else address)
    for stride in strides:
        out.int(stride)


def unpack_address(raw: Unpacker) -> Address:
    """Return the next address."""
    n = raw.uint()
    if n > MAX_DEPTH:
        raise Broken("an address moves with too many loops")
    base = raw.int()
    return Affine(base, tuple([raw.int() for _ in range(n)])) if n else base


ADDRESS = Kind(show_address, read_address, pack_address, unpack_address)
PLACE = Kind(show_address, read_int, Packer.int, Unpacker.int)

# --- sequences ---


def sequence(item: Kind, form: str, length: int | None = None, mark: str = ",") -> Kind:
    """Return the kind of a tuple of items; ``()`` stands for none."""

    def show(values: Iterable[Any]) -> str:
        return mark.join(map(item.show, values)) or "()"

    def read(text: str) -> tuple[Any, ...]:
        try:
            values = tuple(map(item.read, text.split(mark))) if text != "()" else ()
        except Bad as bad:
            raise Bad(form or str(bad)) from None
        if length is not None and len(values) != length:
            raise Bad(form)
        return values

    def pack(out: Packer, values: tuple[Any, ...]) -> None:
        if length is None:
            out.uint(len(values))
        for value in values:
            item.pack(out, value)

    def unpack(raw: Unpacker) -> tuple[Any, ...]:
        if length is None:
            return raw.many(item.unpack)
        return tuple([item.unpack(raw) for _ in range(length)])

    return Kind(show, read, pack, unpack)


_LEVEL = re.compile(r"([0-9]+)@(-?[0-9]+)(?::(-?[0-9]+))?")


def _levels(n_strides: int) -> Kind:
    """Return the kind of one strided level: ``count@stride`` or ``count@source:target``."""

    def show(level: tuple[int, ...]) -> str:
        *strides, count = level
        return f"{count}@{':'.join(map(str, strides))}"

    def read(text: str) -> tuple[int, ...]:
        found = _LEVEL.fullmatch(text)
        numbers = [n for n in found.groups() if n is not None] if found else []
        if len(numbers) != n_strides + 1:
            raise Bad("")
        count, *strides = map(read_int, numbers)
        return (*strides, count)

    def pack(out: Packer, level: tuple[int, ...]) -> None:
        for value in level:
            out.int(value)

    def unpack(raw: Unpacker) -> tuple[int, ...]:
        return tuple([raw.int() for _ in range(n_strides + 1)])

    return Kind(show, read, pack, unpack)


def show_tiles(numbers: Iterable[int]) -> str:
    """Return whole numbers with runs joined: ``0..3,8``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(map(_show_run, runs)) or "()"


def _show_run(run: list[int]) -> str:
    return f"{run[0]}..{run[-1]}" if len(run) > 2 else ",".join(map(str, run))


_MOST_TILES = 1 << 12  # in one list; keeps a short text from asking for much memory


def read_tiles(text: str) -> tuple[int, ...]:
    """Return the whole numbers of ``0..3,8``."""
    form = "whole numbers like 0..3,8"
    numbers: list[int] = []
    for part in text.split(",") if text != "()" else ():
        first, dots, last = part.partition("..")
        try:
            low, high = read_int(first), read_int(last if dots else first)
        except Bad:
            raise Bad(form) from None
        if not low <= high < low + _MOST_TILES - len(numbers):
            raise Bad(form if high < low else f"at most {_MOST_TILES} numbers")
        numbers += range(low, high + 1)
    return tuple(numbers)


INTS = sequence(INT, "whole numbers like 1,2,3")
TILES = Kind(show_tiles, read_tiles, INTS.pack, INTS.unpack)
PAIR = sequence(INT, "two whole numbers like 1,1", 2)
FOUR = sequence(INT, "four whole numbers like 0,1,0,1", 4)
SHAPE = sequence(INT, "a shape like 1x28x28", mark="x")
DIMS = sequence(_levels(1), "levels like 16@4096,4@128: count@stride, outermost first")
MOVE_DIMS = sequence(
    _levels(2), "levels like 16@4096:128: count@source:target stride, outermost first"
)
