"""Names in a text written by hand: what a field's value means where it is an expression of them.

    expression ::= term (("+" | "-") term)...        term ::= factor (("*" | "/") factor)...
    factor     ::= "-" factor | "(" expression ")" | number | name

A name is that of a constant (``let``), a scratchpad buffer or a region of DRAM (its address, and
``name.bytes`` and ``name.count``, its elements), or of a loop's index. ``/`` of whole numbers is
whole, but where a field takes a fraction (``scalar=1/cols``); ``62.0/4`` is a fraction anywhere.
Values hold no blanks. What a program prints has no names left in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from drawloom.chip.model import Blocking, Chip
from drawloom.errors import nearest
from drawloom.program import kinds, operands
from drawloom.program.commands import Affine
from drawloom.program.fields import Slot
from drawloom.program.kinds import MAX_DEPTH, Bad, show_address

_TOKEN = re.compile(
    r"(?P<number>0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)|(?P<mark>[-+*/()])"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDEX = re.compile(r"i([0-9]{1,2})")
_OPERAND = re.compile(r"(spm|dram):([a-z0-9]+)\[([^\]]*)\]@([^,\s]+)")
_MOST_TOKENS = 200
_MOST_NESTED = 32
_WIDE = 1 << 63
_SPACES = {"spm": "the scratchpad", "dram": "DRAM"}


@dataclass(frozen=True, slots=True)
class Value:
    """A number, the loops it moves with (index: stride), and the memory it is an address of."""

    number: int | float
    moves: tuple[tuple[int, int], ...] = ()
    space: str = ""


UNKNOWN = Value(0)
"""What a name stands for whose line has a fault; compared by identity."""


@dataclass(slots=True)
class Names:
    """The names that are known at a line of a text.

    Attributes:
        chip: the machine, as far as it is known: it fills what the ``program`` line leaves out.
        blocking: the layout of operands, by the text or by the chip.
        dram_end: where the next region lies that says no address.
        spm_end: where the next buffer lies that says none.
        spm_bytes: where buffers must end; 0 where that is not known.
        indices: the name of each loop's index around the line, empty where it has none.
    """

    chip: Chip | None = None
    blocking: Blocking | None = None
    dram_end: int = 0
    spm_end: int = 0
    spm_bytes: int = 0
    indices: list[str] = field(default_factory=list[str])
    origins: dict[str, int] = field(default_factory=dict[str, int])
    values: dict[str, Value] = field(default_factory=dict[str, Value])

    def define(self, name: str, value: Value) -> None:
        """Give a name its value.

        Raises:
            Bad: it is no name, or is taken.
        """
        self.check(name)
        self.values[name] = value

    def check(self, name: str) -> None:
        """Refuse what is no name, or is taken.

        Raises:
            Bad: says which.
        """
        if not _NAME.fullmatch(name) or _INDEX.fullmatch(name):
            raise Bad("a name of letters, digits and _, other than i0, i1, ... of the loops")
        if name in self.values or name in self.indices:
            raise Bad("each name once")

    def place(self, name: str, space: str, address: int, size: int, count: int) -> None:
        """Name a piece of memory, and its bytes and elements.

        Raises:
            Bad: as ``define``.
        """
        self.define(name, Value(address, space=space))
        self.values[f"{name}.bytes"] = Value(size)
        self.values[f"{name}.count"] = Value(count)

    def resolve(self, slot: Slot, text: str) -> str | None:
        """Return a field's text without names; None where no name or expression may stand.

        Raises:
            Bad: a name is not known, or does not suit the field.
        """
        kind = slot.kind
        if kind is kinds.ADDRESS:
            return self._address(text, "dram" if slot.name in ("dram", "index") else "spm")
        if kind is kinds.PLACE:
            return str(_whole(self.value(text).number))
        if kind is kinds.FLOAT:
            return repr(float(self.number(text, exact=False)))
        if kind is kinds.INT:
            return str(self.whole(text))
        if kind is operands.OPERANDS:
            return _OPERAND.sub(lambda found: self._operand(found.groups()), text)
        if kind is kinds.SHAPE:
            return self._shape(text)
        if kind in _PARTS:
            return self._parts(_PARTS[kind], text)
        return None

    def whole(self, text: str) -> int:
        """Return the whole number that an expression comes to.

        Raises:
            Bad: as ``resolve``.
        """
        return _whole(self.number(text))

    def number(self, text: str, *, exact: bool = True) -> int | float:
        """Return the number that an expression comes to; if ``exact``, whole over whole is whole.

        Raises:
            Bad: as ``resolve``.
        """
        value = self.value(text, exact=exact)
        if value.space:
            raise Bad(f"a number, not an address of {_SPACES[value.space]}")
        return value.number

    def value(self, text: str, *, exact: bool = True) -> Value:
        """Return the number or address that an expression comes to, the same in every turn.

        Raises:
            Bad: as ``resolve``.
        """
        value = _Reading(self, text, exact=exact).value()
        if value.moves:
            raise Bad("no index of a loop here")
        return value

    def _address(self, text: str, space: str) -> str:
        value = _Reading(self, text, space).value()
        if isinstance(value.number, float):
            raise Bad(f"a whole number of bytes; this is {value.number:g}")
        if value.space and value.space != space:
            raise Bad(f"an address of {_SPACES[space]}; this one is of {_SPACES[value.space]}")
        if not value.moves:
            return show_address(value.number)
        strides = [0] * (1 + max(index for index, _ in value.moves))
        for index, stride in value.moves:
            strides[index] = stride
        return show_address(Affine(value.number, tuple(strides)))

    def _operand(self, parts: tuple[str, ...]) -> str:
        space, fmt, shape, address = parts
        shape = self._shape(shape) if shape else ""
        return f"{space}:{fmt}[{shape}]@{self._address(address, space)}"

    def _shape(self, text: str) -> str:
        try:
            kinds.SHAPE.read(text)
        except Bad:
            return "x".join(str(self.whole(part)) for part in text.split(","))
        return text

    def tiles(self, text: str) -> str:
        """Return a list of tiles without names."""
        return self._parts(_PARTS[kinds.TILES], text)

    def _parts(self, marks: str, text: str) -> str:
        pieces = re.split(f"({marks})", text)
        return "".join(
            piece if at % 2 else str(self.whole(piece)) for at, piece in enumerate(pieces)
        )


_PARTS = {
    kinds.PAIR: ",",
    kinds.FOUR: ",",
    kinds.DIMS: "[,@]",
    kinds.MOVE_DIMS: "[,@:]",
    kinds.TILES: r",|\.\.",
}


class _Reading:
    """An expression being read."""

    def __init__(self, names: Names, text: str, space: str = "", *, exact: bool = True) -> None:
        self.names = names
        self.exact = exact
        self.space = space  # where the address that is wanted lies
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found or len(self.tokens) == _MOST_TOKENS:
                raise _NoExpression
            self.tokens.append((found.lastgroup or "", found[0]))
            at = found.end()
        self.tokens.reverse()
        self.nested = 0

    def value(self) -> Value:
        value = self.sum()
        if self.tokens:
            raise _NoExpression
        return value

    def sum(self) -> Value:
        value = self.product()
        while (mark := self.mark("+-")) is not None:
            value = _added(value, self.product(), -1 if mark == "-" else 1)
        return value

    def product(self) -> Value:
        value = self.factor()
        while (mark := self.mark("*/")) is not None:
            other = self.factor()
            value = _times(value, other) if mark == "*" else _over(value, other, self.exact)
        return value

    def factor(self) -> Value:
        self.nested += 1
        if not self.tokens or self.nested > _MOST_NESTED:
            raise _NoExpression
        kind, word = self.tokens.pop()
        if kind == "number":
            value = Value(_number(word))
        elif kind == "name":
            value = self.named(word)
        elif word == "-":
            value = _times(Value(-1), self.factor())
        elif word == "(":
            value = self.sum()
            if self.mark(")") is None:
                raise _NoExpression
        else:
            raise _NoExpression
        self.nested -= 1
        return value

    def mark(self, marks: str) -> str | None:
        if self.tokens and self.tokens[-1][0] == "mark" and self.tokens[-1][1] in marks:
            return self.tokens.pop()[1]
        return None

    def named(self, word: str) -> Value:
        names = self.names
        if word in names.indices:
            return Value(0, ((names.indices.index(word), 1),))
        index = _INDEX.fullmatch(word)
        if index and int(index[1]) < MAX_DEPTH:
            return Value(0, ((int(index[1]), 1),))
        if word not in names.values:
            known = [*names.values, *(name for name in names.indices if name)]
            if not known:
                raise _NoExpression
            base = word.partition(".")[0]
            if names.values.get(base) is UNKNOWN:
                raise Unknown
            if base != word and base in names.values:
                raise Bad(f"{base} has {base}.bytes and {base}.count, if it is in memory")
            shown = [name for name in known if "." not in name and self.suits(name)]
            if not shown:
                raise _NoExpression
            raise Bad(f"there is no '{word}': {nearest(word, shown)}")
        if names.values[word] is UNKNOWN:
            raise Unknown
        return names.values[word]

    def suits(self, name: str) -> bool:
        """Whether a name may stand in an address of the memory that is wanted."""
        value = self.names.values.get(name)
        return value is None or not self.space or value.space in ("", self.space)


class Unknown(Bad):
    """A name stands for what was not understood, which is told already where it was defined."""


class _NoExpression(Bad):
    """Not even an expression: what may stand in the field says it better."""


def is_expression(bad: Bad) -> bool:
    """Whether a text was read as an expression, so that what is wrong is in its names."""
    return not isinstance(bad, _NoExpression)


def _whole(number: int | float) -> int:
    if isinstance(number, float):
        raise Bad(f"a whole number; this is {number:g}")
    return number


def _number(word: str) -> int | float:
    if word.startswith("0x"):
        return _bounded(int(word, 16) if len(word) <= 18 else _WIDE)
    if word.isdigit():
        return _bounded(int(word) if len(word) <= 19 else _WIDE)
    return float(word)


def _bounded(number: int | float) -> int | float:
    if isinstance(number, int) and not -_WIDE <= number < _WIDE:
        raise Bad("a whole number of at most 64 bits")
    return number


def _added(a: Value, b: Value, sign: int) -> Value:
    moves = dict(a.moves)
    for index, stride in b.moves:
        moves[index] = int(_bounded(moves.get(index, 0) + sign * stride))
    space = a.space or b.space
    if a.space and b.space:
        if sign > 0 or a.space != b.space:
            raise Bad("one address, and what is added to it")
        space = ""
    return Value(_bounded(a.number + sign * b.number), tuple(sorted(moves.items())), space)


def _times(a: Value, b: Value) -> Value:
    if a.moves or a.space:
        a, b = b, a
    if a.moves or a.space or b.space:
        raise Bad("an address or an index times a number")
    if b.moves and isinstance(a.number, float):
        raise Bad("a whole number of bytes a turn")
    moves = tuple((index, int(_bounded(int(a.number) * stride))) for index, stride in b.moves)
    return Value(_bounded(a.number * b.number), moves)


def _over(a: Value, b: Value, exact: bool) -> Value:
    if a.moves or a.space or b.moves or b.space:
        raise Bad("a number over a number")
    if b.number == 0:
        raise Bad("no division by 0")
    if isinstance(a.number, int) and isinstance(b.number, int):
        if a.number % b.number == 0:
            return Value(_bounded(a.number // b.number))
        if exact:
            raise Bad(f"a whole number; {a.number}/{b.number} is none")
    return Value(a.number / b.number)
