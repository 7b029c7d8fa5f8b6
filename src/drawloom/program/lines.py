"""One line of a program's text: its words, and the command or record they make."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from drawloom.errors import Fault, nearest
from drawloom.program.check_fields import Complaint
from drawloom.program.fields import Slot, slots
from drawloom.program.kinds import Bad, read_int

MOST_FAULTS = 200
_SHOWN = 60
_TOKEN = re.compile(r'(?:[^\s";]+|"(?:[^"\\]|\\.)*")+|;.*|"')


class TooMany(Exception):
    """There are more faults than anyone reads."""


@dataclass(slots=True)
class Faults:
    """The faults found so far, each with its line."""

    found: list[tuple[float, Fault]] = field(default_factory=list[Any])

    def listed(self) -> list[Fault]:
        """Return the faults in the order of their lines."""
        return [fault for _, fault in sorted(self.found, key=lambda found: found[0])]

    def add(self, line: int, value: str, allowed: str, part: str = "") -> None:
        """Add a fault of a line, or of a part of it.

        Raises:
            TooMany: there are ``MOST_FAULTS`` already.
        """
        if len(self.found) == MOST_FAULTS:
            more = Fault("and more", "", f"the first {MOST_FAULTS} found are listed")
            self.found.append((math.inf, more))
            raise TooMany
        path = f"line {line}, {part}" if part else f"line {line}"
        shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
        self.found.append((line, Fault(path, shown, allowed)))

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


def mark(line: Line, faults: Faults) -> int | None:
    """Take the origin's number, ``#3``, out of a line's words."""
    marks = [word for word in line.rest if word.startswith("#")]
    if not marks:
        return None
    line.rest[:] = [word for word in line.rest if not word.startswith("#")]
    try:
        if len(marks) == 1:
            return read_int(marks[0][1:])
    except Bad:
        pass
    faults.add(line.number, " ".join(marks), "one origin, like #3")
    return None


def record(line: Line, kind: type, faults: Faults) -> Any:
    """Return the command or record that a line describes; None where it has faults."""
    known = _by_name(kind)
    values: dict[str, Any] = {}
    before = len(faults.found)
    origin = mark(line, faults) if "origin" in known or line.word == "origin" else None
    if origin is not None and "origin" in known:
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
            values[name] = _read(line, slot, value, faults)
    missing = [slot.name for slot in known.values() if slot.required and slot.name not in values]
    if missing:
        faults.add(line.number, "", f"needs {', '.join(missing)}", line.word)
    return kind(**values) if len(faults.found) == before else None


def _read(line: Line, slot: Slot, value: str, faults: Faults) -> Any:
    try:
        return slot.kind.read(value)
    except Bad as bad:
        faults.add(line.number, value, str(bad), slot.name)
        return None
