"""Chips of other kinds than a tile grid: flat files of entries, each with value, grade and source.

This module imports ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from drawloom.chip.model import Source
from drawloom.chip.quantity import Kind, QuantityError
from drawloom.chip.tree import Tree, read
from drawloom.errors import Fault, InputError, nearest

WORDS = ("kind", "name", "title")


@dataclass(slots=True)
class Entries:
    """A file that is being read: its tree, and all that was found wrong so far."""

    tree: Tree
    faults: list[Fault]
    sources: dict[str, Source] = field(default_factory=dict[str, Source])

    @staticmethod
    def of(text: str, file: str) -> Entries:
        """Return the entries of a text; ``file`` is what it is called in messages."""
        return Entries(*read(text, file))

    def number(self, path: str, kind: Kind) -> float:
        """Return an entry's number and note its source; 0 and a fault where it is none."""
        entry: Tree | None = self.tree
        for step in path.split("."):
            entry = entry.section.get(step) if entry else None
        if entry is None or not {"value", "grade", "source"} <= set(entry.section):
            text = "" if entry is None else entry.text()
            self.faults.append(Fault(path, text, "an entry with value, grade and source"))
            return 0
        self.sources[path] = Source(entry.section["source"].text(), entry.section["grade"].text())
        try:
            return kind.parse(entry.section["value"].text())
        except QuantityError as error:
            self.faults.append(Fault(path, entry.section["value"].text(), str(error)))
            return 0

    def numbers(self, fields: Mapping[str, Kind]) -> dict[str, float]:
        """Return the numbers of several entries by path."""
        return {path: self.number(path, kind) for path, kind in fields.items()}

    def table(self, path: str, kind: Kind) -> dict[str, float]:
        """Return the numbers of a section by name; a fault where there is none."""
        section = self.tree.section.get(path)
        names = list(section.section) if section else []
        if not names:
            self.faults.append(Fault(path, "", "at least one format"))
        return {name: self.number(f"{path}.{name}", kind) for name in names}

    def word(self, path: str, allowed: Iterable[str] = ()) -> str:
        """Return an entry that is a word; a fault where it is none of those allowed."""
        entry = self.tree.section.get(path)
        text = entry.text() if entry else ""
        legal = list(allowed)
        if entry is None or (legal and text not in legal):
            self.faults.append(Fault(path, text, nearest(text, legal) if legal else "a word"))
        return text

    def finish(self, what: str, file: str, known: Iterable[str]) -> None:
        """Raise InputError (``what``) with all faults, unknown entries among them, if any."""
        legal = {*WORDS, *known}
        self.faults += [
            Fault(path, "", nearest(path, legal)) for path in self.tree.section if path not in legal
        ]
        if self.faults:
            raise InputError(what, f"{len(self.faults)} faults in {file}", self.faults)
