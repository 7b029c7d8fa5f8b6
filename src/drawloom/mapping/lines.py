"""The lines of a mapping's text, read from the left: words, numbers, types, values of a known type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING
from types import NoneType
from typing import Any, cast, get_args, get_origin

from drawloom.errors import nearest
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Attr, TensorType
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.text import BARE, fields_of, is_part, without_none

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[(),=\[\]]|[^\s"(),=\[\]]+|"')
_NUMBER = re.compile(r"-?(?:[0-9][0-9.e+\-]*|inf|nan)", re.ASCII)
_END = "end of line"


class Bad(Exception):
    """One line's fault: what stands there, what may stand there."""

    def __init__(self, value: str, allowed: str) -> None:
        """Remember both."""
        super().__init__(value)
        self.value = value
        self.allowed = allowed


class Line:
    """The tokens of one line."""

    def __init__(self, number: int, text: str) -> None:
        """Cut a line of a text into tokens; ``number`` is how messages call it."""
        self.number = number
        self.indent = len(text) - len(text.lstrip(" "))
        self.tokens: list[str] = _TOKEN.findall(text)
        self._at = 0

    def peek(self, ahead: int = 0) -> str:
        """Return a token without taking it; empty at the end."""
        at = self._at + ahead
        return self.tokens[at] if at < len(self.tokens) else ""

    def take(self) -> str:
        """Return the next token and go past it."""
        token = self.peek()
        self._at += 1
        return token

    def accept(self, token: str) -> bool:
        """Go past the next token if it is this one."""
        if self.peek() != token:
            return False
        self._at += 1
        return True

    def expect(self, token: str) -> None:
        """Go past a token that must come next."""
        found = self.take()
        if found != token:
            raise Bad(found or _END, f"'{token}'")

    def end(self) -> None:
        """Check that nothing is left."""
        if self.peek():
            raise Bad(self.peek(), _END)

    def word(self) -> str:
        """Take a name."""
        token = self.take()
        if token.startswith('"'):
            try:
                return str(json.loads(token))
            except json.JSONDecodeError:
                raise Bad(token, "a text in quotes, as JSON writes it") from None
        if not BARE.fullmatch(token):
            raise Bad(token or _END, "a name, in quotes where it is not plain")
        return token

    def one_of(self, words: Iterable[str]) -> str:
        """Take one of these names."""
        found, known = self.word(), list(words)
        if found not in known:
            raise Bad(found, nearest(found, known))
        return found

    def whole(self) -> int:
        """Take a whole number."""
        token = self.take()
        if not re.fullmatch(r"-?[0-9]+", token, re.ASCII):
            raise Bad(token or _END, "a whole number")
        return int(token)

    def real(self) -> float:
        """Take a number."""
        token = self.take()
        try:
            return float(token) if _NUMBER.fullmatch(token) else float("")
        except ValueError:
            raise Bad(token or _END, "a number") from None

    def is_number(self) -> bool:
        """Whether a number comes next."""
        return _NUMBER.fullmatch(self.peek()) is not None

    def truth(self) -> bool:
        """Take true or false."""
        return self.one_of(("true", "false")) == "true"

    def hash(self) -> str:
        """Take ``sha256=`` and a hash."""
        self.expect("sha256")
        self.expect("=")
        return self.take()

    def type(self) -> TensorType:
        """Take a type, such as f16[1,3]."""
        dtype = DType(self.one_of(d.value for d in DType))
        return TensorType(dtype, tuple(self.items("[", "]", self.whole)))

    def items(self, first: str, last: str, take: Any) -> list[Any]:
        """Take what stands between two brackets, with commas between."""
        self.expect(first)
        out: list[Any] = []
        while not self.accept(last):
            out.append(take())
            if self.peek() != last:
                self.expect(",")
        return out


class Values:
    """Reads values of a known type; storages are known by name."""

    def __init__(self) -> None:
        """Know no storage yet."""
        self.storages: dict[str, Storage] = {}

    def pairs(self, line: Line, kind: type) -> dict[str, Any]:
        """Take ``key=value ...`` to the end of the line, for plain fields of a dataclass."""
        known = {f.name: f for f in fields_of(kind).values() if f.form in ("plain", "list")}
        out: dict[str, Any] = {}
        while line.peek():
            key = line.one_of(known)
            if key in out:
                raise Bad(key, "a key not used before")
            line.expect("=")
            field = known[key]
            hint = field.hint if field.form == "plain" else tuple[field.hint, ...]
            out[key] = self.value(line, hint)
        return out

    def value(self, line: Line, hint: Any) -> Any:
        """Take a value of a type."""
        if hint == Attr:
            return self._attr(line)
        inner = without_none(hint)
        if inner is not hint and line.accept("-"):
            return None
        if get_origin(inner) is tuple:
            return self._tuple(line, get_args(inner))
        if is_part(inner):
            return self._inline(line, inner)
        if inner is Storage:
            return self.storages[line.one_of(self.storages)]
        if inner is NoneType:
            return line.expect("-")
        take = {str: line.word, int: line.whole, float: line.real, bool: line.truth}
        return take[inner]()

    def _tuple(self, line: Line, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if args[1:] == (Ellipsis,):
            return tuple(line.items("[", "]", lambda: self.value(line, args[0])))
        left = iter(args)
        found = line.items("[", "]", lambda: self.value(line, next(left, NoneType)))
        if len(found) != len(args):
            raise Bad(f"{len(found)} items", f"{len(args)} items")
        return tuple(found)

    def _inline(self, line: Line, kind: type) -> Any:
        hints = [field.hint for field in fields_of(kind).values()]
        left = iter(hints)
        found = line.items("(", ")", lambda: self.value(line, next(left, NoneType)))
        if len(found) != len(hints):
            raise Bad(f"{len(found)} items", f"{len(hints)} items: {', '.join(fields_of(kind))}")
        return kind(*found)

    def _attr(self, line: Line) -> Any:
        if line.peek() == "[":
            items = cast("list[object]", line.items("[", "]", lambda: self._attr(line)))
            kinds = {type(item) for item in items}
            if len(kinds) > 1 or not kinds <= {int, float, str}:
                raise Bad("a list", "whole numbers, numbers or texts in quotes, of one kind")
            return tuple(items)
        if line.peek().startswith('"'):
            return line.word()
        if line.peek() in ("true", "false"):
            return line.truth()
        is_whole = re.fullmatch(r"-?[0-9]+", line.peek(), re.ASCII)
        return line.whole() if is_whole else line.real()


def made(kind: type, given: Mapping[str, Any]) -> Any:
    """Return a piece or part from its fields; those not given must have a default."""
    known = fields_of(kind)
    missing = [n for n, field in known.items() if n not in given and field.default is MISSING]
    if missing:
        raise Bad("missing", ", ".join(missing))
    return kind(**({n: field.default for n, field in known.items()} | dict(given)))
