"""What a person can act on.

``InputError`` is about the user's file: every fault at once, each with its
path, value and what is allowed. ``Unsupported`` is an InputError for a model
that asks for what drawloom cannot do. ``DoesNotFit`` is a true answer about
the machine and carries a ``Diagnosis``. ``Unsound`` is our bug, caught by the
checker before it went out. Anything else is our bug and stays an
``AssertionError``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class DrawloomError(Exception):
    """Base of every error the command line prints without frames."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: where it is, what stands there, what may stand there."""

    path: str
    value: str
    allowed: str

    def text(self) -> str:
        """Return the fault on one line."""
        found = f": {self.value}" if self.value else ""
        allowed = f" ({self.allowed})" if self.allowed else ""
        return f"{self.path}{found}{allowed}"


class InputError(DrawloomError):
    """The user's file or argument is wrong; holds all faults found."""

    def __init__(self, kind: str, summary: str, faults: Sequence[Fault] = ()) -> None:
        """Make the error.

        Args:
            kind: dotted place in the tool, such as ``chip.file``.
            summary: one sentence that says what is wrong.
            faults: each fault with its path, value and what is allowed.
        """
        self.kind = kind
        self.summary = summary
        self.faults = tuple(faults)
        super().__init__(self.text())

    def text(self) -> str:
        """Return the whole message as the command line prints it."""
        lines = [f"error[{self.kind}]: {self.summary}"]
        lines += [f"  {fault.text()}" for fault in self.faults]
        return "\n".join(lines)


class Unsupported(InputError):
    """The model is sound, but asks for what drawloom cannot do."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why something does not fit: demand, bound, what is short, the ways out."""

    needs: str
    has: str
    short: str
    ways_out: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the diagnosis as indented lines."""
        rows = [f"  needs  {self.needs}", f"  has    {self.has}", f"  short  {self.short}"]
        return rows + [f"  try    {way}" for way in self.ways_out]


class DoesNotFit(DrawloomError):
    """A true answer: the work does not fit the machine."""

    def __init__(self, kind: str, summary: str, diagnosis: Diagnosis) -> None:
        """Make the error from its place, one sentence and the arithmetic."""
        self.kind = kind
        self.summary = summary
        self.diagnosis = diagnosis
        super().__init__(self.text())

    def text(self) -> str:
        """Return the whole message as the command line prints it."""
        return "\n".join([f"error[{self.kind}]: {self.summary}", *self.diagnosis.lines()])


class Unsound(DrawloomError):
    """The checker found something in a program that was just compiled."""

    def __init__(self, rule: str, program: str, findings: Sequence[str]) -> None:
        """Make the error.

        Args:
            rule: the rule that the first finding breaks.
            program: the program's name.
            findings: each finding on some lines.
        """
        self.kind = f"check.{rule}"
        self.program = program
        self.findings = tuple(findings)
        super().__init__(self.text())

    def text(self) -> str:
        """Return the whole message as the command line prints it."""
        first, *others = self.findings
        more = f", and {len(others)} more" if others else ""
        lines = [
            f"error[{self.kind}]: the program compiled from '{self.program}' would not run as it should",
            *(f"  {line}" for line in first.splitlines()),
            f"  this is a fault of drawloom, not of the model: 1 finding shown{more}",
            "  see    drawloom check, with the same model and options, shows all of them",
            "  file   an issue with what it prints, the model or its shapes, and the options",
            "  pass   --no-check, or check=False, compiles all the same",
        ]
        return "\n".join(lines)


def nearest(word: str, legal: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for a misspelt word, or the legal words."""
    import difflib

    options = sorted(legal)
    close = difflib.get_close_matches(word, options, n=1)
    return f"did you mean '{close[0]}'?" if close else "one of " + ", ".join(options)
