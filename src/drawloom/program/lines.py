"""One line of a program's text: its words, and the command or record they make."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from drawloom.errors import Fault, nearest
from drawloom.program.check_fields import Complaint
from drawloom.program.defaults import FOLLOWING, fill
from drawloom.program.fields import Slot, slots
from drawloom.program.kinds import Bad, read_int, read_word
from drawloom.program.names import Names, Unknown, is_expression

MOST_FAULTS = 200
_SHOWN = 60
_TOKEN = re.compile(r'(?:[^\s";]+|"(?:[^"\\]|\\.)*")+|;.*|"')


class TooMany(Exception):
    """There are more faults than anyone reads."""


@dataclass(slots=True)
class Faults:
    """The faults found so far, each with its line."""

    found: list[tuple[float, Fault]] = field(default_factory=list[Any])
    silent: int = 0  # what follows from a fault that is told already

    @property
    def count(self) -> int:
        """How many there are, told or not."""
        return len(self.found) + self.silent

    def listed(self) -> list[Fault]:
        """Return the faults in the order of their lines."""
        return [fault for _, fault in sorted(self.found, key=lambda found: found[0])]

    def add(self, line: int, value: str, allowed: str, part: str = "") -> None:
        """Add a fault of a line, or of a part of it, once.

        Raises:
            TooMany: there are ``MOST_FAULTS`` already.
        """
        path = f"line {line}, {part}" if part else f"line {line}"
        shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
        fault = (line, Fault(path, shown, allowed))
        if fault in self.found:
            return  # of a line that stands for several tiles
        if len(self.found) == MOST_FAULTS:
            more = Fault("and more", "", f"the first {MOST_FAULTS} found are listed")
            self.found.append((math.inf, more))
            raise TooMany
        self.found.append(fault)

    def bad(self, line: int, value: str, bad: Bad, part: str = "") -> None:
        """Add what was said of a value, unless it follows from a fault of another line."""
        if isinstance(bad, Unknown):
            self.silent += 1
        else:
            self.add(line, value, str(bad), part)

    def complain(self, line: int, complaints: Iterable[Complaint]) -> None:
        """Add what is wrong with the fields of a line."""
        for part, value, allowed in complaints:
            self.add(line, value, allowed, part)


@dataclass(frozen=True, slots=True)
class Line:
    """A line's number, how far it is indented, its first word, the words after it."""

    number: int
    indent: int
    word: str
    rest: list[str]


def split(number: int, raw: str) -> Line | None:
    """Return a line without its comment; None where nothing else is on it."""
    if '"' in raw:
        words = [word for word in _TOKEN.findall(raw) if not word.startswith(";")]
    else:
        words = raw.partition(";")[0].split()
    if not words:
        return None
    return Line(number, len(raw) - len(raw.lstrip(" ")), words[0], words[1:])


@cache
def _by_name(kind: type) -> dict[str, Slot]:
    return {slot.name: slot for slot in slots(kind)}


def mark(line: Line, faults: Faults) -> int | str | None:
    """Take the origin's number or name, ``#3`` or ``#load``, out of a line's words."""
    marks = [word for word in line.rest if word.startswith("#")]
    if not marks:
        return None
    line.rest[:] = [word for word in line.rest if not word.startswith("#")]
    if len(marks) == 1:
        for read in (read_int, read_word):
            with contextlib.suppress(Bad):
                return read(marks[0][1:])
    faults.add(line.number, " ".join(marks), "one origin, like #3 or #load")
    return None


def record(line: Line, kind: type, faults: Faults, names: Names | None = None) -> Any:
    """Return the command or record that a line describes; None where it has faults.

    ``names`` are what its values may name, and what it may leave out.
    """
    known = _by_name(kind)
    values: dict[str, Any] = {}
    before = faults.count
    if "origin" in known and (origin := _origin(line, faults, names)) is not None:
        values["origin"] = origin
    for word in line.rest:
        name, equals, value = word.partition("=")
        slot = known.get(name)
        if not equals:
            faults.add(line.number, word, "field=value", line.word)
        elif slot is None:
            faults.add(line.number, name, nearest(name, known), line.word)
        elif name in values:
            faults.add(line.number, name, "each field once", line.word)
        else:
            values[name] = _read(line, slot, value, faults, names)
    if names and faults.count == before and not _filled(line, kind, values, faults, names):
        return None
    given = values.keys() | (FOLLOWING if names and faults.count > before else ())
    missing = [slot.name for slot in known.values() if slot.required and slot.name not in given]
    if missing:
        faults.add(line.number, "", f"needs {', '.join(missing)}", line.word)
    return kind(**values) if faults.count == before else None


def _origin(line: Line, faults: Faults, names: Names | None) -> int | None:
    """Return the number of a command's origin; a name gets the next when it is first met."""
    found = mark(line, faults)
    if isinstance(found, str):
        return names.origins.setdefault(found, len(names.origins)) if names else None
    return found


def _filled(line: Line, kind: type, values: dict[str, Any], faults: Faults, names: Names) -> bool:
    try:
        fill(kind, values, names)
    except Bad as bad:
        faults.add(line.number, "", str(bad), line.word)
        return False
    return True


def _read(line: Line, slot: Slot, value: str, faults: Faults, names: Names | None) -> Any:
    try:
        return _named(slot, value, names)
    except Bad as bad:
        faults.bad(line.number, value, bad, slot.name)
        return None


def _named(slot: Slot, value: str, names: Names | None) -> Any:
    """Return a field's value; what it is not as it stands it may be as an expression of names."""
    try:
        return slot.kind.read(value)
    except Bad as plain:
        if not names:
            raise
        try:
            resolved = names.resolve(slot, value)
        except Bad as bad:
            raise (bad if is_expression(bad) else plain) from None
        if resolved is None:
            raise
        return slot.kind.read(resolved)
